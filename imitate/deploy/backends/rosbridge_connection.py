"""One WebSocket to a rosbridge server: it stays connected, is always drained, and keeps nothing to send."""

import itertools
import socket
import struct
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import Any

from imitate.deploy.backends.rosbridge_dialect import frame, parse
from imitate.errors import import_extra

PING_S = 0.5
"""Pings go out this often and must be answered this soon: a frozen server is noticed within a second."""
OPEN_TIMEOUT_S = 3.0
CLOSE_TIMEOUT_S = 0.2
"""The default of 10 s would hold up sending after a failed ping."""
RETRY_S, LONGEST_RETRY_S = 0.1, 1.0
SILENCE_S, LONGEST_SILENCE_S = 3.0, 60.0
"""A topic that never came for so long is subscribed again, then after twice as long, and so on: a ROS 2
server takes over the reliability of publishers that are there when it subscribes, others may not match."""

CONGESTED_S = 0.05
"""A frame that waits in this machine for longer means that the network does not take any."""
SIOCOUTQNSD = 0x894B
"""Linux: bytes of a socket that were not sent yet (linux/sockios.h)."""

OnOperation = Callable[[dict[str, Any], float], None]


def open_socket(url: str, timeout_s: float = OPEN_TIMEOUT_S) -> Any:
    """A connected websocket, as a context manager; raises OSError or websockets' WebSocketException."""
    client = import_extra("websockets.sync.client", "ros")
    return client.connect(
        url,
        open_timeout=timeout_s,
        ping_interval=PING_S,
        ping_timeout=PING_S,
        close_timeout=CLOSE_TIMEOUT_S,
        compression=None,
        max_size=None,
        max_queue=None,
        proxy=None,
    )


def failures() -> tuple[type[Exception], ...]:
    """What a lost or refused connection raises."""
    exceptions = import_extra("websockets.exceptions", "ros")
    return (OSError, exceptions.WebSocketException)


