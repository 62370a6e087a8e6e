"""Rotations as quaternions: of unit length, without jumps of sign, in one order."""

import re
from itertools import groupby

import numpy as np

from imitate.datasets.health.finding import Finding
from imitate.datasets.health.recording import Group

CHECK = "quaternions are rotations"
UNIT = 0.01
"""Largest deviation of the length from 1: printing with three digits stays below."""
UNIT_SHARE, EPISODE_SHARE = 0.95, 0.6
"""Of the steps of an episode, and of the episodes: of three recordings one may be wrong throughout."""
FEWEST_EPISODES = 5
ALIKE, UNLIKE = 0.95, 0.8
SWITCH = 4
"""A number with at most so many values is no part of a rotation."""
PART = re.compile(r"(?:^|[^a-z])q(?:uat(?:ernion)?)?[_.]?([wxyz])$")


def check(group: Group) -> list[Finding]:
    """Episodes with quaternions that are not of unit length, jump to their negative, or stand otherwise."""
    found = []
    for place in quaternions(group):
        label = f"{group.columns[place[0]]} to {group.columns[place[3]]}"
        values = [one.values[:, place] for one in group.recordings]
        norms = [np.linalg.norm(each, axis=1) for each in values]
        found += _norms(group, label, norms)
        found += _signs(group, label, values)
        found += _order(group, label, values)
    return found


def quaternions(group: Group) -> list[list[int]]:
    """The columns of each quaternion: told by names, else four columns that vary and have unit length."""
    found: list[list[int]] = []
    for _, chosen in groupby(range(len(group.columns)), key=lambda i: group.columns[i].key):
        columns = list(chosen)
        first = 0
        while first + 4 <= len(columns):
            place = columns[first : first + 4]
            is_one = _is_named(group, place) or _is_unit(group, place)
            found += [place] if is_one else []
            first += 4 if is_one else 1
    return found


def _is_named(group: Group, place: list[int]) -> bool:
    columns = [group.columns[i] for i in place]
    if columns[0].size == 4 and "quat" in columns[0].key.lower():
        return True
    parts = [PART.search(column.name.lower()) for column in columns]
    return {part[1] for part in parts if part} == set("wxyz")


def _is_unit(group: Group, place: list[int]) -> bool:
    values = group.rows[:, place]
    is_unit = group.split(np.abs(np.linalg.norm(values, axis=1) - 1.0) <= UNIT)
    unit = np.mean([np.mean(each) >= UNIT_SHARE for each in is_unit]) >= EPISODE_SHARE
    # One-hot vectors have unit length too, a direction beside a constant 0, a switch beside small numbers.
    varied = min(len(np.unique(values[:1000, i].round(3))) for i in range(4)) > SWITCH
    alone = np.mean(np.abs(values).max(axis=1) > 1.0 - 1e-6) > 0.5
    return bool(unit and varied and not alone)


def _norms(group: Group, label: str, norms: list[np.ndarray]) -> list[Finding]:
    off = [float(np.abs(norm - 1.0).max()) for norm in norms]
    wrong = np.flatnonzero(np.array(off) > UNIT)
    if not len(wrong):
        return []
    worst = int(wrong[np.argmax(np.array(off)[wrong])])
    extreme = norms[worst][np.argmax(np.abs(norms[worst] - 1.0))]
    what = f"the quaternion {label} has length {extreme:.4g} in {group.recordings[worst].id}, not 1"
    return [Finding(CHECK, "error", group.ids(wrong), what, "Normalise it, and look where zeros come from.")]


def _signs(group: Group, label: str, values: list[np.ndarray]) -> list[Finding]:
    counts = np.array([_jumps(each) for each in values])
    wrong = np.flatnonzero(counts)
    if not len(wrong):
        return []
    what = f"the quaternion {label} jumps to its negative {counts.sum()} times: the same rotation, far away"
    return [
        Finding(
            CHECK, "warning", group.ids(wrong), what, "Flip signs so that successive steps agree, or use 6D."
        )
    ]


def _jumps(values: np.ndarray) -> int:
    along = np.sum(values[1:] * values[:-1], axis=1)
    lengths = np.linalg.norm(values[1:], axis=1) * np.linalg.norm(values[:-1], axis=1)
    return int(np.sum(along < -0.5 * lengths))


def _order(group: Group, label: str, values: list[np.ndarray]) -> list[Finding]:
    """Episodes whose quaternion resembles those of the others only after moving w to the other end."""
    if len(values) < FEWEST_EPISODES:
        return []
    usual = np.array([_usual(each) for each in values])
    centre = _usual(usual)
    as_is = np.abs(usual @ centre)
    turned = np.maximum(*(np.abs(np.roll(usual, by, axis=1) @ centre) for by in (1, -1)))
    wrong = np.flatnonzero((as_is < UNLIKE) & (turned > ALIKE))
    if not len(wrong) or np.mean(as_is > ALIKE) < 0.5:
        return []
    what = f"the quaternion {label} resembles the other episodes only with w moved to the other end"
    return [Finding(CHECK, "error", group.ids(wrong), what, "Write wxyz or xyzw throughout.")]


def _usual(values: np.ndarray) -> np.ndarray:
    """The mean rotation of (T, 4), whatever the signs (Markley et al., J. Guidance 30:1193, 2007)."""
    return np.asarray(np.linalg.eigh(values.T @ values)[1][:, -1])
