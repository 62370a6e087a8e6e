"""What a policy would have done beside what really happened, step by step.

Of every control step the action that the policy wanted, after the gate, is compared with how the robot moved
from the step's observation to one control period later, while somebody else drove. Both are in the units of
the group's action; the baseline is an action that leaves the robot where it is.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from imitate.deploy.page.recording import Group, Recording, Trace
from imitate.deploy.page.tracks import displacement
from imitate.deploy.safety.rotation import turn_between
from imitate.spec import ArraySpec

STILL = 0.1
"""Below this share of the usual largest motion (95 %) a step has no direction worth comparing."""

AGREES = np.cos(np.pi / 4)
"""Directions within 45 degrees agree."""

TURNS = {"roll", "pitch", "yaw"}


@dataclass(frozen=True)
class Quantity:
    """A part of a group's action with one unit (place, turn, joints, opening) over the steps (n,) compared.

    asked, moved: how far the policy wanted to go, and how far the robot went. error, still: distance of the
    policy's action, and of standing still, from what happened. cosine: between the two directions, NaN where
    one of them is none, None where the quantity has no direction.
    """

    group: str
    name: str
    unit: str
    times_s: np.ndarray
    error: np.ndarray
    still: np.ndarray
    moved: np.ndarray
    asked: np.ndarray
    cosine: np.ndarray | None

    @property
    def has_moved(self) -> bool:
        """Whether anything happened that a policy could have been right about."""
        return bool(len(self.moved)) and float(self.moved.max()) > 1e-6

    @property
    def ratio(self) -> float:
        """Mean error, as a share of that of standing still; NaN where nothing moved."""
        return float(self.error.mean() / self.still.mean()) if self.has_moved else float("nan")

    @property
    def pace(self) -> float:
        """How far the policy wanted to go, as a share of how far the robot went; NaN where nothing moved."""
        return float(self.asked.sum() / self.moved.sum()) if self.has_moved else float("nan")

    def agreement(self) -> tuple[float, int] | None:
        """Share of steps whose directions agree, and how many had one; None without any."""
        known = self.cosine[np.isfinite(self.cosine)] if self.cosine is not None else np.zeros(0)
        return (float((known >= AGREES).mean()), len(known)) if len(known) else None


def compared(recording: Recording) -> list[Quantity]:
    """Every quantity of every group with steps whose beginning and end were both measured."""
    period_s = 1.0 / recording.spec.rate_hz if recording.spec.rate_hz else 0.0
    names = _names(recording.spec.action)
    steps = [step for step in recording.steps if step.get("source") == "policy" and not step.get("sent")]
    if not steps or not period_s:
        return []
    times = np.array([step["time_s"] for step in steps])
    actions = np.array([step["action"] for step in steps], float)
    found: list[Quantity] = []
    for group in recording.groups:
        wanted = list(group.target.get("action") or ())
        if len(group.measured.times_s) > 1 and set(wanted) <= set(names):
            columns = [names.index(name) for name in wanted]
            found += _of_group(group, times, actions[:, columns], period_s)
    return found


def _names(action: ArraySpec) -> list[str]:
    return list(action.names or (str(i) for i in range(action.size)))


def _of_group(group: Group, times: np.ndarray, actions: np.ndarray, period_s: float) -> list[Quantity]:
    before, after = _measured_at(group.measured, times), _measured_at(group.measured, times + period_s)
    usable = np.isfinite(np.hstack([before, after, actions])).all(axis=1)
    times, actions, before, after = times[usable], actions[usable], before[usable], after[usable]
    if not len(times):
        return []
    wanted, real = _motions(group.target, actions, before, after, period_s)
    found = []
    for name, unit, columns in _parts(group.target):
        if columns:
            found.append(_quantity(group.name, name, unit, times, wanted[:, columns], real[:, columns]))
    return found


def _measured_at(trace: Trace, times_s: np.ndarray) -> np.ndarray:
    """Values (n, D) at `times_s`, straight between the measurements beside; NaN where one of them is missing.

    A quaternion is made unit afterwards, which is exact enough for the small turns of a control step.
    """
    gap = 3 * float(np.median(np.diff(trace.times_s)))
    right = np.clip(np.searchsorted(trace.times_s, times_s - 1e-9), 0, len(trace.times_s) - 1)
    left = np.clip(right - 1, 0, None)
    exact = np.isclose(trace.times_s[right], times_s, rtol=0, atol=1e-6)
    inside = (trace.times_s[left] <= times_s) & (times_s <= trace.times_s[right] + 1e-6)
    usable = exact | (inside & (trace.times_s[right] - trace.times_s[left] <= gap))
    values = _aligned(trace.values)
    found = np.column_stack([np.interp(times_s, trace.times_s, column) for column in values.T])
    if found.shape[1] == 7:
        found[:, 3:] /= np.maximum(np.linalg.norm(found[:, 3:], axis=1, keepdims=True), 1e-12)
    return np.where(usable[:, None], found, np.nan)


def _aligned(values: np.ndarray) -> np.ndarray:
    """Poses whose quaternions do not change sign from one to the next; other values as they are."""
    if values.shape[1] != 7 or len(values) < 2:
        return values
    flips = np.einsum("ij,ij->i", values[1:, 3:], values[:-1, 3:]) < 0
    signs = np.concatenate([[1.0], np.cumprod(np.where(flips, -1.0, 1.0))])
    return np.hstack([values[:, :3], values[:, 3:] * signs[:, None]])


def _motions(
    target: Mapping[str, Any], actions: np.ndarray, before: np.ndarray, after: np.ndarray, period_s: float
) -> tuple[np.ndarray, np.ndarray]:
    """What was wanted and what happened as motions of one control step, (n, D) each.

    Of a pose: three metres and a rotation vector.
    """
    kind, meaning, scale = target.get("kind"), target.get("meaning"), float(target.get("scale") or 1.0)
    real = displacement(target, before, after)
    values = actions * scale
    if kind == "pose":
        turns = [turn_between(_four(a), _four(b)) for a, b in zip(before, values, strict=True)]
        wanted = np.hstack([values[:, :3] - before[:, :3], np.array(turns).reshape(-1, 3)])
        return wanted, real
    if meaning == "delta":
        return values, real
    if meaning == "rate" or kind in ("twist", "joint_velocity"):
        return values * period_s, real
    return values - before, real


def _four(pose: np.ndarray) -> tuple[float, float, float, float]:
    x, y, z, w = (float(value) for value in pose[-4:])
    return x, y, z, w


def _parts(target: Mapping[str, Any]) -> list[tuple[str, str, list[int]]]:
    """(name, unit, columns) of what has one unit."""
    kind, names = target.get("kind"), list(target.get("names") or ())
    if kind == "pose":
        return [("position", "m", [0, 1, 2]), ("turn", "rad", [3, 4, 5])]
    if kind == "twist":
        places = [i for i, name in enumerate(names) if name not in TURNS]
        return [
            ("position", "m", places),
            ("turn", "rad", [i for i, name in enumerate(names) if name in TURNS]),
        ]
    everything = [*range(len(names))]
    return [("opening", "m", everything) if kind == "gripper" else ("joints", "rad", everything)]


def _quantity(
    group: str, name: str, unit: str, times: np.ndarray, wanted: np.ndarray, real: np.ndarray
) -> Quantity:
    moved, asked = np.linalg.norm(real, axis=1), np.linalg.norm(wanted, axis=1)
    cosine = _cosine(wanted, real, moved) if real.shape[1] > 1 else None
    error = np.linalg.norm(wanted - real, axis=1)
    return Quantity(group, name, unit, times, error, moved, moved, asked, cosine)


def _cosine(wanted: np.ndarray, real: np.ndarray, moved: np.ndarray) -> np.ndarray:
    """(n,), NaN where the robot hardly moved, or the policy wanted it to stay."""
    asked = np.linalg.norm(wanted, axis=1)
    least = max(STILL * float(np.quantile(moved, 0.95)), 1e-9)
    product = np.einsum("ij,ij->i", wanted, real)
    sizes = asked * moved
    known = (moved >= least) & (asked > 1e-9)
    return np.where(known, product / np.where(known, sizes, 1.0), np.nan)
