"""Grippers that close in some episodes where they open in the others."""

import re

import numpy as np

from imitate.datasets.health.finding import Finding
from imitate.datasets.health.recording import Column, Group
from imitate.datasets.quality.neighbour_index import NeighbourIndex

CHECK = "grippers open and close alike"
NAMED = re.compile(r"grip|finger|jaw|claw|hand|thumb")
AT_ENDS, NEAR, EACH = 0.7, 0.1, 0.05
"""A column whose values lie mostly near both ends of its range, each for some time, is a gripper's."""
FEWEST_EPISODES = 5
PER_EPISODE, NEIGHBOURS = 40, 5
BETTER, WRONG = 0.5, 0.1
"""Inverted, the action must be this much nearer to what others do; as it is, this far off in its range."""


def check(group: Group) -> list[Finding]:
    """Episodes in which a gripper's action is the reverse of what others do in similar states."""
    if len(group) < FEWEST_EPISODES:
        return []
    grippers = [i for i in group.actions if is_gripper(group, i)]
    if not grippers:
        return []
    rows = np.concatenate([_spread(*span) for span in _spans(group)])
    episode = np.repeat(np.arange(len(group)), [len(one) for one in group.recordings])
    features = np.concatenate(group.features).astype(np.float32)
    near = NeighbourIndex(features, episode).neighbours(NEIGHBOURS, rows)
    found = []
    for i in grippers:
        inverted = _inverted(group.rows[:, i], near.rows, rows, episode)
        if len(inverted):
            what = f"{group.columns[i]} is the reverse of what it is elsewhere in the same states"
            fix = "Invert it in these episodes: one value must mean open throughout."
            found.append(Finding(CHECK, "error", group.ids(inverted), what, fix))
    return found


def _spans(group: Group) -> list[tuple[int, int]]:
    return list(zip([0, *group.ends[:-1]], group.ends, strict=True))


def _spread(low: int, high: int) -> np.ndarray:
    return np.unique(np.linspace(low, high - 1, min(PER_EPISODE, high - low)).round().astype(int))


def is_gripper(group: Group, i: int) -> bool:
    """Whether column i of the action belongs to a gripper or hand, by its name or because it is a switch."""
    values = group.rows[:, i]
    low, high = values.min(), values.max()
    if high <= low:
        return False
    if NAMED.search(_name(group.columns[i])):
        return True
    at = NEAR * (high - low)
    shares = np.mean(values <= low + at), np.mean(values >= high - at)
    return bool(sum(shares) >= AT_ENDS and min(shares) >= EACH)


def _name(column: Column) -> str:
    return column.name.lower()


def _inverted(action: np.ndarray, near: np.ndarray, rows: np.ndarray, episode: np.ndarray) -> np.ndarray:
    """Episodes whose action (N,) at `rows` is nearer to the others' once inverted."""
    low, high = np.quantile(action, (0.01, 0.99))
    if high <= low:
        low, high = action.min(), action.max()
    expected = np.median(action[np.maximum(near, 0)], axis=1)
    known = (near >= 0).all(axis=1)
    own, of = action[rows][known], episode[rows][known]
    count = np.maximum(np.bincount(of, minlength=episode[-1] + 1), 1)
    as_is = np.bincount(of, (own - expected[known]) ** 2, minlength=len(count)) / count
    turned = np.bincount(of, (low + high - own - expected[known]) ** 2, minlength=len(count)) / count
    return np.flatnonzero((turned < BETTER * as_is) & (as_is > (WRONG**0.5 * (high - low)) ** 2))
