"""One client of the bridge server: what it asked for, and its own thread for sending."""

import threading
import time
from collections import deque
from dataclasses import dataclass
from typing import Any

from imitate.errors import import_extra

QUEUE = 100
"""Frames that wait for a slow client; beyond, the oldest are dropped. Nobody else waits for it."""


@dataclass
class Subscription:
    """What a client wants of a topic; `gap_s` is the least time between two messages."""

    compression: str
    gap_s: float
    sent_s: float = float("-inf")

    def is_due(self, now_s: float) -> bool:
        """Whether a message may go out now; counts it as sent then."""
        if now_s - self.sent_s < self.gap_s:
            return False
        self.sent_s = now_s
        return True


class BridgeSession:
    """Frames to one client, sent in order from a thread of its own."""

    def __init__(self, websocket: Any) -> None:
        self.websocket = websocket
        self.subscriptions: dict[str, Subscription] = {}
        self.advertised: set[str] = set()
        self._frames: deque[str | bytes] = deque(maxlen=QUEUE)
        self._changed = threading.Condition()
        self._is_over = False
        self._thread = threading.Thread(target=self._send_all, name="bridge sender", daemon=True)
        self._thread.start()

    def send(self, data: str | bytes) -> None:
        """Send soon."""
        with self._changed:
            self._frames.append(data)
            self._changed.notify()

    def offer(self, topic: str, encode: dict[str, Any]) -> None:
        """Send a published message if it is subscribed and due; `encode` gives frames by compression."""
        subscription = self.subscriptions.get(topic)
        if subscription is None or not subscription.is_due(time.monotonic()):
            return
        data = encode["cbor" if subscription.compression == "cbor" else "none"]()
        if data is not None:
            self.send(data)

    def close(self) -> None:
        """End the thread; the websocket is closed by its server."""
        with self._changed:
            self._is_over = True
            self._changed.notify()
        self._thread.join()

    def _send_all(self) -> None:
        closed = import_extra("websockets.exceptions", "ros").ConnectionClosed
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._frames or self._is_over)
                if self._is_over:
                    return
                data = self._frames.popleft()
            try:
                self.websocket.send(data)
            except (closed, OSError):
                return
