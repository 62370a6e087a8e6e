"""A policy server in this process, whose policy doubles what it sees."""

import asyncio
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import numpy as np

from imitate.errors import BundleError
from imitate.serving.answering import Question
from imitate.serving.server import PolicyServer, ServerConfig
from imitate.spec import ArraySpec, DataSpec

SPEC = DataSpec({"x": ArraySpec((2,)), "eye": ArraySpec((4, 6, 3), "uint8")}, ArraySpec((2,)), 10.0)
OBS = {"x": np.ones((2, 2), np.float32), "eye": np.zeros((2, 4, 6, 3), np.uint8)}


class Doubling:
    """The chunk is twice the newest x, then x plus the seed; an x of 13 makes it fail."""

    spec, obs_steps, action_steps, plan_steps, origin = SPEC, 2, 2, 0, {"kind": "test"}

    def __init__(self, seconds: float = 0.0) -> None:
        self._seconds = seconds
        self.batches: list[int] = []

    def answer(self, questions: Sequence[Question]) -> np.ndarray:
        time.sleep(self._seconds)
        self.batches.append(len(questions))
        if any(q.obs["x"][-1, 0] == 13 for q in questions):
            raise BundleError("thirteen is too much")
        return np.stack([[2 * q.obs["x"][-1], q.obs["x"][-1] + q.seed] for q in questions])


@contextmanager
def serving(answerer: Doubling, config: ServerConfig | None = None) -> Iterator[PolicyServer]:
    """The server in a thread of its own, at ws://127.0.0.1:(its port)."""
    loop, ready, ended = asyncio.new_event_loop(), threading.Event(), asyncio.Event()
    running: list[PolicyServer] = []

    async def run() -> None:
        async with PolicyServer(answerer, config or ServerConfig(port=0)) as server:
            running.append(server)
            ready.set()
            await ended.wait()

    thread = threading.Thread(target=loop.run_until_complete, args=(run(),), daemon=True)
    thread.start()
    try:
        assert ready.wait(10), "the server did not start"
        yield running[0]
    finally:
        loop.call_soon_threadsafe(ended.set)
        thread.join(10)
        loop.close()
