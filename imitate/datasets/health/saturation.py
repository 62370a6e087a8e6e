"""Actions that rest at a bound: what was asked for beyond it is not in the data."""

import numpy as np

from imitate.datasets.health.finding import Finding
from imitate.datasets.health.grippers import is_gripper
from imitate.datasets.health.recording import Group
from imitate.datasets.quality.features import CONSTANT
from imitate.datasets.quality.idle import still_threshold

CHECK = "actions stay off their bounds"
LONG_SHARE = 0.1
"""Of the steps of an episode in which the rest of the action moves."""
FEWEST_STEPS, FEWEST_VALUES = 5, 4
USUAL_SHARE = 0.3
"""Of the episodes: where more rest at the bound it is a property of the set."""


def check(group: Group) -> list[Finding]:
    """Columns of the action that stay exactly at the smallest or largest value of the set for long."""
    # A gripper is at one of its bounds most of the time, and should be.
    return [finding for i in group.actions if not is_gripper(group, i) for finding in _column(group, i)]


def _column(group: Group, i: int) -> list[Finding]:
    values = group.rows[:, i]
    if len(np.unique(values[:: max(1, len(values) // 10_000)])) < FEWEST_VALUES:
        return []  # A switch.
    moving = group.split(_moving(group, i))
    found = []
    for bound, label in ((values.min(), "lowest"), (values.max(), "highest")):
        if bound == 0.0:
            continue  # Asking for nothing, in a number of one sign.
        rests = np.abs(values - bound) <= CONSTANT * max(abs(bound), float(np.ptp(values)))
        shares = np.array([_share(r, m) for r, m in zip(group.split(rests), moving, strict=True)])
        long = np.flatnonzero(shares >= LONG_SHARE)
        if len(long):
            found.append(_finding(group, i, bound, label, shares, long))
    return found


def _share(rests: np.ndarray, moving: np.ndarray) -> float:
    count = int((rests & moving).sum())
    return count / int(moving.sum()) if count >= FEWEST_STEPS else 0.0


def _moving(group: Group, i: int) -> np.ndarray:
    """(N,) whether anything but column i of the action moves: a hand at rest is no bound."""
    others = [j for j in group.actions if j != i] or group.states
    if not others:
        return np.ones(len(group.rows), bool)
    scale = group.rows[:, others].std(axis=0)
    speeds = []
    for one in group.recordings:
        change = np.diff(one.values[:, others], axis=0) / np.where(scale > 0, scale, 1.0)
        speeds.append(np.append(np.sqrt(np.mean(change**2, axis=1)), 0.0))
    return np.concatenate(speeds) > still_threshold(speeds)


def _finding(group: Group, i: int, bound: float, label: str, shares: np.ndarray, long: np.ndarray) -> Finding:
    everywhere = len(long) > max(1.0, USUAL_SHARE * len(group))
    what = (
        f"{group.columns[i]} rests at its {label} value, {bound:.6g}, in {shares[long].min():.0%}"
        f" to {shares[long].max():.0%} of the moving steps of {len(long)} episodes"
    )
    return Finding(
        CHECK,
        "notice" if everywhere else "warning",
        () if everywhere else group.ids(long),
        what,
        "Widen the bound or lower the gain of the teleoperation device before recording more.",
    )
