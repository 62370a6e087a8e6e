"""Progress on stderr: a live bar on a terminal, a plain line now and then in a log file."""

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, TaskID, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.progress import Progress as Bars

from imitate.progress import Progress, Task

PLAIN_PERIOD_S = 10.0


class _BarTask:
    def __init__(self, bars: Bars, task: TaskID) -> None:
        self.bars, self.task = bars, task

    def advance(self, amount: float = 1.0, note: str = "") -> None:
        """Move the bar."""
        self.bars.advance(self.task, amount)
        if note:
            self.bars.update(self.task, note=note)


class TerminalProgress:
    """Bars with remaining time, for a person at a terminal."""

    def __init__(self) -> None:
        self.console = Console(stderr=True, highlight=False)

    @contextmanager
    def task(self, label: str, total: float, unit: str = "") -> Iterator[Task]:
        """Show one bar while the context is open."""
        columns = (
            TextColumn("{task.description}"),
            BarColumn(bar_width=24),
            TextColumn("{task.percentage:>3.0f}%"),
            TimeElapsedColumn(),
            TextColumn("left"),
            TimeRemainingColumn(),
            TextColumn("{task.fields[note]}"),
        )
        with Bars(*columns, console=self.console) as bars:
            yield _BarTask(bars, bars.add_task(label, total=total, note=""))

    def say(self, text: str) -> None:
        """Show one line."""
        self.console.print(text, markup=False)


class _PlainTask:
    def __init__(self, label: str, total: float, unit: str) -> None:
        self.label, self.total, self.unit = label, total, unit
        self.done, self.note = 0.0, ""
        self.started = self.shown = time.monotonic()

    def advance(self, amount: float = 1.0, note: str = "") -> None:
        """Print a line when the last one is old enough."""
        self.done += amount
        self.note = note or self.note
        if time.monotonic() - self.shown >= PLAIN_PERIOD_S:
            self.show()

    def show(self) -> None:
        """Print how far the work is and how long it will still take."""
        self.shown = time.monotonic()
        elapsed = self.shown - self.started
        text = f"{self.label}: {_amount(self.done)}/{_amount(self.total)} {self.unit}".rstrip()
        text += f", {elapsed:.0f} s"
        if self.done:
            # Shares that are added up may end a rounding beyond the total.
            text += f", {elapsed * max(0.0, self.total / self.done - 1):.0f} s left"
        print(f"{text}  {self.note}".rstrip(), file=sys.stderr, flush=True)


def _amount(value: float) -> str:
    """Whole numbers as they are, shares of a percent with one decimal."""
    return f"{value:.1f}".removesuffix(".0")


class PlainProgress:
    """A line every ten seconds, for logs and pipes."""

    @contextmanager
    def task(self, label: str, total: float, unit: str = "") -> Iterator[Task]:
        """Print lines while the context is open, and one at its end."""
        task = _PlainTask(label, total, unit)
        yield task
        task.show()

    def say(self, text: str) -> None:
        """Print one line."""
        print(text, file=sys.stderr, flush=True)


def progress_for_stderr() -> Progress:
    """Bars on a terminal, plain lines elsewhere."""
    return TerminalProgress() if sys.stderr.isatty() else PlainProgress()
