"""Results of a benchmark that takes days in one small file, so that another machine can go on."""

import argparse
import json
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from commands import say

from imitate.datasets.durable import WriterLock, only_one, write_durably
from imitate.errors import DataError

RESULT = "cell.json"


def add_options(parser: argparse.ArgumentParser) -> None:
    """The words of a benchmark that goes on from what is done."""
    parser.add_argument("--so-far", action="store_true", help="only show what is done")
    parser.add_argument("--record", type=Path, metavar="FILE", help="results to go on from and to add to")


class Results:
    """The result of each cell, in its folder under `out` or in the record, where there is one."""

    def __init__(self, out: Path, record: Path | None) -> None:
        self._out, self._record = out, record

    def of(self, folder: Path) -> dict[str, Any] | None:
        """What was found in the cell; None where it is not done."""
        if self.is_from_here(folder):
            return dict(json.loads((folder / RESULT).read_text()))
        return self._recorded().get(folder.relative_to(self._out).as_posix())

    def is_from_here(self, folder: Path) -> bool:
        """Whether the cell was done under `out`, so that all of it is there, not its result alone."""
        return (folder / RESULT).exists()

    def put(self, folder: Path, found: dict[str, Any]) -> None:
        """Keep what was found, in the folder and in the record."""
        write_durably(folder / RESULT, f"{json.dumps(found)}\n".encode())
        if self._record is None:
            return
        with only_one(self._out / "record.lock"):
            recorded = {**self._recorded(), folder.relative_to(self._out).as_posix(): found}
            lines = [json.dumps(pair) for pair in sorted(recorded.items())]
            write_durably(self._record, "".join(f"{line}\n" for line in lines).encode())

    def _recorded(self) -> dict[str, dict[str, Any]]:
        if self._record is None or not self._record.exists():
            return {}
        return dict(map(json.loads, self._record.read_text().splitlines()))


@contextmanager
def claimed(folder: Path) -> Iterator[bool]:
    """Whether the cell in `folder` is this process's until the block ends; where it is another's, says so."""
    folder.mkdir(parents=True, exist_ok=True)
    try:
        lock = WriterLock(folder)
    except DataError:
        say("another process is at it")
        yield False
        return
    try:
        yield True
    finally:
        lock.release()


def measured_on(rows: Iterable[dict[str, Any]]) -> str:
    """A line that names the processors."""
    return "on " + "; ".join(dict.fromkeys(row["device"] for row in rows))
