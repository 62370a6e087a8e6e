"""Results of a benchmark that takes days in one small file, so that another machine can go on."""

import argparse
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from imitate.datasets.durable import only_one, write_durably

RESULT = "cell.json"


def add_options(parser: argparse.ArgumentParser) -> None:
    """The words of a benchmark that goes on from what is done."""
    parser.add_argument("--so-far", action="store_true", help="only show what is done")
    parser.add_argument(
        "--record", type=Path, metavar="FILE", help="take over its results, and keep all there"
    )


def restore(record: Path, out: Path) -> None:
    """Put the record's results where the benchmark keeps its own, as far as they lack there."""
    for cell, found in read(record).items():
        file = out / cell / RESULT
        if not file.exists():
            file.parent.mkdir(parents=True, exist_ok=True)
            write_durably(file, f"{json.dumps(found)}\n".encode())


def keep(record: Path, out: Path) -> None:
    """Write the results under `out` into the record, beside those that it has."""
    with only_one(out / "record.lock"):
        here = {
            file.parent.relative_to(out).as_posix(): json.loads(file.read_text())
            for file in out.rglob(RESULT)
        }
        lines = [json.dumps(pair) for pair in sorted({**read(record), **here}.items())]
        write_durably(record, "".join(f"{line}\n" for line in lines).encode())


def read(record: Path) -> dict[str, dict[str, Any]]:
    """The result of each cell by its folder; none where there is no record yet."""
    return dict(map(json.loads, record.read_text().splitlines())) if record.exists() else {}


def measured_on(rows: Iterable[dict[str, Any]]) -> str:
    """A line that names the processors."""
    return "on " + "; ".join(dict.fromkeys(row["device"] for row in rows))
