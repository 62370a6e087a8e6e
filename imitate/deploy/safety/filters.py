"""What every command must pass before any limit is looked at, and the jump guard that comes last."""

import math

import numpy as np

from imitate.deploy.command import Command
from imitate.deploy.robot import Reading
from imitate.deploy.safety.ages import is_stale
from imitate.deploy.safety.bounds import GroupBounds

OLDEST_COMMAND_S = 0.1
"""A command made longer ago is refused."""


class RefusedError(Exception):
    """A command that must not be sent in any form: the robot holds. `rule` and `detail` say why."""

    def __init__(self, rule: str, detail: str) -> None:
        super().__init__(f"{rule}: {detail}")
        self.rule, self.detail = rule, detail


def require_finite(command: Command, size: int) -> None:
    """Refuse values, velocities or times that are not finite or not of the shape (n, size), n at least 1."""
    values, times, velocities = command.values, command.times_s, command.velocities
    if not _is_array(values, 2) or values.shape[1] != size or not len(values):
        raise RefusedError("finite", f"values are {_shown(values)}, expected (n, {size})")
    if not _is_array(times, 1) or len(times) != len(values):
        raise RefusedError("finite", f"times are {_shown(times)}, expected ({len(values)},)")
    if velocities is not None and (not _is_array(velocities, 2) or velocities.shape != values.shape):
        raise RefusedError("finite", f"velocities are {_shown(velocities)}, expected {values.shape}")
    for what, array in (("values", values), ("times", times), ("velocities", velocities)):
        if array is not None and not np.isfinite(array).all():
            raise RefusedError("finite", f"{what} are not all finite")


def order_of(names: tuple[str, ...], expected: tuple[str, ...]) -> list[int] | None:
    """Where in a command's names the expected ones stand; None where they are in order already."""
    if names == expected:
        return None
    if len(names) != len(expected) or set(names) != set(expected):
        raise RefusedError("names", f"names are {list(names)}, expected {list(expected)}")
    return [names.index(name) for name in expected]


def require_recent(made_s: float, now_s: float, period_s: float) -> None:
    """Refuse what was made too long ago, or later than now."""
    if not -period_s <= now_s - made_s <= OLDEST_COMMAND_S:
        raise RefusedError("age", f"made {now_s - made_s:.3g} s ago, expected at most {OLDEST_COMMAND_S:g} s")


def measured_value(
    reading: Reading | None, bounds: GroupBounds, now_s: float, max_age_s: float
) -> np.ndarray:
    """The measured state (D,), or (7,) of a tool; refused where it is stale or no such thing."""
    if reading is None or is_stale(reading, now_s, max_age_s):
        raise RefusedError("measured", f"the measured state is missing or older than {max_age_s:.3g} s")
    value, size = reading.value, 7 if bounds.tool else bounds.size
    if not _is_array(value, 1) or len(value) != size or not np.isfinite(value).all():
        raise RefusedError(
            "measured", f"the measured state is {_shown(value)}, expected {size} finite numbers"
        )
    return np.asarray(value, np.float64)


def require_inside(measured: list[float], bounds: GroupBounds) -> None:
    """Refuse to move a joint that is measured further outside of its limits than soft limits lie inside."""
    for name, value, axis in zip(bounds.names, measured, bounds.axes, strict=True):
        beyond = max(axis.lower - axis.hard_lower, 1e-3) if not axis.is_continuous else 0.0
        if not axis.hard_lower - beyond <= value <= axis.hard_upper + beyond:
            raise RefusedError(
                "measured",
                f"{name} is at {value:.4g}, outside of {axis.hard_lower:.4g} to {axis.hard_upper:.4g}",
            )


def require_near(sent: list[float], measured: list[float], most: float, bounds: GroupBounds) -> None:
    """The jump guard: refuse joint positions further than `most` from the measured ones."""
    for name, ours, theirs, axis in zip(bounds.names, sent, measured, bounds.axes, strict=True):
        gap = wrapped(ours - theirs) if axis.is_continuous else ours - theirs
        if abs(gap) > most:
            raise RefusedError(
                "jump", f"{name} would be sent {gap:.4g} away from where it is, limit {most:g}"
            )


def wrapped(angle: float) -> float:
    """`angle` in rad, turned into [-π, π]."""
    return math.remainder(angle, 2 * math.pi)


def _is_array(value: object, dimensions: int) -> bool:
    return isinstance(value, np.ndarray) and value.ndim == dimensions and value.dtype.kind in "fiu"


def _shown(value: object) -> str:
    return (
        f"an array {value.shape} of {value.dtype}" if isinstance(value, np.ndarray) else type(value).__name__
    )
