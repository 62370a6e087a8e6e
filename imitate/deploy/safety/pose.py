"""Streamed poses of a tool: steps, speeds, accelerations, turning rates, and the workspace."""

import numpy as np

from imitate.deploy.command import Command
from imitate.deploy.safety.by_kind import JumpLimits, ToolLimits
from imitate.deploy.safety.filters import RefusedError
from imitate.deploy.safety.joints import Findings, Measured, Sent, one_point
from imitate.deploy.safety.rotation import Quaternion, Vector, turn_between, turned
from imitate.deploy.safety.tool import changes, place_of, pose_gap, rotation_of
from imitate.deploy.safety.vectors import (
    NOTHING,
    approached,
    can_reach,
    clip_place,
    closing_in,
    onward,
    scaled,
    shortened,
    stopping_inside,
    way_between,
)


class PoseFilter:
    """Poses of a tool, one per period."""

    def __init__(self, limits: ToolLimits, jump: JumpLimits, period: float) -> None:
        self._limits, self._jump, self._period = limits, jump, period
        self.forget()

    @property
    def is_still(self) -> bool:
        """See GroupFilter."""
        return self._speed == NOTHING and self._turn == NOTHING

    def forget(self) -> None:
        """See GroupFilter."""
        self._position: Vector | None = None
        self._rotation: Quaternion = (0.0, 0.0, 0.0, 1.0)
        self._place_asked: Vector | None = None
        self._rotation_asked: Quaternion | None = None
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
            speed, turn, self._place_asked, self._rotation_asked = NOTHING, NOTHING, None, None
            position, rotation = place_of(measured.value), rotation_of(measured.value)
        wanted = rotation_of(values)
        findings: Findings = []
        place, speed = self._moved(position, speed, place_of(values), findings)
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
        self._position = onward(self._position, self._speed, h)
        if self._turn != NOTHING:
            self._rotation = turned(self._rotation, scaled(self._turn, h))
        return self._sent()

    def _moved(
        self, position: Vector, before: Vector, target: Vector, findings: Findings
    ) -> tuple[Vector, Vector]:
        limits, h = self._limits, self._period
        inside = clip_place(target, limits)
        course = scaled(way_between(self._place_asked or inside, inside), 1 / h)
        way = way_between(position, inside)
        rule = (limits.step_m, limits.speed, limits.acceleration)
        step, asked, allowed, goal = pursued(way, course, before, rule, h)
        reachable = approached(before, goal, limits.acceleration * h)
        box = (limits.low, limits.high)
        speed = stopping_inside(position, before, reachable, box, limits.acceleration, h)
        findings += changes(
            ("workspace", target, inside),
            ("step", way, step),
            ("speed", asked, allowed),
            ("acceleration", allowed, reachable),
            ("workspace", reachable, speed),
        )
        self._place_asked = inside
        return (inside if speed is asked else onward(position, speed, h)), speed

    def _rotated(
        self, rotation: Quaternion, before: Vector, target: Quaternion, findings: Findings
    ) -> tuple[Quaternion, Vector]:
        limits, h = self._limits, self._period
        course = scaled(turn_between(self._rotation_asked or target, target), 1 / h)
        way = turn_between(rotation, target)
        rule = (limits.step_rad, limits.turn, limits.turn_acceleration)
        step, asked, allowed, goal = pursued(way, course, before, rule, h)
        turn = approached(before, goal, limits.turn_acceleration * h)
        findings += changes(
            ("step", way, step), ("turn", asked, allowed), ("turn_acceleration", allowed, turn)
        )
        self._rotation_asked = target
        return (target if turn is asked else turned(rotation, scaled(turn, h))), turn

    def _sent(self) -> Sent:
        return Sent(np.array([[*(self._position or NOTHING), *self._rotation]]), np.zeros(1))


def pursued(
    way: Vector, course: Vector, before: Vector, rule: tuple[float, float, float], h: float
) -> tuple[Vector, Vector, Vector, Vector]:
    """Along `way` in one period `h`: the step, the velocity it asks, what is allowed of it, what to aim for.

    rule: the longest step, the highest velocity, the highest acceleration, of metres or of radians. Where the
    step cannot be gone as it is, the aim closes in on the target's own velocity `course`. What a rule leaves
    alone is returned as the very object that it was.
    """
    longest, fastest, acceleration = rule
    step = shortened(way, longest)
    asked = scaled(step, 1 / h)
    allowed = shortened(asked, fastest)
    if way is step and can_reach(before, asked, fastest, acceleration * h):
        return step, asked, allowed, allowed
    goal = closing_in(way, shortened(course, fastest), acceleration, h)
    return step, asked, allowed, shortened(goal, min(fastest, longest / h))
