"""The time of a recording that is played: messages come as far apart as they did, or closer."""

import threading
import time
from collections.abc import Callable


class Player:
    """Runs `play` in a thread; `play` asks `wait` before each message, and stops where it says so."""

    def __init__(self, speed: float) -> None:
        self._speed = speed
        self._first: tuple[float, float] | None = None
        self._closing = threading.Event()
        self._thread: threading.Thread | None = None

    def start(self, play: Callable[[], None]) -> None:
        """Begin to play."""
        self._first = None
        self._closing.clear()
        self._thread = threading.Thread(target=play, name="replay", daemon=True)
        self._thread.start()

    def wait(self, recorded_s: float) -> bool:
        """Until it is time for what was recorded at `recorded_s`; False where the player is being closed."""
        now_s = time.monotonic()
        if self._first is None:
            self._first = (now_s, recorded_s)
        began_s, first_s = self._first
        left_s = began_s + (recorded_s - first_s) / self._speed - now_s
        return not self._closing.wait(left_s) if left_s > 0 else not self._closing.is_set()

    def is_playing(self) -> bool:
        """Whether there is more to come."""
        return self._thread is not None and self._thread.is_alive()

    def close(self) -> None:
        """Stop, and wait for the thread."""
        self._closing.set()
        if self._thread is not None and self._thread is not threading.current_thread():
            self._thread.join()
        self._thread = None
