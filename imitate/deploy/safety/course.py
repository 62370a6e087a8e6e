"""What a controller makes of a trajectory: a cubic or a straight line between every two points."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from imitate.deploy.safety.joints import Sent


@dataclass(frozen=True)
class Course:
    """Points (n, D) at times_s (n,) of the local monotonic clock, the first being where the robot is.

    velocities (n, D): at the points, None where straight lines are followed. moving (D,): the velocity
    before the first point, which straight lines leave at once.
    """

    times_s: np.ndarray
    points: np.ndarray
    velocities: np.ndarray | None
    moving: np.ndarray | None = None

    def at(self, now_s: float) -> tuple[np.ndarray, np.ndarray]:
        """Position and velocity (D,) at `now_s`; at rest after the end."""
        times = self.times_s
        if not now_s < times[-1]:
            return self.points[-1], np.zeros_like(self.points[-1])
        i = max(0, int(np.searchsorted(times, now_s, side="right")) - 1)
        t = max(0.0, now_s - times[i])
        p, width, chord = self.points[i], times[i + 1] - times[i], self._chords[i]
        if self.velocities is None:
            return p + chord * t, chord
        v = self.velocities[i]
        start, end = (ends[i] for ends in self._end_accelerations)
        jerk = (end - start) / width
        return p + t * (v + t * (start / 2 + t * jerk / 6)), v + t * (start + t * jerk / 2)

    def sent(self, now_s: float) -> Sent:
        """The points after the first as a command made at `now_s`."""
        velocities = None if self.velocities is None else self.velocities[1:]
        return Sent(self.points[1:], self.times_s[1:] - now_s, velocities)

    def peak_velocities(self) -> np.ndarray:
        """The largest velocity of every segment, (k, D), any number of rows per segment."""
        if self.velocities is None:
            return self._chords
        start, end = self._end_accelerations
        fall = start - end
        inside = start * end < 0
        top = self.velocities[:-1] + np.where(
            inside, self._widths * start * start / (2 * np.where(inside, fall, 1.0)), 0.0
        )
        return np.vstack([self.velocities, top])

    def accelerations(self) -> np.ndarray:
        """The largest accelerations of every segment, (k, D); of straight lines the changes between them."""
        if self.velocities is not None:
            return np.vstack(self._end_accelerations)
        widths = self._widths
        moving = np.zeros(self.points.shape[1]) if self.moving is None else self.moving
        change = np.diff(np.vstack([moving, self._chords, np.zeros_like(moving)]), axis=0)
        between = (np.vstack([widths[:1], widths]) + np.vstack([widths, widths[-1:]])) / 2
        return change / between

    def jerks(self) -> np.ndarray:
        """The jerk within every segment, (k, D); of straight lines the change of accelerations."""
        if self.velocities is None:
            return np.diff(self.accelerations(), axis=0) / self._widths
        start, end = self._end_accelerations
        return (end - start) / self._widths

    def hull(self) -> np.ndarray:
        """Points (k, D) between whose extremes the course lies: those of its Bézier curves."""
        if self.velocities is None:
            return self.points
        third = self._widths / 3
        after = self.points[:-1] + third * self.velocities[:-1]
        before = self.points[1:] - third * self.velocities[1:]
        return np.vstack([self.points, after, before])

    @cached_property
    def _widths(self) -> np.ndarray:
        return np.diff(self.times_s)[:, None]

    @cached_property
    def _chords(self) -> np.ndarray:
        return np.diff(self.points, axis=0) / self._widths

    @cached_property
    def _end_accelerations(self) -> tuple[np.ndarray, np.ndarray]:
        """Accelerations (n - 1, D) at the beginning and the end of every cubic Hermite segment."""
        if self.velocities is None:
            raise ValueError("straight lines have no accelerations")
        chord, v0, v1, width = self._chords, self.velocities[:-1], self.velocities[1:], self._widths
        return (6 * chord - 4 * v0 - 2 * v1) / width, (2 * v0 + 4 * v1 - 6 * chord) / width
