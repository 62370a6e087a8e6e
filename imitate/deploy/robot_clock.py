"""The robot's clock, told from the stamps of its messages: commands are stamped in the robot's time."""

import threading
import time
from collections import deque

WINDOW_S = 2.0


class RobotClock:
    """How far the robot's clock is from our monotonic one.

    A stamp is older than its arrival by the way it came, so of the last seconds the greatest difference is
    the best guess, and a low one: a command stamped with it seems older to the robot than it is, never
    younger. Without stamps it is the wall clock of this machine.
    """

    def __init__(self) -> None:
        self._offsets: deque[tuple[float, float]] = deque(maxlen=1000)
        self._lock = threading.Lock()

    def observe(self, stamp_s: float | None, arrived_s: float) -> None:
        """Note a message's stamp and its local monotonic arrival time."""
        if stamp_s is None:
            return
        offset = stamp_s - arrived_s
        with self._lock:
            # What is smaller and older than the newest will never be the greatest again.
            while self._offsets and self._offsets[-1][1] <= offset:
                self._offsets.pop()
            self._offsets.append((arrived_s, offset))
            while self._offsets[0][0] < arrived_s - WINDOW_S:
                self._offsets.popleft()

    def time_s(self, now_s: float) -> float:
        """The robot's time in s at the local monotonic time `now_s`."""
        with self._lock:
            if not self._offsets:
                return time.time()
            return max(0.0, now_s + self._offsets[0][1])
