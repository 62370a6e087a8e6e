"""Streamed twists of a tool: lengths of velocities and accelerations, turning rates, and the workspace."""

import math

import numpy as np

from imitate.deploy.command import Command
from imitate.deploy.safety.bounds import GroupBounds
from imitate.deploy.safety.by_kind import JumpLimits, ToolLimits
from imitate.deploy.safety.filters import RefusedError
from imitate.deploy.safety.joints import Findings, Measured, Sent, one_point
from imitate.deploy.safety.rotation import Quaternion, Vector, turn_between, unit
from imitate.deploy.safety.vectors import NOTHING, approached, onward, shortened, stopping_inside

AXES = ("x", "y", "z", "roll", "pitch", "yaw")


class TwistFilter:
    """Velocities of a tool, one twist per period, in the frame of its measured pose."""

    def __init__(self, bounds: GroupBounds, limits: ToolLimits, jump: JumpLimits, period: float) -> None:
        self._limits, self._jump, self._period = limits, jump, period
        self._columns = [AXES.index(name) for name in bounds.names]
        self.forget()

    @property
    def is_still(self) -> bool:
        """See GroupFilter."""
        return self._speed == NOTHING and self._turn == NOTHING

    def forget(self) -> None:
        """See GroupFilter."""
        self._speed, self._turn = NOTHING, NOTHING
        self._before: Measured | None = None

    def paused(self) -> None:
        """See GroupFilter."""
        self._speed, self._turn = NOTHING, NOTHING

    def limit(self, command: Command, measured: Measured, anew: bool) -> tuple[Sent, Findings]:
        """See GroupFilter."""
        self._require_continuous(measured)
        limits, h = self._limits, self._period
        before, turning_before = (NOTHING, NOTHING) if anew else (self._speed, self._turn)
        straight, turning = self._spread(one_point(command))
        here = onward(place_of(measured.value), before, max(0.0, measured.age_s))
        allowed = shortened(straight, limits.speed)
        reachable = approached(before, allowed, limits.acceleration * h)
        box = (limits.low, limits.high)
        speed = stopping_inside(here, before, reachable, box, limits.acceleration, h)
        slower = shortened(turning, limits.turn)
        turn = approached(turning_before, slower, limits.turn_acceleration * h)
        findings = changes(
            ("speed", straight, allowed),
            ("acceleration", allowed, reachable),
            ("workspace", reachable, speed),
            ("turn", turning, slower),
            ("turn_acceleration", slower, turn),
        )
        self._speed, self._turn = speed, turn
        return self._sent(), findings

    def stop(self, now_s: float) -> Sent | None:
        """See GroupFilter; zeros also where nothing was sent, for they can do no harm."""
        limits, h = self._limits, self._period
        self._speed = approached(self._speed, NOTHING, limits.acceleration * h)
        self._turn = approached(self._turn, NOTHING, limits.turn_acceleration * h)
        return self._sent()

    def _spread(self, values: list[float]) -> tuple[Vector, Vector]:
        twist = [0.0] * 6
        for column, value in zip(self._columns, values, strict=True):
            twist[column] = value
        x, y, z, roll, pitch, yaw = twist
        return (x, y, z), (roll, pitch, yaw)

    def _sent(self) -> Sent:
        twist = (*self._speed, *self._turn)
        return Sent(np.array([[twist[column] for column in self._columns]]), np.zeros(1))

    def _require_continuous(self, measured: Measured) -> None:
        """The jump guard of twists: the measured pose must not move faster than the tool can."""
        before, self._before = self._before, measured
        if before is None or measured.arrived_s <= before.arrived_s:
            return
        elapsed = measured.arrived_s - before.arrived_s
        gap, angle = pose_gap(measured.value, before.value)
        if gap > self._jump.tool_m + self._limits.speed * elapsed:
            raise RefusedError(
                "jump", f"the tool is measured {gap:.4g} m from where it was {elapsed:.3g} s ago"
            )
        if angle > self._jump.tool_rad + self._limits.turn * elapsed:
            raise RefusedError("jump", f"the tool is measured {angle:.4g} rad from how it stood")


def changes(*steps: tuple[str, tuple[float, ...], tuple[float, ...]]) -> Findings:
    """What each rule changed, of (rule, before, after)."""
    return [(rule, f"{_shown(a)} → {_shown(b)}") for rule, a, b in steps if a is not b and a != b]


def pose_gap(a: list[float], b: list[float]) -> tuple[float, float]:
    """Distance in m and angle in rad between two poses (7,)."""
    return math.dist(a[:3], b[:3]), math.hypot(*turn_between(rotation_of(a), rotation_of(b)))


def place_of(pose: list[float]) -> Vector:
    """x, y, z in m of a pose (7,)."""
    return pose[0], pose[1], pose[2]


def rotation_of(pose: list[float]) -> Quaternion:
    """The quaternion of a pose (7,), at length 1; refused where it is far from that."""
    x, y, z, w = pose[3:]
    length = math.sqrt(x * x + y * y + z * z + w * w)
    if not 0.9 <= length <= 1.1:
        raise RefusedError("finite", f"the quaternion of a pose has length {length:.3g}, expected 1")
    return unit((x, y, z, w))


def _shown(values: tuple[float, ...]) -> str:
    return "(" + ", ".join(f"{value:.4g}" for value in values) + ")"
