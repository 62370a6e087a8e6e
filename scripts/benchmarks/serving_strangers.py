"""Clients that a policy server must turn away while it serves others: each tries again and again."""

import asyncio
import contextlib
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed, InvalidHandshake, InvalidStatus

from imitate.serving.server import OPENING_S

PAUSE_S = 1.0
"""Between two tries of one of them."""
SLACK_S = 20.0
"""Past the limit of a handshake, on a machine that has other things to do."""
MALFORMED, OVERSIZED = 1003, 1009
UNAUTHORIZED = 401


@dataclass
class Strangers:
    """tried, turned_away: how often, by kind. let_in: what should not have been; longest_s: until let go."""

    port: int
    headers: dict[str, str]
    too_large: int
    tried: Counter[str] = field(default_factory=Counter)
    turned_away: Counter[str] = field(default_factory=Counter)
    let_in: list[str] = field(default_factory=list)
    longest_s: dict[str, float] = field(default_factory=dict)

    def kinds(self) -> dict[str, Callable[[], Awaitable[bool]]]:
        """One try of each; whether it was turned away as it should."""
        return {
            "malformed": self.malformed,
            "oversized": self.oversized,
            "unauthenticated": self.unauthenticated,
            "slow-loris": self.slow_loris,
        }

    async def keep_trying(self, kind: str, over: asyncio.Event) -> None:
        """Until the end; tries that meet no server, or one that is killed, do not count."""
        attempt = self.kinds()[kind]
        while not over.is_set():
            began = time.monotonic()
            # A server that was just killed closes without a word.
            with contextlib.suppress(OSError, ConnectionClosed, InvalidHandshake, EOFError):
                refused = await attempt()
                self.tried[kind] += 1
                self.turned_away[kind] += refused
                if not refused:
                    self.let_in.append(f"{kind} after {time.monotonic() - began:.1f} s")
                self.longest_s[kind] = max(self.longest_s.get(kind, 0.0), time.monotonic() - began)
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(over.wait(), PAUSE_S)

    async def malformed(self) -> bool:
        """Bytes that are no question, from one who knows the token."""
        return await self._closed_after(b"\xff" * 100, MALFORMED)

    async def oversized(self) -> bool:
        """A message larger than any question."""
        return await self._closed_after(b"\x00" * self.too_large, OVERSIZED)

    async def unauthenticated(self) -> bool:
        """One without the token."""
        try:
            async with connect(f"ws://127.0.0.1:{self.port}", compression=None, proxy=None):
                return False
        except InvalidStatus as error:
            return error.response.status_code == UNAUTHORIZED

    async def slow_loris(self) -> bool:
        """A handshake at one byte per second, which would last for hours."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        until_s = time.monotonic() + OPENING_S + SLACK_S
        try:
            gone = asyncio.create_task(reader.read())
            for byte in b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nX-A: " + b"a" * 100:
                writer.write(bytes([byte]))
                done, _ = await asyncio.wait([gone], timeout=1.0)
                if done or time.monotonic() > until_s:
                    break
            answer = gone.result() if gone.done() else b"101"
            return b" 101" not in answer and gone.done()
        finally:
            gone.cancel()
            writer.close()

    async def _closed_after(self, message: bytes, code: int) -> bool:
        async with connect(
            f"ws://127.0.0.1:{self.port}",
            additional_headers=self.headers,
            compression=None,
            proxy=None,
            max_size=None,
        ) as connection:
            await connection.recv()
            try:
                await connection.send(message)
                await asyncio.wait_for(connection.recv(), SLACK_S)
            except ConnectionClosed as error:
                if error.rcvd is None:
                    raise
                return error.rcvd.code == code
            except TimeoutError:
                return False
            return False
