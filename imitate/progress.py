"""How long work tells a person where it is. Libraries call it; only the command line draws it."""

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Protocol


class Task(Protocol):
    """One piece of work being shown."""

    def advance(self, amount: float = 1.0, note: str = "") -> None:
        """Count `amount` more units as done; `note` (loss, speed, success) is shown beside the bar."""


class Progress(Protocol):
    """Something that shows work with its remaining time, and short messages."""

    def task(self, label: str, total: float, unit: str = "") -> AbstractContextManager[Task]:
        """Show a bar of `total` units while the context is open."""

    def say(self, text: str) -> None:
        """Show one line."""


class _SilentTask:
    def advance(self, amount: float = 1.0, note: str = "") -> None:
        """Show nothing."""


class Silent:
    """Shows nothing: the default of every library function."""

    @contextmanager
    def task(self, label: str, total: float, unit: str = "") -> Iterator[Task]:
        """Yield a task that nobody sees."""
        yield _SilentTask()

    def say(self, text: str) -> None:
        """Show nothing."""


SILENT = Silent()
