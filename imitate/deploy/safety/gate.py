"""The safety gate: the one place that every command passes, and what is sent when none may pass.

The order of rules is that of common practice: finite values, names, soft position limits, velocity against
what was last sent, acceleration, jerk, room to brake, and the jump guard against the measured state, which
stops and does not shorten. What is inside of all limits passes unchanged.
"""

import math
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np

from imitate.deploy.command import Command
from imitate.deploy.robot import Snapshot
from imitate.deploy.safety.ages import DEFAULT_PERIODS
from imitate.deploy.safety.bounds import AxisBounds, Bounds, GroupBounds
from imitate.deploy.safety.by_kind import JumpLimits
from imitate.deploy.safety.filters import (
    RefusedError,
    measured_value,
    order_of,
    require_finite,
    require_near,
    require_recent,
)
from imitate.deploy.safety.gripper import GripperFilter
from imitate.deploy.safety.joints import Findings, GroupFilter, Measured, PositionFilter, Sent, VelocityFilter
from imitate.deploy.safety.pose import PoseFilter
from imitate.deploy.safety.tool import TwistFilter, pose_gap
from imitate.deploy.safety.trajectory import TrajectoryFilter

PACE_TOLERANCE = 0.9
"""Of a period: how much earlier than the pace a command may come, since ticks are never quite even."""

LONGEST_RATE_S = 1.0
"""After such a silence a robot that follows rates has stopped: its own watchdog must see to that."""


@dataclass(frozen=True)
class Intervention:
    """The gate changed or refused a command: when (local monotonic s), which group, which rule, and how."""

    time_s: float
    group: str
    rule: str
    detail: str


@dataclass(frozen=True)
class Decision:
    """command: what to send; None: send `SafetyGate.hold` in its place, in this same tick."""

    command: Command | None
    interventions: tuple[Intervention, ...] = ()


class _Group:
    """What the gate remembers of one group."""

    def __init__(self, name: str, bounds: GroupBounds, filter_: GroupFilter) -> None:
        self.name, self.bounds, self.filter = name, bounds, filter_
        self.sent_s = self.next_s = -math.inf
        self.is_held = False

    def rests_after_s(self, period_s: float) -> float:
        """The silence after which the group is at rest; grippers and trajectories are not streamed."""
        if self.bounds.kind == "gripper" or self.bounds.is_trajectory:
            return math.inf
        silence_s = DEFAULT_PERIODS * period_s
        return silence_s if self.bounds.kind in ("joint_position", "pose") else max(silence_s, LONGEST_RATE_S)


