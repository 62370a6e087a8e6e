"""Time for everything that runs on a robot: monotonic seconds, real or driven by hand."""

import time
from typing import Protocol


class Clock(Protocol):
    """Monotonic time in s; the same one for arrivals, commands and deadlines."""

    def now(self) -> float:
        """Seconds since some fixed moment."""


class RealClock:
    """The machine's monotonic clock."""

    def now(self) -> float:
        """See Clock."""
        return time.monotonic()


class VirtualClock:
    """A clock that stands still until it is moved, for simulations that need not take real time."""

    def __init__(self) -> None:
        self._now = 0.0

    def now(self) -> float:
        """See Clock."""
        return self._now

    def move_to(self, time_s: float) -> None:
        """Go forward to `time_s`."""
        self._now = max(self._now, time_s)
