"""Streamed joints: positions or velocities that keep every limit from one setpoint to the next."""

import math
from typing import NamedTuple, Protocol

import numpy as np

from imitate.deploy.command import Command
from imitate.deploy.safety.axis import Motion, coming_to_rest, toward_position, toward_velocity
from imitate.deploy.safety.bounds import AxisBounds, GroupBounds
from imitate.deploy.safety.filters import RefusedError, require_inside, require_near, wrapped

Findings = list[tuple[str, str]]
"""Rules that changed a command, each with its detail."""


class Measured(NamedTuple):
    """A group's state: (D,), or (7,) of a tool; when it arrived, and how old it is now, in s."""

    value: list[float]
    arrived_s: float
    age_s: float


class Sent(NamedTuple):
    """What goes out: setpoints (n, D), their times (n,) in s, and velocities (n, D) along a trajectory."""

    values: np.ndarray
    times_s: np.ndarray
    velocities: np.ndarray | None = None


class GroupFilter(Protocol):
    """Limits of one group, with the memory of what was sent that they need."""

    @property
    def is_still(self) -> bool:
        """Whether what was sent last leaves the group at rest."""

    def forget(self) -> None:
        """Start anew from the state that is measured next, and have nothing to say till then."""

    def paused(self) -> None:
        """Nothing was sent for so long that the robot is at rest."""

    def limit(self, command: Command, measured: Measured, anew: bool) -> tuple[Sent, Findings]:
        """What may be sent in place of `command`; raises RefusedError, changing nothing, where nothing may.

        anew: start where the group is measured, at rest.
        """

    def stop(self, now_s: float) -> Sent | None:
        """The next setpoint of coming to rest and staying there; None where there is nothing to say."""


class PositionFilter:
    """Joint positions, one setpoint per period."""

    def __init__(self, bounds: GroupBounds, jump: float) -> None:
        self._bounds, self._jump = bounds, jump
        self._motions: list[Motion] = []
        self._range: list[tuple[float, float]] = []

    @property
    def is_still(self) -> bool:
        """See GroupFilter."""
        return all(m.velocity == 0 and m.acceleration == 0 for m in self._motions)

    def forget(self) -> None:
        """See GroupFilter."""
        self._motions = []

    def paused(self) -> None:
        """See GroupFilter."""
        self._motions = [Motion(m.position) for m in self._motions]

    def limit(self, command: Command, measured: Measured, anew: bool) -> tuple[Sent, Findings]:
        """See GroupFilter."""
        state, bounds = measured.value, self._bounds
        require_inside(state, bounds)
        motions, ranges = self._motions, self._range
        if anew or not motions:
            motions = [Motion(value) for value in state]
            ranges = [_widened(axis, value) for axis, value in zip(bounds.axes, state, strict=True)]
        findings: Findings = []
        onward = []
        for i, target in enumerate(one_point(command)):
            axis, motion = bounds.axes[i], motions[i]
            inside = clip_position(_unwrapped(target, motion.position, axis), axis)
            moved, rule = toward_position(motion, inside, *ranges[i], axis)
            if inside != target and not axis.is_continuous:
                findings.append(("position", f"{bounds.names[i]}: {target:.4g} → {inside:.4g}"))
            if rule:
                findings.append((rule, f"{bounds.names[i]}: {inside:.4g} → {moved.position:.4g}"))
            onward.append(moved)
        require_near([m.position for m in onward], state, self._jump, bounds)
        self._motions, self._range = onward, ranges
        return self._sent(), findings

    def stop(self, now_s: float) -> Sent | None:
        """See GroupFilter; a group that we never moved is left to its controller."""
        if not self._motions:
            return None
        each = zip(self._motions, self._range, self._bounds.axes, strict=True)
        self._motions = [coming_to_rest(motion, *limits, axis) for motion, limits, axis in each]
        return self._sent()

    def _sent(self) -> Sent:
        return Sent(np.array([[m.position for m in self._motions]]), np.zeros(1))


class VelocityFilter:
    """Joint velocities, one setpoint per period; positions are those that are measured."""

    def __init__(self, bounds: GroupBounds, jump: float) -> None:
        self._bounds, self._jump = bounds, jump
        self.forget()

    @property
    def is_still(self) -> bool:
        """See GroupFilter."""
        return all(m.velocity == 0 and m.acceleration == 0 for m in self._motions)

    def forget(self) -> None:
        """See GroupFilter."""
        self._motions = [Motion(0.0)] * self._bounds.size
        self._before: Measured | None = None

    def paused(self) -> None:
        """See GroupFilter."""
        self._motions = [Motion(0.0)] * self._bounds.size

    def limit(self, command: Command, measured: Measured, anew: bool) -> tuple[Sent, Findings]:
        """See GroupFilter."""
        bounds = self._bounds
        require_inside(measured.value, bounds)
        self._require_continuous(measured)
        motions = [Motion(0.0)] * bounds.size if anew else self._motions
        findings: Findings = []
        onward = []
        for i, target in enumerate(one_point(command)):
            axis, motion = bounds.axes[i], motions[i]
            here = motion._replace(position=measured.value[i] + motion.velocity * max(0.0, measured.age_s))
            moved, rule = toward_velocity(here, target, *_widened(axis, here.position), axis)
            if rule:
                findings.append((rule, f"{bounds.names[i]}: {target:.4g} → {moved.velocity:.4g}"))
            onward.append(moved)
        self._motions = onward
        return self._sent(), findings

    def stop(self, now_s: float) -> Sent | None:
        """See GroupFilter; zeros also where nothing was sent, for they can do no harm."""
        each = zip(self._motions, self._bounds.axes, strict=True)
        self._motions = [coming_to_rest(motion, -math.inf, math.inf, axis) for motion, axis in each]
        return self._sent()

    def _require_continuous(self, measured: Measured) -> None:
        """The jump guard of velocities: the measured state must not move faster than joints can."""
        before, self._before = self._before, measured
        if before is None or measured.arrived_s <= before.arrived_s:
            return
        elapsed = measured.arrived_s - before.arrived_s
        each = zip(self._bounds.names, measured.value, before.value, self._bounds.axes, strict=True)
        for name, now, then, axis in each:
            gap = abs(wrapped(now - then) if axis.is_continuous else now - then)
            if gap > self._jump + axis.velocity * elapsed:
                raise RefusedError(
                    "jump", f"{name} is measured {gap:.4g} from where it was {elapsed:.3g} s ago"
                )

    def _sent(self) -> Sent:
        return Sent(np.array([[m.velocity for m in self._motions]]), np.zeros(1))


def clip_position(position: float, axis: AxisBounds) -> float:
    """The nearest position inside of the soft limits."""
    return min(max(position, axis.lower), axis.upper)


def one_point(command: Command) -> list[float]:
    """The setpoint (D,) of a streamed command; refused where there are several."""
    if len(command.values) != 1:
        raise RefusedError(
            "points", f"{len(command.values)} points at once, expected 1 where values are streamed"
        )
    return list(map(float, command.values[0].tolist()))


def _widened(axis: AxisBounds, position: float) -> tuple[float, float]:
    """Soft limits that a joint which is outside of them may come back from, but not leave further."""
    return min(axis.lower, position), max(axis.upper, position)


def _unwrapped(target: float, position: float, axis: AxisBounds) -> float:
    """The angle `target` of a continuous joint on the turn that is nearest to `position`."""
    if not axis.is_continuous or abs(target - position) <= math.pi:
        return target
    return position + wrapped(target - position)
