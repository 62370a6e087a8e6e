"""Streamed tools: twists and poses that keep speed, acceleration, turning rates and the workspace."""

import math

import numpy as np

from imitate.deploy.command import Command
from imitate.deploy.safety.bounds import GroupBounds
from imitate.deploy.safety.by_kind import JumpLimits, ToolLimits
from imitate.deploy.safety.filters import RefusedError
from imitate.deploy.safety.joints import Findings, Measured, Sent, one_point
from imitate.deploy.safety.rotation import Quaternion, Vector, turn_between, turned, unit
from imitate.deploy.safety.vectors import NOTHING, approached, shortened, stopping_inside

AXES = ("x", "y", "z", "roll", "pitch", "yaw")


class TwistFilter:
    """Velocities of a tool, one twist per period, in the frame of its measured pose."""

    rests_when_silent = False

    def __init__(self, bounds: GroupBounds, limits: ToolLimits, jump: JumpLimits, period: float) -> None:
        self._limits, self._jump, self._period = limits, jump, period
        self._columns = [AXES.index(name) for name in bounds.names]
        self.forget()

    @property
    def is_started(self) -> bool:
        """See GroupFilter."""
        return self._is_started

    @property
    def is_still(self) -> bool:
        """See GroupFilter."""
        return self._speed == NOTHING and self._turn == NOTHING

    def forget(self) -> None:
        """See GroupFilter."""
        self._speed, self._turn, self._is_started = NOTHING, NOTHING, False
        self._before: Measured | None = None

    def paused(self) -> None:
        """Twists may stay in force while nothing is sent, so there is nothing to take back."""

    def limit(self, command: Command, measured: Measured, anew: bool) -> tuple[Sent, Findings]:
        """See GroupFilter."""
        self._require_continuous(measured)
        limits, h = self._limits, self._period
        before, turning_before = (NOTHING, NOTHING) if anew else (self._speed, self._turn)
        straight, turning = self._spread(one_point(command))
        here = _onward(_vector(measured.value), before, max(0.0, measured.age_s))
        allowed = shortened(straight, limits.speed)
        reachable = approached(before, allowed, limits.acceleration * h)
        box = (limits.low, limits.high)
        speed = stopping_inside(here, before, reachable, box, limits.acceleration, h)
        slower = shortened(turning, limits.turn)
        turn = approached(turning_before, slower, limits.turn_acceleration * h)
        steps = (
            ("speed", straight, allowed),
            ("acceleration", allowed, reachable),
            ("workspace", reachable, speed),
            ("turn", turning, slower),
            ("turn_acceleration", slower, turn),
        )
        self._speed, self._turn, self._is_started = speed, turn, True
        return self._sent(), changes(steps)

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


