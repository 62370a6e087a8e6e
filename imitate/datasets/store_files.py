"""Reading what a store of our own says about itself, checked before anything of it is used."""

import itertools
import json
from pathlib import Path
from typing import Any

import numpy as np
import zarr
from zarr.storage import LocalStore

from imitate.datasets.episode_store import EpisodeRecord
from imitate.datasets.zarr_files import read_header, require_chunks, require_increasing
from imitate.errors import DataError

ATTRIBUTE = "imitate"
FORMAT = 1


def read_attributes(path: Path) -> dict[str, Any]:
    """What .zattrs says of the store: spec, source and metadata; raises DataError for other folders."""
    try:
        attributes = json.loads((path / ".zattrs").read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise DataError(f"{path}/.zattrs is missing or damaged ({error}); copy the store again") from error
    described = attributes.get(ATTRIBUTE) if isinstance(attributes, dict) else None
    if not isinstance(described, dict):
        raise DataError(f"{path} is not a store of imitate; run  imitate import src={path} out=demos.zarr")
    if described.get("format") != FORMAT:
        raise DataError(
            f"{path}: store format {described.get('format')}, expected {FORMAT}; update imitate to read it"
        )
    return described


def read_committed(path: Path) -> tuple[np.ndarray, list[EpisodeRecord]]:
    """episode_ends (E,) int64 and the records of the episodes that count; raises DataError where damaged."""
    folder = path / "meta/episode_ends"
    header = read_header(folder, str(folder))
    require_chunks(folder, header, header["shape"][0], str(folder))
    try:
        ends = np.asarray(zarr.open_array(LocalStore(folder), mode="r", zarr_format=2)[:])
    except Exception as error:  # what codecs raise for damaged bytes is not documented
        raise DataError(f"{folder} is damaged ({error}); copy the store again") from error
    require_increasing(ends, str(folder))
    records = _read_records(path / "meta/episodes.jsonl", len(ends))
    found = [record.steps for record in records]
    if found != np.diff(ends, prepend=0).tolist():
        raise DataError(f"{path}/meta: episodes.jsonl and episode_ends disagree; copy the store again")
    return ends.astype(np.int64), records


def committed_state(path: Path) -> tuple[int, int, bytes]:
    """What is another one after every append, and in another store: the header that says how many count."""
    header = path / "meta/episode_ends/.zarray"
    try:
        found = header.stat()
        return found.st_ino, found.st_mtime_ns, header.read_bytes()
    except OSError as error:
        raise DataError(f"{header} is missing ({error}); copy the store again") from error


def bytes_of_records(path: Path, count: int) -> int:
    """Size of the first `count` lines of episodes.jsonl: what lies behind them does not count."""
    with (path / "meta/episodes.jsonl").open("rb") as file:
        return sum(map(len, itertools.islice(file, count)))


def _read_records(path: Path, count: int) -> list[EpisodeRecord]:
    try:
        lines = path.read_bytes().splitlines()[:count]
        if len(lines) < count:
            raise DataError(f"{path} has {len(lines)} lines, expected {count}; copy the store again")
        # At once takes half as long as line by line.
        return [EpisodeRecord(**found) for found in json.loads(b"[" + b",".join(lines) + b"]")]
    except (OSError, ValueError, TypeError, RecursionError) as error:
        raise DataError(f"{path} is missing or damaged ({error}); copy the store again") from error


def require_rows(folder: Path, steps: int) -> None:
    """Check that the array in `folder` has `steps` rows, and every chunk of them; raises DataError."""
    header = read_header(folder, str(folder))
    if header["shape"][0] < steps:
        raise DataError(f"{folder} has {header['shape'][0]} rows, expected {steps}; copy the store again")
    require_chunks(folder, header, steps, str(folder))
