"""Whether the robot may move: disconnected → idle → armed → running → hold → fault, each change recorded.

Only a person arms, and only arming leads out of a fault. A hold is left by a person too, unless the settings
allow it to end by itself once everything has been fresh for a while.
"""

import enum
import threading
from dataclasses import dataclass

from imitate.errors import ConfigError, RobotError


class State(enum.StrEnum):
    """What the robot is allowed to do.

    Idle and armed observe and send nothing; running sends what the gate lets through; hold and fault send
    what keeps the robot still.
    """

    DISCONNECTED = "disconnected"
    IDLE = "idle"
    ARMED = "armed"
    RUNNING = "running"
    HOLD = "hold"
    FAULT = "fault"


@dataclass(frozen=True)
class Transition:
    """One change of state: when, in s of the local monotonic clock, from what to what, and why."""

    time_s: float
    before: State
    after: State
    why: str


ALLOWED: dict[State, frozenset[State]] = {
    State.DISCONNECTED: frozenset({State.IDLE, State.FAULT}),
    State.IDLE: frozenset({State.ARMED, State.DISCONNECTED, State.FAULT}),
    State.ARMED: frozenset({State.RUNNING, State.IDLE, State.DISCONNECTED, State.FAULT}),
    State.RUNNING: frozenset({State.HOLD, State.IDLE, State.DISCONNECTED, State.FAULT}),
    State.HOLD: frozenset({State.RUNNING, State.IDLE, State.DISCONNECTED, State.FAULT}),
    State.FAULT: frozenset({State.ARMED, State.DISCONNECTED}),
}


class Supervisor:
    """Keeps the state and refuses every change that is not allowed, with RobotError and one line.

    resume_after_s: how long everything must have been fresh before a hold ends by itself; None for never.
    A fault survives a lost connection: after it the robot is in fault again. Methods may be called from any
    thread; `now_s` is local monotonic time.
    """

    def __init__(self, resume_after_s: float | None = None) -> None:
        if resume_after_s is not None and not resume_after_s > 0:
            raise ConfigError(f"deploy.resume_after_s is {resume_after_s}, expected above 0 or null")
        self._resume_after_s = resume_after_s
        self._state = State.DISCONNECTED
        self._events: list[Transition] = []
        self._fresh_since_s: float | None = None
        self._unsettled: str | None = None
        self._lock = threading.RLock()

    @property
    def state(self) -> State:
        """The state now."""
        return self._state

    @property
    def events(self) -> tuple[Transition, ...]:
        """Every change so far, oldest first."""
        with self._lock:
            return tuple(self._events)

    def connect(self, now_s: float) -> None:
        """The robot is reached: idle, or fault again where an earlier one was never settled."""
        with self._lock:
            after = State.FAULT if self._unsettled else State.IDLE
            self._require(State.DISCONNECTED, after)
            self._go(now_s, after, self._unsettled or "connected")

    def disconnect(self, now_s: float, why: str) -> None:
        """The robot is lost or let go of; allowed anywhere, and it must be armed again afterwards."""
        with self._lock:
            if self._state is not State.DISCONNECTED:
                self._go(now_s, State.DISCONNECTED, why)

    def arm(self, now_s: float, by: str) -> None:
        """A person allows motion; the only way out of a fault. `by` is who, and must not be empty."""
        if not by.strip():
            raise RobotError("the robot is armed by a person: say who, as in  by=NAME")
        with self._lock:
            if self._state not in (State.IDLE, State.FAULT):
                raise _refused(self._state, State.ARMED)
            self._unsettled = None
            self._go(now_s, State.ARMED, f"armed by {by}")

    def disarm(self, now_s: float, why: str) -> None:
        """Motion is no longer allowed; from armed, running or hold to idle."""
        with self._lock:
            if self._state not in (State.ARMED, State.RUNNING, State.HOLD):
                raise _refused(self._state, State.IDLE)
            self._go(now_s, State.IDLE, why)

    def start(self, now_s: float) -> None:
        """Begin to move; only from armed."""
        with self._lock:
            self._require(State.ARMED, State.RUNNING)
            self._go(now_s, State.RUNNING, "started")

    def hold(self, now_s: float, why: str) -> None:
        """Stand still for now; only running is changed by it, every other state is at least as still."""
        with self._lock:
            self._fresh_since_s = None
            if self._state is State.RUNNING:
                self._go(now_s, State.HOLD, why)

    def fault(self, now_s: float, why: str) -> None:
        """Stand still until a person arms again; allowed anywhere."""
        with self._lock:
            self._unsettled = self._unsettled or why
            if self._state not in (State.FAULT, State.DISCONNECTED):
                self._go(now_s, State.FAULT, why)

    def resume(self, now_s: float, by: str) -> None:
        """A person ends a hold."""
        if not by.strip():
            raise RobotError("a hold is ended by a person: say who, as in  by=NAME")
        with self._lock:
            self._require(State.HOLD, State.RUNNING)
            self._go(now_s, State.RUNNING, f"resumed by {by}")

    def healthy(self, now_s: float, fresh: bool) -> bool:
        """Say every tick of a hold whether all is fresh; returns whether the hold ended by itself."""
        with self._lock:
            if not fresh or self._state is not State.HOLD:
                self._fresh_since_s = None
                return False
            since = self._fresh_since_s
            if since is None or now_s < since:
                self._fresh_since_s = since = now_s
            if self._resume_after_s is None or now_s - since < self._resume_after_s:
                return False
            self._go(now_s, State.RUNNING, f"fresh for {self._resume_after_s:g} s")
            return True

    def _require(self, before: State, after: State) -> None:
        if self._state is not before:
            raise _refused(self._state, after)

    def _go(self, now_s: float, after: State, why: str) -> None:
        if after not in ALLOWED[self._state]:
            raise _refused(self._state, after)
        self._events.append(Transition(now_s, self._state, after, why))
        self._state, self._fresh_since_s = after, None


def _refused(before: State, after: State) -> RobotError:
    ways = ", ".join(sorted(ALLOWED[before]))
    hint = ": a person must arm it first" if after is State.RUNNING and before is not State.ARMED else ""
    return RobotError(f"the robot is {before} and cannot become {after}{hint} (from {before}: {ways})")
