"""Trajectories of joints: every point and every segment is checked, and what is too fast is given more time.

A controller that gets positions and velocities follows a cubic between two points; one that gets positions
alone goes straight and changes its velocity at once. Both are checked as what they are. Accelerations of
cubics jump at the points, by no more than twice the limit; the jerk that is limited is that within segments.
"""

import math

import numpy as np

from imitate.deploy.command import Command
from imitate.deploy.safety.bounds import AxisBounds, GroupBounds
from imitate.deploy.safety.course import Course
from imitate.deploy.safety.filters import RefusedError, require_inside, require_near
from imitate.deploy.safety.joints import Findings, Measured, Sent

MOST_POINTS = 1000

STRETCHES = (1.0, 1.1, 1.25, 1.5, 2.0, 3.0, 4.0)
"""How much longer than asked a trajectory may take before it is refused."""

LONGEST_LEAD_S = 2.0
"""The first point may be put off this far, so that the way there from where the robot is can be made."""

TOLERANCE = 1 + 1e-6


class TrajectoryFilter:
    """One group whose chunks are sent as trajectories, each of which replaces the one before."""

    def __init__(self, bounds: GroupBounds, axes: tuple[AxisBounds, ...], jump: float, period: float) -> None:
        self._bounds, self._jump, self._period = bounds, jump, period
        self._low = np.array([axis.lower for axis in axes])
        self._high = np.array([axis.upper for axis in axes])
        self._turns = np.array([axis.is_continuous for axis in axes])
        self._velocity = np.array([axis.velocity for axis in axes]) * TOLERANCE
        self._acceleration = np.array([axis.acceleration for axis in axes])
        self._jerk = np.array([axis.jerk for axis in axes]) * TOLERANCE
        self.forget()

    @property
    def is_still(self) -> bool:
        """See GroupFilter."""
        return self._is_still

    def forget(self) -> None:
        """See GroupFilter."""
        self._course: Course | None = None
        self._is_still = True

    def paused(self) -> None:
        """See GroupFilter; a trajectory knows itself when it ends."""

    def limit(self, command: Command, measured: Measured, anew: bool) -> tuple[Sent, Findings]:
        """See GroupFilter."""
        require_rising(command.times_s)
        if self._bounds.axes:
            require_inside(measured.value, self._bounds)
        here, moving = np.array(measured.value), np.zeros(self._bounds.size)
        now_s = measured.arrived_s + measured.age_s
        if self._course is not None and not anew:
            here, moving = self._course.at(now_s)
            if self._bounds.axes:
                require_near(here.tolist(), measured.value, self._jump, self._bounds)
        points, velocities, findings = self._clipped(command, here)
        course, rule = self._in_time(now_s, here, moving, command.times_s, points, velocities)
        if rule:
            late = course.times_s[-1] - now_s - command.times_s[-1]
            findings.append((rule, f"the trajectory ends {late:.3g} s later than asked"))
        self._course, self._is_still = course, False
        return course.sent(now_s), findings

    def stop(self, now_s: float) -> Sent | None:
        """See GroupFilter: a trajectory that comes to rest; a group that we never moved is left alone."""
        if self._course is None:
            return None
        here, moving = self._course.at(now_s)
        self._is_still = not np.abs(moving).max() > 1e-9
        self._course = self._braking(now_s, here, moving)
        return self._course.sent(now_s)

    def _braking(self, now_s: float, here: np.ndarray, moving: np.ndarray) -> Course:
        """Each joint slows down evenly and rests at one of the points, so that the cubics are exact."""
        needed = np.abs(moving) / self._acceleration
        width = max(self._period, float(needed.max()) / 20)
        steps = np.maximum(1, np.ceil(needed / width - 1e-9))
        count = int(steps.max())
        at = np.minimum(np.arange(count + 1)[:, None], steps) * width
        rest = steps * width
        points = here + moving * (at - at * at / (2 * rest))
        velocities = moving * (1 - at / rest)
        low, high = np.minimum(self._low, here), np.maximum(self._high, here)
        return Course(now_s + np.arange(count + 1) * width, np.clip(points, low, high), velocities)

    def _clipped(self, command: Command, here: np.ndarray) -> tuple[np.ndarray, np.ndarray | None, Findings]:
        """Points inside of the soft limits, velocities that are 0 where a point was moved and at the end."""
        asked = np.asarray(command.values, np.float64)
        if self._turns.any():
            steps = np.diff(np.vstack([here, asked]), axis=0)
            steps[:, self._turns] = np.remainder(steps[:, self._turns] + math.pi, 2 * math.pi) - math.pi
            asked = np.where(self._turns, here + np.cumsum(steps, axis=0), asked)
        points = clip_points(asked, self._low, self._high)
        moved = points != asked
        findings: Findings = []
        if moved.any():
            findings.append(("position", f"{int(moved.any(axis=1).sum())} of {len(points)} points"))
        if command.velocities is None:
            return points, None, findings
        velocities = np.where(moved, 0.0, command.velocities)
        if velocities[-1].any():
            findings.append(("end", "the velocities at the last point are not 0"))
            velocities[-1] = 0.0
        return points, velocities, findings

    def _in_time(
        self,
        now_s: float,
        here: np.ndarray,
        moving: np.ndarray,
        times_s: np.ndarray,
        points: np.ndarray,
        velocities: np.ndarray | None,
    ) -> tuple[Course, str | None]:
        """The course with the least more time in which no rule is broken, and the rule that asked for it."""
        all_points = np.vstack([here, points])
        low, high = np.minimum(self._low, here) - 1e-9, np.maximum(self._high, here) + 1e-9
        first: str | None = None
        for stretch in STRETCHES:
            slopes = None if velocities is None else velocities / stretch
            onward = (times_s - times_s[0]) * stretch
            rule = self._rule_broken_after_the_first(onward, points, slopes, low, high)
            first = first or rule
            for lead in () if rule else self._leads(float(times_s[0]) * stretch):
                ends = None if slopes is None else np.vstack([moving, slopes])
                times = now_s + np.concatenate([[0.0], lead + onward])
                course = Course(times, all_points, ends, moving)
                rule = self.broken_rule(course, low, high)
                if rule is None:
                    return course, first
                first = first or rule
        raise RefusedError(first or "velocity", "the trajectory is too fast, and more time does not mend it")

    def _rule_broken_after_the_first(
        self,
        times_s: np.ndarray,
        points: np.ndarray,
        velocities: np.ndarray | None,
        low: np.ndarray,
        high: np.ndarray,
    ) -> str | None:
        """What no other way to the first point would mend."""
        if len(points) < 2:
            return None
        moving = (points[1] - points[0]) / (times_s[1] - times_s[0])
        return self.broken_rule(Course(times_s, points, velocities, moving), low, high)

    def _leads(self, asked: float) -> list[float]:
        least = max(asked, self._period)
        later = [least * 1.5**i for i in range(1, 14)]
        return [least, *(lead for lead in later if lead <= LONGEST_LEAD_S)]

    def broken_rule(self, course: Course, low: np.ndarray, high: np.ndarray) -> str | None:
        """The first rule that a course breaks between any two of its points."""
        if (np.abs(course.peak_velocities()) > self._velocity).any():
            return "velocity"
        if (np.abs(course.accelerations()) > self._acceleration * TOLERANCE).any():
            return "acceleration"
        if (np.abs(course.jerks()) > self._jerk).any():
            return "jerk"
        hull = course.hull()
        return "position" if (hull < low).any() or (hull > high).any() else None


def clip_points(points: np.ndarray, low: np.ndarray, high: np.ndarray) -> np.ndarray:
    """Points (n, D) inside of low (D,) to high (D,)."""
    return np.clip(points, low, high)


def require_rising(times_s: np.ndarray) -> None:
    """Refuse times that do not rise strictly from 0 or more, and more points than anyone needs."""
    if len(times_s) > MOST_POINTS:
        raise RefusedError("points", f"{len(times_s)} points, expected at most {MOST_POINTS}")
    if times_s[0] < 0 or (np.diff(times_s) <= 0).any():
        raise RefusedError("times", "the times of the points do not rise strictly from 0 or more")