class SafetyGate:
    """Lets through what keeps `bounds` and changes or refuses everything else.

    Limits between setpoints are those of an even pace of `bounds.period_s`; a command that comes so early
    that more than one extra is sent in a period is refused. A group that was sent nothing for three periods,
    of rates for a second, has stopped: like after every hold it starts anew where it is measured. max_age_s:
    of the measured state, three periods and at least 0.1 s where None. One thread at a time may use it.
    """

    def __init__(self, bounds: Bounds, max_age_s: float | None = None) -> None:
        self._bounds, self._period = bounds, bounds.period_s
        self._max_age_s = max(0.1, DEFAULT_PERIODS * self._period) if max_age_s is None else max_age_s
        self._groups = {
            name: _Group(name, group, filter_for(group, bounds.jump, self._period))
            for name, group in bounds.groups.items()
        }
        self._last_s, self._proposed, self._sequence = -math.inf, -1, 0
        self._counts: Counter[str] = Counter()

    @property
    def counts(self) -> Mapping[str, int]:
        """How often each rule intervened."""
        return dict(self._counts)

    def check(self, command: Command, snapshot: Snapshot, now_s: float) -> Decision:
        """What to send in place of `command` at `now_s`, local monotonic time in s.

        What is sent is numbered by the gate, holds included, and made at `now_s`. Sequence numbers of the
        commands given must rise.
        """
        try:
            sent, findings = self._limited(command, snapshot, now_s)
        except RefusedError as refusal:
            return Decision(None, self._noted(command, now_s, [(refusal.rule, refusal.detail)]))
        except Exception as error:  # Whatever goes wrong in here must end in a hold.
            return Decision(None, self._noted(command, now_s, [("error", repr(error))]))
        noted = self._noted(command, now_s, findings) if findings else ()
        return Decision(self._numbered(self._groups[command.group], sent, now_s, False), noted)

    def hold(self, snapshot: Snapshot, now_s: float, but: frozenset[str] = frozenset()) -> list[Command]:
        """What keeps the robot still, or slows it down within its limits; send it every tick of a hold.

        Positions and poses slow down to where they then stay; velocities and twists slow down to zeros, which
        are repeated; grippers keep what was sent last. Positions that we never commanded get none, nor do the
        groups `but`, and groups that were sent something just now. Slowing down goes on from what was sent,
        so a wrong measurement cannot change it; but a robot at rest that is measured further away than jumps
        may be was moved by somebody else, and is not called back.
        """
        commands = []
        now_s = now_s if math.isfinite(now_s) else self._last_s
        for group in self._groups.values():
            just_sent = 0 <= now_s - group.sent_s < (1 - PACE_TOLERANCE) * self._period
            if just_sent or group.name in but:
                continue
            if self._was_silent(group, now_s):
                group.filter.paused()
            was_at_rest = group.is_held and group.filter.is_still
            sent = group.filter.stop(now_s)
            group.is_held = True
            # The first hold is sent whatever is measured: a trajectory may still be under way.
            if sent is not None and not (was_at_rest and self._was_moved(group, sent, snapshot, now_s)):
                commands.append(self._numbered(group, sent, now_s, True))
        return commands

    def is_still(self) -> bool:
        """Whether what was sent last leaves every group at rest."""
        return all(group.filter.is_still for group in self._groups.values())

    def reset(self) -> None:
        """Forget all that was sent: everything starts anew where it is measured.

        Only for a robot that is at rest, or to which nothing was really sent; after holds it is not needed.
        """
        for group in self._groups.values():
            group.filter.forget()
            group.sent_s = group.next_s = -math.inf
            group.is_held = False
        self._last_s, self._proposed = -math.inf, -1

    def _limited(self, command: Command, snapshot: Snapshot, now_s: float) -> tuple[Sent, Findings]:
        self._require_next(command)
        self._require_clock(now_s)
        group = self._groups.get(command.group)
        if group is None or command.kind != group.bounds.kind:
            raise RefusedError("names", f"no group {command.group!r} takes {command.kind}")
        require_finite(command, group.bounds.size)
        require_recent(command.made_s, now_s, self._period)
        command = _in_order(command, order_of(tuple(command.names), group.bounds.names))
        self._require_pace(group, now_s)
        measured = self._measured(group, snapshot, now_s)
        return group.filter.limit(command, measured, self._has_stopped(group, now_s))

    def _was_moved(self, group: _Group, sent: Sent, snapshot: Snapshot, now_s: float) -> bool:
        """Whether a group at rest is known to be elsewhere than where it would be held."""
        kind, jump = group.bounds.kind, self._bounds.jump
        if kind not in ("joint_position", "pose"):
            return False
        try:
            measured = self._measured(group, snapshot, now_s).value
            value = sent.values[-1].tolist()
            if kind == "pose":
                gap, angle = pose_gap(value, measured)
                return gap > jump.tool_m or angle > jump.tool_rad
            require_near(value, measured, jump.joint, group.bounds)
        except RefusedError as refusal:
            return refusal.rule == "jump"
        return False

    def _require_clock(self, now_s: float) -> None:
        last = self._last_s
        if not math.isfinite(now_s):
            raise RefusedError("clock", f"the clock reads {now_s}")
        self._last_s = now_s
        if now_s < last:
            raise RefusedError("clock", f"the clock went back by {last - now_s:.3g} s")

    def _require_next(self, command: Command) -> None:
        if command.sequence <= self._proposed:
            raise RefusedError("sequence", f"command {command.sequence} after {self._proposed}")
        self._proposed = command.sequence

    def _require_pace(self, group: _Group, now_s: float) -> None:
        """The generic cell rate algorithm (ITU-T I.371): a steady pace with a tolerance."""
        if group.bounds.is_trajectory:
            return
        if group.next_s - now_s > 2 * self._period:
            group.next_s = now_s  # The clock went back, which was refused when it was seen.
        if now_s < group.next_s - PACE_TOLERANCE * self._period - 1e-9:
            raise RefusedError("pace", f"{group.next_s - now_s:.3g} s too early")

    def _has_stopped(self, group: _Group, now_s: float) -> bool:
        """Whether the group starts anew where it is measured; grippers go on holding what they hold."""
        stopped = group.is_held and group.filter.is_still and group.bounds.kind != "gripper"
        return stopped or self._was_silent(group, now_s)

    def _was_silent(self, group: _Group, now_s: float) -> bool:
        return now_s - group.sent_s > group.rests_after_s(self._period)

    def _measured(self, group: _Group, snapshot: Snapshot, now_s: float) -> Measured:
        reading = snapshot.measured.get(group.name)
        value = measured_value(reading, group.bounds, now_s, self._max_age_s)
        arrived = reading.arrived_s if reading else now_s
        return Measured(value.tolist(), arrived, now_s - arrived)

    def _numbered(self, group: _Group, sent: Sent, now_s: float, is_held: bool) -> Command:
        bounds = group.bounds
        group.sent_s = now_s
        group.next_s = max(group.next_s, now_s) + self._period
        self._sequence += 1
        group.is_held = is_held
        return Command(
            group.name,
            bounds.kind,
            bounds.names,
            sent.values,
            sent.times_s,
            now_s,
            self._sequence,
            sent.velocities,
        )

    def _noted(self, command: Command, now_s: float, findings: Findings) -> tuple[Intervention, ...]:
        group = str(getattr(command, "group", ""))
        self._counts.update(rule for rule, _ in findings)
        return tuple(Intervention(now_s, group, rule, detail) for rule, detail in findings)


def filter_for(bounds: GroupBounds, jump: JumpLimits, period_s: float) -> GroupFilter:
    """The filter of one group's kind."""
    if bounds.gripper is not None:
        gripper = bounds.gripper
        if not bounds.is_trajectory:
            return GripperFilter(bounds, gripper, period_s)
        low, high, speed = gripper.low, gripper.high, gripper.speed
        axis = AxisBounds(
            low, high, low, high, speed, 2 * speed / period_s, math.inf, math.inf, period_s, False
        )
        return TrajectoryFilter(bounds, (axis,) * bounds.size, math.inf, period_s)
    if bounds.tool is not None and bounds.kind == "pose":
        return PoseFilter(bounds.tool, jump, period_s)
    if bounds.tool is not None:
        return TwistFilter(bounds, bounds.tool, jump, period_s)
    if bounds.kind == "joint_velocity":
        return VelocityFilter(bounds, jump.joint)
    if bounds.is_trajectory:
        return TrajectoryFilter(bounds, bounds.axes, jump.joint, period_s)
    return PositionFilter(bounds, jump.joint)


def _in_order(command: Command, order: list[int] | None) -> Command:
    if order is None:
        return command
    velocities = None if command.velocities is None else command.velocities[:, order]
    names = tuple(command.names[i] for i in order)
    return replace(command, names=names, values=np.asarray(command.values)[:, order], velocities=velocities)
