"""From planned actions to the commands of one group: a value for this tick, or a trajectory for a chunk."""

from collections.abc import Sequence

import numpy as np

from imitate.deploy.command import Command
from imitate.deploy.fit import Join
from imitate.deploy.spline import evaluate, slopes

LOOK_AHEAD = 3
"""Waypoints that shape a streamed course: slopes depend on the neighbours of a point alone."""


class Setpoints:
    """The course of one group.

    The action of a control step is where joints and poses are to be when the step ends; grippers, twists and
    joint velocities take its value throughout the step. `interpolate` makes a smooth course of positions;
    without it they, too, are sent as they are, for controllers that smooth them on their own.
    """

    def __init__(self, group: str, joined: Join, interpolate: bool) -> None:
        self._group, self._join, self._target = group, joined, joined.targets[group]
        self._is_rate = self._target.kind in ("twist", "joint_velocity")
        self._is_course = interpolate and self._target.kind == "joint_position"
        self._value = self._velocity = self._base = np.zeros(0)
        self._time_s, self._step = 0.0, -1

    @property
    def size(self) -> int:
        """D."""
        return len(self._target.action)

    @property
    def is_trajectory(self) -> bool:
        """Whether commands are sent once per chunk."""
        return self._target.form == "trajectory"

    def start(self, value: np.ndarray, now_s: float) -> None:
        """Begin at rest where the group is, (D,)."""
        self._value, self._velocity = np.array(value, np.float64), np.zeros(len(value))
        self._base, self._time_s, self._step = self._value, now_s, -1

    def sent(self, command: Command) -> None:
        """Go on from what was really sent, which may be less than what was asked."""
        if self.is_trajectory or self._is_rate:
            return
        value = command.values[-1]
        if len(value) == len(self._value):
            elapsed = command.made_s - self._time_s
            self._velocity = (value - self._value) / elapsed if elapsed > 0 else np.zeros_like(value)
        self._value, self._time_s = value, command.made_s

    def streamed(
        self,
        now_s: float,
        step: int,
        ends_s: float,
        actions: Sequence[np.ndarray],
        sequence: int,
        pace: float = 1.0,
    ) -> Command:
        """The command for this tick, in control step `step`, which ends at `ends_s`.

        actions: what is planned for this step and the next ones, at least one. pace: how much of the way, or
        of the speed, to go.
        """
        if step != self._step:
            self._base, self._step = self._value, step
        points = self._waypoints(actions[: LOOK_AHEAD if self._is_course else 1])
        value = points[0]
        if self._is_course:
            times = np.array([self._time_s, *self._ends(ends_s, len(points))])
            course = np.stack([self._value, *points])
            value, _ = evaluate(times, course, slopes(times, course, self._velocity), now_s)
        still = np.zeros_like(value) if self._is_rate else self._value
        return self._command((still + pace * (value - still))[None], np.zeros(1), now_s, sequence)

    def trajectory(
        self, now_s: float, ends_s: float, actions: Sequence[np.ndarray], measured: np.ndarray, sequence: int
    ) -> Command:
        """All planned steps as one command that ends at rest; `measured` (D,) is where the group is."""
        self._base = np.array(measured, np.float64)
        points = self._waypoints(actions)
        times = self._ends(ends_s, len(points))
        course, moments = np.stack([self._base, *points]), np.array([now_s, *times])
        velocities = slopes(moments, course, np.zeros(course.shape[1]))[1:]
        return self._command(course[1:], moments[1:] - now_s, now_s, sequence, velocities)

    def _waypoints(self, actions: Sequence[np.ndarray]) -> list[np.ndarray]:
        points: list[np.ndarray] = []
        for action in actions:
            points.append(self._join.values(action, self._group, points[-1] if points else self._base))
        return points

    def _ends(self, first_s: float, count: int) -> list[float]:
        return [first_s + i * self._join.period_s for i in range(count)]

    def _command(
        self,
        values: np.ndarray,
        times_s: np.ndarray,
        now_s: float,
        sequence: int,
        velocities: np.ndarray | None = None,
    ) -> Command:
        target = self._target
        return Command(self._group, target.kind, target.names, values, times_s, now_s, sequence, velocities)
