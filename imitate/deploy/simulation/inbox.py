"""Commands on their way into a simulated robot: only the newest counts, and only while it is fresh."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from imitate.deploy import messages
from imitate.deploy.description import AXES
from imitate.deploy.transport import Message

MAX_AGE_S = 0.1
"""Older commands are never obeyed (MoveIt Servo's incoming_command_timeout)."""


@dataclass(frozen=True)
class Channel:
    """A group of the action's elements and the topics that command it.

    columns: of the action (Da,). names: joints or axes, in their order. topics: by name, their types.
    factor: from the message's unit to the action's (the period, for a velocity that is a displacement per
    step). resting: where a group that keeps its last value begins, from an observation; None for one that
    goes back to zero without a command.
    """

    columns: slice
    names: tuple[str, ...]
    topics: Mapping[str, str]
    factor: float = 1.0
    resting: Callable[[Mapping[str, np.ndarray]], np.ndarray] | None = None


@dataclass(frozen=True)
class Course:
    """Values (n, D) to be reached at times (n,) in s after `made_s`; one at time zero where streamed."""

    times_s: np.ndarray
    values: np.ndarray
    made_s: float


@dataclass(frozen=True)
class Applied:
    """One command that was obeyed: at the local monotonic time `time_s`, `age_s` after it was made."""

    time_s: float
    names: tuple[str, ...]
    age_s: float
    values: np.ndarray


class Inbox:
    """The newest command of one channel. Not safe for threads: its owner locks."""

    def __init__(self, channel: Channel) -> None:
        self.channel = channel
        self.refused = 0
        self._newest: Course | None = None
        self._running: Course | None = None
        self._kept = np.zeros(len(channel.names))

    def reset(self, obs: Mapping[str, np.ndarray]) -> None:
        """Forget every command, and rest where `obs` says the robot is."""
        self._newest = self._running = None
        resting = self.channel.resting
        self._kept = np.zeros(len(self.channel.names)) if resting is None else resting(obs).astype(float)

    def take(self, message: Message, message_type: str, made_s: float, now_s: float) -> None:
        """Note a command; one that is old, of the wrong length or not finite is refused, as robots do."""
        course = _course(message, message_type, self.channel.names, made_s)
        age_s = now_s - made_s
        if course is None or not -MAX_AGE_S <= age_s <= MAX_AGE_S:
            self.refused += 1
            return
        self._newest = course

    def due(self, now_s: float, period_s: float) -> tuple[np.ndarray, Applied | None]:
        """The action's elements (D,) for the step that starts now, and the new command if one is obeyed."""
        applied = None
        if self._newest is not None:
            if now_s - self._newest.made_s <= MAX_AGE_S:
                self._running = self._begun(self._newest)
                applied = Applied(
                    now_s, self.channel.names, now_s - self._newest.made_s, self._newest.values[-1]
                )
            else:
                self.refused += 1
            self._newest = None
        return self._value(now_s + period_s), applied

    def _begun(self, course: Course) -> Course:
        """A course of several points begins where the robot was last sent."""
        if course.times_s[-1] == 0:
            return course
        times = np.concatenate([[0.0], course.times_s])
        return Course(times, np.vstack([self._kept, course.values]), course.made_s)

    def _value(self, at_s: float) -> np.ndarray:
        """Where the robot is to be at `at_s`, when the step ends."""
        running = self._running
        if running is not None:
            since_s = at_s - running.made_s
            values = np.array([np.interp(since_s, running.times_s, c) for c in running.values.T])
            if since_s >= running.times_s[-1]:
                self._running = None
            if self.channel.resting is None:
                return values * self.channel.factor
            self._kept = values * self.channel.factor
        return self._kept.copy()


def _course(message: Message, message_type: str, names: tuple[str, ...], made_s: float) -> Course | None:
    try:
        times, values = _points(message, message_type, names)
    except (KeyError, TypeError, ValueError, IndexError):
        return None
    is_whole = values.shape == (len(times), len(names)) and len(times) > 0
    is_rising = (np.diff(times, prepend=-1.0) > 0).all()
    if not is_whole or not is_rising or not np.isfinite(values).all():
        return None
    return Course(times, values, made_s)


def _points(message: Message, message_type: str, names: tuple[str, ...]) -> tuple[np.ndarray, np.ndarray]:
    if message_type == messages.TRAJECTORY:
        order = [list(message["joint_names"]).index(name) for name in names]
        points: list[Mapping[str, Any]] = message["points"]
        times = [p["time_from_start"]["sec"] + p["time_from_start"]["nanosec"] * 1e-9 for p in points]
        return np.array(times, float), np.array([np.asarray(p["positions"], float)[order] for p in points])
    if message_type == messages.TWIST:
        twist = message["twist"]
        all_six = [twist[part][axis] for part in ("linear", "angular") for axis in "xyz"]
        return np.zeros(1), np.array([[all_six[AXES.index(name)] for name in names]], float)
    return np.zeros(1), np.array([message["data"]], float)
