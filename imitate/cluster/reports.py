"""How a worker tells the command what it does: lines of JSON in a file of the run's folder.

The folder is where the checkpoints go, so every machine sees it already.
"""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from imitate.progress import Progress, Task

FILE = ".cluster.jsonl"
STOP = ".cluster.stop"


@dataclass(frozen=True)
class Reporter:
    """A Progress that writes to a file; `label` is of the task that is open."""

    file: Path
    label: str = ""

    def say(self, text: str) -> None:
        """Pass one line on."""
        self._write({"say": text})

    @contextmanager
    def task(self, label: str, total: float, unit: str = "") -> Iterator["Reporter"]:
        """Pass the progress of a piece of work on."""
        self._write({"task": label, "total": total, "unit": unit})
        yield Reporter(self.file, label)

    def advance(self, amount: float = 1.0, note: str = "") -> None:
        """Pass on that `amount` is done."""
        self._write({"of": self.label, "amount": amount, "note": note})

    def _write(self, line: dict[str, Any]) -> None:
        with self.file.open("a") as file:
            file.write(json.dumps(line) + "\n")


@dataclass
class Reports:
    """Shows in `progress` what a Reporter writes to `file`; work begun anew goes on where its bar stands."""

    file: Path
    progress: Progress
    bar: Task
    shown: float = 0.0
    _done: float = 0.0
    _read: int = 0
    _rest: str = field(default="", repr=False)

    def look(self) -> bool:
        """Show what is new; whether anything is."""
        try:
            with self.file.open() as file:
                file.seek(self._read)
                text = file.read()
                self._read = file.tell()
        except FileNotFoundError:
            return False
        *lines, self._rest = (self._rest + text).split("\n")
        for line in lines:
            self._show(json.loads(line))
        return bool(lines)

    def _show(self, line: dict[str, Any]) -> None:
        if "say" in line:
            self.progress.say(line["say"])
        elif line.get("task") == "train":
            self._done = 0.0
        elif line.get("of") == "train":
            self._done += line["amount"]
            self.bar.advance(max(0.0, self._done - self.shown), line["note"])
            self.shown = max(self.shown, self._done)