class PoseFilter:
    """Poses of a tool, one per period."""

    rests_when_silent = True

    def __init__(self, limits: ToolLimits, jump: JumpLimits, period: float) -> None:
        self._limits, self._jump, self._period = limits, jump, period
        self.forget()

    @property
    def is_started(self) -> bool:
        """See GroupFilter."""
        return self._position is not None

    @property
    def is_still(self) -> bool:
        """See GroupFilter."""
        return self._speed == NOTHING and self._turn == NOTHING

    def forget(self) -> None:
        """See GroupFilter."""
        self._position: Vector | None = None
        self._rotation: Quaternion = (0.0, 0.0, 0.0, 1.0)
        self.paused()

    def paused(self) -> None:
        """See GroupFilter."""
        self._speed, self._turn = NOTHING, NOTHING

    def limit(self, command: Command, measured: Measured, anew: bool) -> tuple[Sent, Findings]:
        """See GroupFilter."""
        values = one_point(command)
        position, rotation = self._position, self._rotation
        speed, turn = self._speed, self._turn
        if anew or position is None:
            speed, turn = NOTHING, NOTHING
            position, rotation = _vector(measured.value), _quaternion(measured.value)
        wanted = _quaternion(values)
        findings: Findings = []
        place, speed = self._moved(position, speed, _vector(values), findings)
        attitude, turn = self._rotated(rotation, turn, wanted, findings)
        gap, angle = pose_gap([*place, *attitude], measured.value)
        if gap > self._jump.tool_m or angle > self._jump.tool_rad:
            raise RefusedError(
                "jump", f"the tool would be sent {gap:.4g} m and {angle:.4g} rad from where it is"
            )
        self._position, self._rotation, self._speed, self._turn = place, attitude, speed, turn
        return self._sent(), findings

    def stop(self, now_s: float) -> Sent | None:
        """See GroupFilter; a tool that we never moved is left to its controller."""
        if self._position is None:
            return None
        limits, h = self._limits, self._period
        self._speed = approached(self._speed, NOTHING, limits.acceleration * h)
        self._turn = approached(self._turn, NOTHING, limits.turn_acceleration * h)
        self._position = _onward(self._position, self._speed, h)
        if self._turn != NOTHING:
            self._rotation = turned(self._rotation, _scaled(self._turn, h))
        return self._sent()

    def _moved(
        self, position: Vector, before: Vector, target: Vector, findings: Findings
    ) -> tuple[Vector, Vector]:
        limits, h = self._limits, self._period
        inside = clip_place(target, limits)
        way = _way(position, inside)
        step = shortened(way, limits.step_m)
        asked = _scaled(step, 1 / h)
        allowed = shortened(asked, limits.speed)
        reachable = _followed(before, allowed, way, limits.acceleration, h)
        box = (limits.low, limits.high)
        speed = stopping_inside(position, before, reachable, box, limits.acceleration, h)
        steps = (
            ("workspace", target, inside),
            ("step", way, step),
            ("speed", asked, allowed),
            ("acceleration", allowed, reachable),
            ("workspace", reachable, speed),
        )
        findings += changes(steps)
        return (inside if speed == _scaled(way, 1 / h) else _onward(position, speed, h)), speed

    def _rotated(
        self, rotation: Quaternion, before: Vector, target: Quaternion, findings: Findings
    ) -> tuple[Quaternion, Vector]:
        limits, h = self._limits, self._period
        way = turn_between(rotation, target)
        step = shortened(way, limits.step_rad)
        asked = _scaled(step, 1 / h)
        allowed = shortened(asked, limits.turn)
        turn = _followed(before, allowed, way, limits.turn_acceleration, h)
        findings += changes(
            (("step", way, step), ("turn", asked, allowed), ("turn_acceleration", allowed, turn))
        )
        return (target if turn == _scaled(way, 1 / h) else turned(rotation, _scaled(turn, h))), turn

    def _sent(self) -> Sent:
        return Sent(np.array([[*(self._position or NOTHING), *self._rotation]]), np.zeros(1))


def changes(steps: tuple[tuple[str, tuple[float, ...], tuple[float, ...]], ...]) -> Findings:
    """What each rule changed, of (rule, before, after)."""
    return [(rule, f"{_shown(a)} → {_shown(b)}") for rule, a, b in steps if a is not b and a != b]


def pose_gap(a: list[float], b: list[float]) -> tuple[float, float]:
    """Distance in m and angle in rad between two poses (7,)."""
    return math.dist(a[:3], b[:3]), math.hypot(*turn_between(_quaternion(a), _quaternion(b)))


def clip_place(place: Vector, limits: ToolLimits) -> Vector:
    """The nearest place inside of the workspace."""
    x, y, z = (min(max(p, a), b) for p, a, b in zip(place, limits.low, limits.high, strict=True))
    return x, y, z


def _followed(before: Vector, allowed: Vector, way: Vector, acceleration: float, period: float) -> Vector:
    """`allowed` where it can be reached at once, else what comes to rest at the end of `way`."""
    most = acceleration * period
    if math.dist(before, allowed) <= most:
        return allowed
    stoppable = shortened(allowed, math.sqrt(2 * acceleration * math.hypot(*way)))
    return approached(before, stoppable, most)


def _way(start: Vector, end: Vector) -> Vector:
    return end[0] - start[0], end[1] - start[1], end[2] - start[2]


def _scaled(vector: Vector, factor: float) -> Vector:
    return vector[0] * factor, vector[1] * factor, vector[2] * factor


def _onward(position: Vector, velocity: Vector, period: float) -> Vector:
    px, py, pz = position
    vx, vy, vz = velocity
    return px + vx * period, py + vy * period, pz + vz * period


def _vector(pose: list[float]) -> Vector:
    return pose[0], pose[1], pose[2]


def _quaternion(pose: list[float]) -> Quaternion:
    x, y, z, w = pose[3:]
    length = math.sqrt(x * x + y * y + z * z + w * w)
    if not 0.9 <= length <= 1.1:
        raise RefusedError("finite", f"the quaternion of a pose has length {length:.3g}, expected 1")
    return unit((x, y, z, w))


def _shown(values: tuple[float, ...]) -> str:
    return "(" + ", ".join(f"{value:.4g}" for value in values) + ")"
