"""Noticing that this process did not run for a while: what waited for it meanwhile is old."""

import threading
import time

BEAT_S = 0.02
LONGEST_GAP_S = 0.1
"""As old as a command may be at most."""


class Watchdog:
    """A heartbeat of its own thread. After a gap nothing is trusted for a moment.

    A process that was stopped finds old messages in its socket buffers, and they look as if they had just
    arrived; only those with a stamp show their age.
    """

    def __init__(self) -> None:
        self._beat_s = time.monotonic()
        self._distrust_until_s = float("-inf")
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._run, name="watchdog", daemon=True)

    def start(self) -> None:
        """Begin to beat."""
        self._beat_s = time.monotonic()
        self._thread.start()

    def trusts(self, now_s: float) -> bool:
        """Whether a message read at `now_s` cannot have waited here for longer than LONGEST_GAP_S."""
        if self._thread.is_alive() and now_s - self._beat_s > LONGEST_GAP_S:
            return False
        return now_s > self._distrust_until_s

    def close(self) -> None:
        """Join the thread; safe to call twice, and before `start`."""
        self._closing.set()
        if self._thread.is_alive():
            self._thread.join()

    def _run(self) -> None:
        while not self._closing.wait(BEAT_S):
            now_s = time.monotonic()
            # In this order: a reader must never see the new beat without the distrust.
            if now_s - self._beat_s > LONGEST_GAP_S:
                self._distrust_until_s = now_s + LONGEST_GAP_S
            self._beat_s = now_s
