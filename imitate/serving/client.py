"""A policy somewhere else, asked over a WebSocket; needs websockets, msgpack and numpy."""

import itertools
import ssl
import time
from collections.abc import Mapping
from contextlib import ExitStack, suppress
from types import TracebackType
from typing import Any

import numpy as np

from imitate.errors import ServerError, SpecError, import_extra
from imitate.serving.wire import PROTOCOL, array, pack, unpack
from imitate.spec import DataSpec

FIRST_PAUSE_S, LONGEST_PAUSE_S = 0.05, 1.0
FULL = 503
"""The status of a server that has as many clients as it takes: there may be room soon."""
LARGEST_BYTES = 64 << 20


class PolicyClient:
    """Connects at once, and again whenever the connection is lost; not safe for several threads.

    spec: what the policy observes and does. obs_steps, action_steps: To and Ta. plan_steps: P where it may be
    told what is planned already, as obs["plan"] (P, Da) float32, see imitate.history; or 0. `timeout_s` is
    how long connecting and each question may take, all attempts together.
    """

    def __init__(
        self, url: str, token: str | None = None, timeout_s: float = 5.0, tls: ssl.SSLContext | None = None
    ) -> None:
        """`url` is ws://host:port or wss://host:port; raises ServerError where nobody lets us in."""
        self._url, self._timeout_s, self._tls = url, timeout_s, tls
        self._headers = {"Authorization": f"Bearer {token}"} if token else {}
        self._connection: Any = None
        self._open = ExitStack()
        self._ids = itertools.count(1)
        self._hello: dict[str, Any] | None = None
        self._persist(lambda _: None)
        hello: dict[str, Any] = self._hello or {}
        try:
            self.spec = DataSpec.from_json(hello["spec"])
            self.obs_steps, self.action_steps = int(hello["obs_steps"]), int(hello["action_steps"])
            self.plan_steps = int(hello.get("plan_steps", 0))
        except (KeyError, TypeError, ValueError, SpecError) as error:
            raise ServerError(f"{url} does not say what its policy observes and does: {error!r}") from error
        self.origin: Mapping[str, Any] = hello.get("origin", {})

    def predict(self, obs: Mapping[str, np.ndarray | str], seed: int | None = None) -> np.ndarray:
        """The chunk (Ta, Da) after observing {name: (To, …)}, both in physical units; a sentence is a text.

        The same `seed` gives the same noise; None lets the server draw. A question whose answer was lost with
        the connection is asked again. Raises ServerError for what the server refuses, or after `timeout_s`.
        """
        seen = {key: value if isinstance(value, str) else np.asarray(value) for key, value in obs.items()}
        question: dict[str, Any] = {"id": next(self._ids), "obs": seen}
        if seed is not None:
            question["seed"] = seed
        data = pack(question)

        def ask(until_s: float) -> np.ndarray:
            self._connection.send(data)
            while True:
                reply = unpack(self._connection.recv(timeout=max(0.0, until_s - time.monotonic())))
                if reply.get("id") == question["id"]:
                    return self._answer(reply)

        found: np.ndarray = self._persist(ask)
        return found

    def close(self) -> None:
        """Leave; safe to call twice."""
        self._connection = None
        self._open.close()

    def __enter__(self) -> "PolicyClient":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _answer(self, reply: Mapping[str, Any]) -> np.ndarray:
        if "error" in reply:
            raise _RefusedError(f"{self._url}: {reply['error']}")
        found = array(reply.get("action"), "the server's action")
        expected = (self.action_steps, self.spec.action.size)
        if found.shape != expected or not np.isfinite(found).all():
            raise _RefusedError(f"{self._url} sent a chunk {found.shape}, expected {expected} finite numbers")
        return found

    def _persist(self, work: Any) -> Any:
        """Do `work` on a connection, over and over until it succeeds or the time is up."""
        until_s, pause_s = time.monotonic() + self._timeout_s, FIRST_PAUSE_S
        lost: tuple[type[Exception], ...] = (OSError, ServerError, *_lost())
        problem: Exception | None = None
        while True:
            try:
                if self._connection is None:
                    self._connect(until_s)
                return work(until_s)
            except _RefusedError:
                raise
            except lost as error:
                # A server that said why is not forgotten because the last of the time ran out in silence.
                problem = problem if problem is not None and isinstance(error, TimeoutError) else error
                with suppress(Exception):
                    self.close()
            if time.monotonic() + pause_s >= until_s:
                raise ServerError(
                    f"{self._url} gave no answer within {self._timeout_s:g} s ({_short(problem)}): is  "
                    "imitate serve  running there?"
                ) from problem
            time.sleep(pause_s)
            pause_s = min(2 * pause_s, LONGEST_PAUSE_S)

    def _connect(self, until_s: float) -> None:
        client, exceptions = (import_extra(f"websockets.{m}", "serve") for m in ("sync.client", "exceptions"))
        left_s = max(0.01, until_s - time.monotonic())
        try:
            socket = client.connect(
                self._url,
                additional_headers=self._headers,
                ssl=self._tls,
                open_timeout=left_s,
                close_timeout=0.2,
                compression=None,
                max_size=LARGEST_BYTES,
                proxy=None,
            )
            self._connection = self._open.enter_context(socket)
        except exceptions.InvalidURI as error:
            raise _RefusedError(
                f"{self._url!r} is no address of a server, expected ws://HOST:PORT"
            ) from error
        except exceptions.InvalidStatus as error:
            if error.response.status_code != FULL:
                raise _RefusedError(f"{self._url} turned us away: {_said(error.response)}") from error
            raise
        hello = unpack(self._connection.recv(timeout=left_s))
        if hello.get("protocol") != PROTOCOL:
            raise _RefusedError(f"{self._url} speaks protocol {hello.get('protocol')!r}, expected {PROTOCOL}")
        if self._hello is not None and hello.get("spec") != self._hello.get("spec"):
            raise _RefusedError(f"{self._url} has another policy now, which observes or does other things")
        self._hello = hello


class _RefusedError(ServerError):
    """Asking again would not help."""


def _lost() -> tuple[type[Exception], ...]:
    exceptions = import_extra("websockets.exceptions", "serve")
    return (exceptions.WebSocketException, TimeoutError, EOFError)


def _said(response: Any) -> str:
    text = (response.body or b"").decode(errors="replace").strip()
    return text.splitlines()[0][:100] if text else f"status {response.status_code}"


def _short(error: Exception) -> str:
    return (" ".join(str(error).split()) or type(error).__name__)[:120]