class Connection:
    """A connection with its own thread, which connects, greets, drains and connects again until `close`.

    greetings: sent after every connect, before anything else (advertisements). subscriptions: the frame
    that subscribes each topic, sent then too. on_operation is called with every operation that came and
    the local monotonic time in s. newest_only: of several frames that wait, only the last counts; for
    connections with one topic. renews: topics that never came are subscribed again.
    """

    def __init__(
        self,
        url: str,
        greetings: Sequence[str],
        subscriptions: Mapping[str, str],
        on_operation: OnOperation,
        newest_only: bool = False,
        renews: bool = False,
    ) -> None:
        self.problem = "no answer"
        self._url, self._greetings, self._subscriptions = url, greetings, subscriptions
        self._on_operation, self._newest_only, self._renews = on_operation, newest_only, renews
        self._fragments: dict[str, dict[int, str]] = {}
        self._socket: Any = None
        self._clear_s = float("-inf")
        self._closing = threading.Event()
        self._opened = threading.Event()
        self._thread = threading.Thread(target=self._run, name=f"rosbridge {url}", daemon=True)

    def start(self) -> None:
        """Begin to connect."""
        self._thread.start()

    def wait_open(self, timeout_s: float) -> bool:
        """Whether the connection was opened within `timeout_s`."""
        return self._opened.wait(timeout_s)

    def is_open(self) -> bool:
        """Whether a frame would leave this machine now."""
        current = self._socket
        return current is not None and current.state.name == "OPEN"

    def send(self, text: str) -> bool:
        """Send a frame at once; False where there is no connection, or earlier ones are still waiting."""
        current = self._socket
        if current is None or self._is_congested(current):
            return False
        try:
            current.send(text)
        except failures():
            return False
        return True

    def _is_congested(self, current: Any) -> bool:
        """Whether what was sent before still waits: a command behind it would arrive late."""
        now_s = time.monotonic()
        if _unsent_bytes(current.socket) == 0:
            self._clear_s = now_s
        # Linux holds small frames back for a moment to send several at once (tcp_autocorking).
        return now_s - self._clear_s > CONGESTED_S

    def close(self) -> None:
        """Leave the server and join the thread; safe to call twice."""
        self._closing.set()
        current = self._socket
        if current is not None:
            # Leaving in order: what was sent last (zeros, say) must still get there.
            _set_abort_on_close(current.socket, False)
            with suppress(*failures()):
                current.close()
        if self._thread.is_alive():
            self._thread.join()

    def _run(self) -> None:
        retry_s = RETRY_S
        while not self._closing.is_set():
            try:
                with open_socket(self._url) as current:
                    retry_s = RETRY_S
                    self._greet(current)
                    self._drain(current)
            except failures() as error:
                self.problem = str(error) or type(error).__name__
            finally:
                self._socket = None
            self._fragments.clear()
            if self._closing.wait(retry_s):
                return
            retry_s = min(2 * retry_s, LONGEST_RETRY_S)

    def _greet(self, current: Any) -> None:
        _set_abort_on_close(current.socket, True)
        for text in itertools.chain(self._greetings, self._subscriptions.values()):
            current.send(text)
        self._socket = current
        self._opened.set()

    def _drain(self, current: Any) -> None:
        begin_s = time.monotonic()
        silent = dict.fromkeys(self._subscriptions, (begin_s, SILENCE_S)) if self._renews else {}
        while not self._closing.is_set():
            _acknowledge_at_once(current.socket)
            try:
                waiting = self._receive(current)
            except TimeoutError:
                waiting = []
            arrived_s = time.monotonic()
            for data in waiting:
                # No frame, however malformed, may end the connection; its topic grows old, which shows.
                with suppress(Exception):
                    operation = self._whole(parse(data))
                    silent.pop(operation.get("topic", ""), None)
                    self._on_operation(operation, arrived_s)
            self._subscribe_again(current, silent, arrived_s)

    def _receive(self, current: Any) -> list[str | bytes]:
        """What waits: one frame, or of a connection with one topic only what still matters."""
        frames = [current.recv(timeout=1.0)]
        if not self._newest_only:
            return frames
        with suppress(TimeoutError):
            while True:
                frames.append(current.recv(timeout=0))
        return [data for data in frames[:-1] if _is_fragment(data)] + frames[-1:]

    def _whole(self, operation: dict[str, Any]) -> dict[str, Any]:
        """`operation`, or what its fragments make once they are all there; {} before."""
        if operation.get("op") != "fragment":
            return operation
        parts = self._fragments.setdefault(str(operation["id"]), {})
        parts[int(operation["num"])] = operation["data"]
        if len(parts) < int(operation["total"]):
            return {}
        del self._fragments[str(operation["id"])]
        return parse("".join(parts[number] for number in sorted(parts)))

    def _subscribe_again(self, current: Any, silent: dict[str, tuple[float, float]], now_s: float) -> None:
        for topic, (since_s, patience_s) in silent.items():
            if now_s - since_s > patience_s:
                silent[topic] = (now_s, min(2 * patience_s, LONGEST_SILENCE_S))
                current.send(frame({"op": "unsubscribe", "id": topic, "topic": topic}))
                current.send(self._subscriptions[topic])


def _is_fragment(data: str | bytes) -> bool:
    return isinstance(data, str) and '"fragment"' in data[:200]


def _unsent_bytes(connected: socket.socket) -> int:
    """Bytes that wait in this machine for the network; 0 where nobody can tell."""
    if sys.platform != "linux":
        return 0
    import fcntl

    try:
        return int(struct.unpack("i", fcntl.ioctl(connected.fileno(), SIOCOUTQNSD, b"\0" * 4))[0])
    except (OSError, ValueError):
        return 0


def _set_abort_on_close(connected: socket.socket, abort: bool) -> None:
    """Whether closing throws away what is still unsent: old commands must not arrive after an outage."""
    with suppress(OSError):
        connected.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", int(abort), 0))


def _acknowledge_at_once(connected: socket.socket) -> None:
    """Against Nagle's algorithm at the other end: two small messages would else be 40 ms apart."""
    if hasattr(socket, "TCP_QUICKACK"):
        with suppress(OSError):
            connected.setsockopt(socket.IPPROTO_TCP, socket.TCP_QUICKACK, 1)
