"""Questions of many clients become few calls of the policy: what came while one call ran is the next one."""

import asyncio
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np

from imitate.errors import ImitateError, ServerError
from imitate.serving.answering import Answerer, Question
from imitate.serving.metrics import Metrics


@dataclass(frozen=True)
class Answer:
    """The chunk (Ta, Da), how many questions were answered with it, and how long that took in s."""

    chunk: np.ndarray
    batch: int
    seconds: float


class Batcher:
    """`ask` waits for the policy, which computes in a thread of its own.

    Nobody waits for a batch to fill: alone, a question is answered at once, and under load the batch is what
    came meanwhile, at most `largest`. Each connection has one question under way, so the queue is as long as
    there are clients at most.
    """

    def __init__(self, answerer: Answerer, largest: int, metrics: Metrics) -> None:
        self._answerer, self._largest, self._metrics = answerer, largest, metrics
        self._waiting: asyncio.Queue[tuple[Question, asyncio.Future[Answer]]] = asyncio.Queue()
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="policy")

    async def ask(self, question: Question) -> Answer:
        """The answer; raises ServerError where the policy fails."""
        future: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
        self._waiting.put_nowait((question, future))
        self._metrics.waiting = self._waiting.qsize()
        return await future

    async def work(self) -> None:
        """Answer until cancelled."""
        while True:
            asked = [await self._waiting.get()]
            while len(asked) < self._largest and not self._waiting.empty():
                asked.append(self._waiting.get_nowait())
            # Nobody waits for the answer to a client that has left.
            wanted = [(question, future) for question, future in asked if not future.done()]
            if wanted:
                await self._answer(wanted)

    async def _answer(self, asked: Sequence[tuple[Question, "asyncio.Future[Answer]"]]) -> None:
        loop, questions = asyncio.get_running_loop(), [question for question, _ in asked]
        began = time.perf_counter()
        try:
            chunks = await loop.run_in_executor(self._thread, self._answerer.answer, questions)
            error = None
        except Exception as problem:  # one bad batch must not end the server
            what = (
                str(problem) if isinstance(problem, ImitateError) else f"{type(problem).__name__}: {problem}"
            )
            error = ServerError(f"the policy failed: {what:.300}")
        seconds = time.perf_counter() - began
        self._metrics.batch(len(asked), seconds)
        for row, (_, future) in enumerate(asked):
            if future.done():
                continue
            if error is not None:
                future.set_exception(error)
            elif not np.isfinite(chunks[row]).all():
                future.set_exception(ServerError("the policy gave an action that is not finite"))
            else:
                future.set_result(Answer(chunks[row], len(asked), seconds))

    def close(self) -> None:
        """Let the thread end; safe to call twice."""
        self._thread.shutdown(wait=False)
