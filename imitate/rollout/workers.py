"""Where hosts of environments run: in this process, or in worker processes.

Worker and parent share a pipe for actions and results, and the memory in which slots show what they see.
"""

import multiprocessing
import signal
import threading
import traceback
from collections import deque
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from contextlib import ExitStack, closing, contextmanager, suppress
from dataclasses import replace
from functools import partial
from multiprocessing.connection import Connection
from typing import Any, Protocol

import numpy as np
import torch

from imitate.errors import EnvError, ImitateError
from imitate.rollout.host import LANES, EnvFacts, EnvHost, HostOrder, Reports

JOIN_S = 2.0
"""How long a worker may take to leave after its pipe is closed before it is killed, in seconds."""


class Place(Protocol):
    """Somewhere that slots of `rows` live. `send` does not wait, so that all places work at the same time.

    Answers come in the order of what was sent. The first two are those of both lanes' first observations,
    for which nothing need be sent.
    """

    rows: frozenset[int]

    def begin(self) -> EnvFacts:
        """Wait for the first environment."""

    def send(self, actions: Mapping[int, np.ndarray]) -> None:
        """Give {slot: actions (n, Da)} to execute."""

    def receive(self) -> Reports:
        """Wait for the next answer."""


class Here:
    """Slots in this process."""

    def __init__(self, order: HostOrder) -> None:
        self.rows = frozenset(order.queues)
        self._host = EnvHost(order)
        self._sent: deque[Callable[[], Reports]] = deque(partial(self._host.start, lane) for lane in LANES)

    def begin(self) -> EnvFacts:
        """See Place."""
        return self._host.facts

    def send(self, actions: Mapping[int, np.ndarray]) -> None:
        """See Place."""
        self._sent.append(partial(self._host.advance, actions))

    def receive(self) -> Reports:
        """See Place."""
        return self._sent.popleft()()

    def close(self) -> None:
        """Close the environments."""
        self._host.close()


class Worker:
    """Slots in a process of their own. It ends when its pipe closes, also when this process is killed."""

    def __init__(self, order: HostOrder) -> None:
        self.rows = frozenset(order.queues)
        context = _context()
        self._pipe, theirs = context.Pipe()
        self._process = context.Process(target=_serve, args=(theirs, order), daemon=True)
        self._process.start()
        theirs.close()

    def begin(self) -> EnvFacts:
        """See Place."""
        facts: EnvFacts = self._answer()
        return facts

    def send(self, actions: Mapping[int, np.ndarray]) -> None:
        """See Place."""
        try:
            self._pipe.send(actions)
        except OSError:
            while True:  # what it said before it left, its reason last
                self._answer()

    def receive(self) -> Reports:
        """See Place."""
        reports: Reports = self._answer()
        return reports

    def close(self) -> None:
        """Let the process leave; one that does not is killed."""
        self._pipe.close()
        self._process.join(JOIN_S)
        if self._process.is_alive():
            self._process.kill()
            self._process.join()
        self._process.close()

    def _answer(self) -> Any:
        try:
            answer = self._pipe.recv()
        except (EOFError, OSError):
            raise self._death() from None
        if isinstance(answer, ImitateError):
            raise answer
        return answer

    def _death(self) -> EnvError:
        self._process.join(JOIN_S)
        code = self._process.exitcode
        how = f"signal {-code}" if code is not None and code < 0 else f"exit code {code}"
        return EnvError(
            f"a rollout worker died ({how}) while it played rows {sorted(self.rows)}; "
            "if memory ran out, use fewer workers or a smaller batch"
        )


def _context() -> Any:
    """A way to start processes that does not copy this one's threads and locks.

    A fork server imports torch once, and later workers start from it in milliseconds.
    """
    if "forkserver" not in multiprocessing.get_all_start_methods():
        return multiprocessing.get_context("spawn")
    from multiprocessing import forkserver  # not everywhere

    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload([__name__])
    with _ignoring_ctrl_c():
        forkserver.ensure_running()
    return context


@contextmanager
def _ignoring_ctrl_c() -> Iterator[None]:
    """Processes that start in this block ignore Ctrl-C from their first moment on.

    It reaches the whole process group, and would otherwise cut an import short with a traceback.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


def _serve(pipe: Connection, order: HostOrder) -> None:
    """The life of a worker: build, then answer each message, until the pipe closes."""
    # Signals to the whole process group mean what the parent makes of them; it ends us by closing the pipe.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    torch.set_num_threads(1)
    # Of the pipe: the parent closed it, or is gone.
    with suppress(EOFError, ConnectionError), closing(_answers(pipe, order)) as answers:
        for answer in answers:
            pipe.send(answer)


def _answers(pipe: Connection, order: HostOrder) -> Generator[Any]:
    """What the parent is told; an error is the last."""
    try:
        with closing(EnvHost(order)) as host:
            yield host.facts
            for lane in LANES:
                yield host.start(lane)
            while True:
                yield host.advance(pipe.recv())
    except Exception as error:
        yield _portable(error)


def _portable(error: Exception) -> ImitateError:
    """An error that pickles, with the worker's traceback as a note."""
    plain = error if isinstance(error, ImitateError) else EnvError(f"{type(error).__name__}: {error}")
    plain.add_note(f"in a rollout worker:\n{traceback.format_exc()}")
    return plain


@contextmanager
def places(order: HostOrder, workers: int) -> Iterator[Sequence[Place]]:
    """The rows of `order` dealt to `workers` processes; 0 keeps them in this one."""
    with ExitStack() as stack:
        opened: list[Here | Worker] = []
        for share in _dealt(order, max(1, workers)):
            place = Worker(share) if workers else Here(share)
            stack.callback(place.close)
            opened.append(place)
        yield opened


def _dealt(order: HostOrder, shares: int) -> list[HostOrder]:
    """Rows dealt round, the longest queues first, so that all have about as much to play."""
    rows = sorted(order.queues, key=lambda row: (-len(order.queues[row]), row))
    dealt = [sorted(rows[share::shares]) for share in range(shares)]
    return [replace(order, queues={row: order.queues[row] for row in some}) for some in dealt if some]
