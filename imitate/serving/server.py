"""A policy that answers over WebSockets: several clients at once, none of which can hurt the others."""

import asyncio
import http
import json
import logging
import math
import secrets
import time
from dataclasses import dataclass, field
from typing import Any

from imitate.errors import ConfigError, ServerError, import_extra
from imitate.serving.access import Access, AccessConfig
from imitate.serving.answering import Answerer, question_of
from imitate.serving.batching import Batcher
from imitate.serving.metrics import Metrics
from imitate.serving.wire import PROTOCOL, pack, unpack

LOG = logging.getLogger(__name__)

OPENING_S = 5.0
"""Whoever has not finished the handshake after so long is turned away."""
PING_S = 10.0
"""A client that does not answer a ping for so long is gone, or does not read."""
SLACK_BYTES = 65_536
"""Of a message besides the numbers of the observations."""
LEAVING_S = 5.0


@dataclass(frozen=True)
class ServerConfig:
    """host, port: where to listen; 0 for any free port. clients: at most so many at a time. batch: at most so
    many are answered in one call of the policy. idle_s: a client that asks nothing for so long is let go.
    """

    host: str = "127.0.0.1"
    port: int = 8765
    clients: int = 64
    batch: int = 32
    idle_s: float = 600.0
    access: AccessConfig = field(default_factory=AccessConfig)

    def __post_init__(self) -> None:
        if not 0 <= self.port < 65536:
            raise ConfigError(f"server.port is {self.port}, expected 0 to 65535")
        for name in ("clients", "batch"):
            if getattr(self, name) < 1:
                raise ConfigError(f"server.{name} is {getattr(self, name)}, expected at least 1")
        if not self.idle_s > 0:
            raise ConfigError(f"server.idle_s is {self.idle_s}, expected above 0")


class PolicyServer:
    """Use as `async with PolicyServer(…) as server:`; `server.port` says where it listens.

    Each client has one question under way: the next one is read when the answer is out, so whoever asks
    faster than the policy answers is slowed down by TCP, and nothing piles up here. /health and /metrics
    answer plain HTTP.
    """

    def __init__(self, answerer: Answerer, config: ServerConfig) -> None:
        self._answerer, self._config = answerer, config
        self._access: Access = config.access.build(config.host)
        self.metrics = Metrics()
        self._batcher = Batcher(answerer, config.batch, self.metrics)
        self._hello = pack(
            {
                "protocol": PROTOCOL,
                "spec": answerer.spec.to_json(),
                "obs_steps": answerer.obs_steps,
                "action_steps": answerer.action_steps,
                "plan_steps": answerer.plan_steps,
                "origin": dict(answerer.origin),
            }
        )
        self._worker: asyncio.Task[None] | None = None
        self._listening: Any = None
        self.port = config.port

    async def __aenter__(self) -> "PolicyServer":
        server = import_extra("websockets.asyncio.server", "serve")
        self._worker = asyncio.create_task(self._batcher.work())
        try:
            self._listening = await server.serve(
                self._serve,
                self._config.host,
                self._config.port,
                ssl=self._access.tls,
                process_request=self._admit,
                max_size=message_bytes(self._answerer),
                max_queue=1,
                compression=None,
                open_timeout=OPENING_S,
                ping_interval=PING_S,
                ping_timeout=PING_S,
                close_timeout=1.0,
                server_header=None,
                logger=_quiet(),
            )
        except OSError as error:
            await self._end()
            raise ServerError(
                f"cannot listen on {self._config.host} port {self._config.port}: {error.strerror or error}"
            ) from error
        self.port = next(iter(self._listening.sockets)).getsockname()[1]
        return self

    async def __aexit__(self, *_: object) -> None:
        """Answer what was asked, say goodbye, and stop."""
        self._listening.close()
        try:
            await asyncio.wait_for(self._listening.wait_closed(), LEAVING_S)
        except TimeoutError:
            LOG.warning("some clients did not say goodbye")
        await self._end()

    async def _end(self) -> None:
        assert self._worker is not None
        self._worker.cancel()
        await asyncio.gather(self._worker, return_exceptions=True)
        self._batcher.close()

    def _admit(self, connection: Any, request: Any) -> Any:
        """Before a connection becomes a WebSocket: None lets it in."""
        if request.path == "/health":
            return connection.respond(http.HTTPStatus.OK, json.dumps({"status": "ok"}) + "\n")
        if not self._access.allows(request.headers):
            self.metrics.turned_away["no token"] += 1
            return connection.respond(http.HTTPStatus.UNAUTHORIZED, "the token is missing or wrong\n")
        if request.path == "/metrics":
            return connection.respond(http.HTTPStatus.OK, self.metrics.text())
        if self.metrics.clients >= self._config.clients:
            self.metrics.turned_away["full"] += 1
            return connection.respond(http.HTTPStatus.SERVICE_UNAVAILABLE, "there are too many clients\n")
        return None

    async def _serve(self, connection: Any) -> None:
        exceptions = import_extra("websockets.exceptions", "serve")
        self.metrics.clients += 1
        try:
            await connection.send(self._hello)
            while True:
                data = await asyncio.wait_for(connection.recv(), self._config.idle_s)
                await self._answer(connection, data)
        except TimeoutError:
            self.metrics.turned_away["idle"] += 1
            await connection.close(1001, f"nothing was asked for {self._config.idle_s:g} s")
        except ServerError as error:
            self.metrics.turned_away["malformed"] += 1
            await connection.close(1003, str(error)[:100])
        except exceptions.ConnectionClosed as error:
            if error.sent is not None and error.sent.code == 1009:
                self.metrics.turned_away["oversized"] += 1
        finally:
            self.metrics.clients -= 1

    async def _answer(self, connection: Any, data: bytes | str) -> None:
        """Answer one message; raises ServerError where it is none, so that nobody knows what was meant."""
        began = time.perf_counter()
        message = unpack(data)
        reply: dict[str, Any] = {"id": message.get("id")}
        if not isinstance(reply["id"], int):
            raise ServerError("a question has no id, expected a whole number")
        try:
            question = question_of(message, self._answerer, secrets.randbits(62))
            answer = await self._batcher.ask(question)
            reply |= {"action": answer.chunk, "batch": answer.batch, "seconds": answer.seconds}
        except ServerError as error:
            self.metrics.refused += 1
            reply["error"] = str(error)
        await connection.send(pack(reply))
        if "action" in reply:
            self.metrics.answer(time.perf_counter() - began)


def message_bytes(answerer: Answerer) -> int:
    """The most that a question can take: observations and plan as float64, and what is said besides."""
    numbers = sum(math.prod(spec.shape) * (1 if spec.is_image else 8) for spec in answerer.spec.obs.values())
    plan = answerer.plan_steps * answerer.spec.action.size * 8
    return answerer.obs_steps * numbers + plan + SLACK_BYTES


def _quiet() -> logging.Logger:
    """websockets writes a traceback for each stranger that speaks no HTTP."""
    logger = logging.getLogger("imitate.serving.connections")
    logger.setLevel(logging.CRITICAL)
    return logger
