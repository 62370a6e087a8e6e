"""Ctrl-C and SIGTERM while training: finish the step, save, and stop."""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType


class Interrupted(BaseException):
    """The person or the machine wants the work to stop: `number` is the signal that said so.

    Not an Exception, as KeyboardInterrupt is not one: nothing on the way may take it for a failure.
    """

    def __init__(self, number: int) -> None:
        super().__init__(signal.Signals(number).name)
        self.number = number

    def __reduce__(self) -> tuple[type["Interrupted"], tuple[int]]:
        """It may come from another process."""
        return Interrupted, (self.number,)


class Interrupts:
    """What SIGINT and SIGTERM do: at first they are only remembered, so that a step is never cut."""

    def __init__(self) -> None:
        self.received: int | None = None
        self._at_once = False

    def check(self) -> None:
        """Raise Interrupted where a signal has arrived."""
        if self.received is not None:
            raise Interrupted(self.received)

    @contextmanager
    def at_once(self) -> Iterator[None]:
        """Raise as soon as a signal arrives: for work that may be cut anywhere."""
        self._at_once = True
        try:
            self.check()
            yield
        finally:
            self._at_once = False

    def handle(self, number: int, frame: FrameType | None) -> None:
        """The signal handler; a second signal is not waited for."""
        again = self.received is not None
        self.received = number
        if self._at_once or again:
            raise Interrupted(number)


@contextmanager
def interrupts() -> Iterator[Interrupts]:
    """Take over SIGINT and SIGTERM while the context is open; in a thread, where none arrive, do nothing."""
    taken = Interrupts()
    if threading.current_thread() is not threading.main_thread():
        yield taken
        return
    before = {number: signal.signal(number, taken.handle) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield taken
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
