"""Looking at the files of an array of our own store before anything is decoded: header, codecs, chunks."""

import json
import math
from pathlib import Path
from typing import Any

import numpy as np

from imitate.datasets.image_chunks import CODEC_ID, HEAD, read_head
from imitate.datasets.zarr_chunks import positions
from imitate.datasets.zarr_headers import UNSAFE_CODECS
from imitate.errors import DataError


def read_header(array: Path, where: str) -> dict[str, Any]:
    """The checked .zarray of an array of numbers.

    Raises DataError for a missing or damaged header, and for object arrays: those are pickled.
    """
    try:
        header: dict[str, Any] = json.loads((array / ".zarray").read_text(encoding="utf-8"))
        kind = np.dtype(header["dtype"]).kind
        codecs = [*(header.get("filters") or []), header.get("compressor") or {}]
        names = {codec.get("id", "") for codec in codecs}
        sizes = [*header["shape"], *(chunk - 1 for chunk in header["chunks"])]
        rows_are_known = len(header["shape"]) == len(header["chunks"]) >= 1 and min(sizes) >= 0
        rows_are_known &= all(isinstance(size, int) for size in sizes)
    except (OSError, KeyError, TypeError, ValueError, AttributeError, RecursionError) as error:
        raise DataError(
            f"{where}/.zarray is missing or damaged ({error!r}); copy the dataset again"
        ) from error
    if kind == "O" or names & UNSAFE_CODECS:
        found = ", ".join(sorted(names & UNSAFE_CODECS)) or "dtype object"
        raise DataError(f"{where} holds Python objects ({found}), which are never unpickled; store numbers")
    if kind not in "biuf" or not rows_are_known:
        raise DataError(
            f"{where} has dtype {header['dtype']} and shape {header['shape']}, expected rows of numbers"
        )
    return header


def require_chunks(array: Path, header: dict[str, Any], rows: int, where: str) -> None:
    """Check that every chunk file of the first `rows` rows is there and whole.

    zarr reads zeros for a missing one, and Blosc reads past the end of a truncated one.
    """
    shape, chunks = [rows, *header["shape"][1:]], header["chunks"]
    grid = tuple(-(-size // chunk) for size, chunk in zip(shape, chunks, strict=True))
    separator = header.get("dimension_separator", ".")
    flat = {child.name for child in array.iterdir()} if separator == "." else set()
    for position in positions(grid):
        name = separator.join(map(str, position))
        if name not in flat if separator == "." else not (array / name).exists():
            raise DataError(
                f"{where}/{name} is missing, so its rows would read as zeros; copy the dataset again "
                f"(a writer that left out all-zero chunks must use write_empty_chunks=True)"
            )
        _require_whole(array / name, header, f"{where}/{name}")


def _require_whole(chunk: Path, header: dict[str, Any], where: str) -> None:
    """Compare a chunk file's size with the one it must have; codecs other than Blosc notice by themselves."""
    unpacked = math.prod(header["chunks"]) * np.dtype(header["dtype"]).itemsize
    if header["compressor"] is None and not header.get("filters"):
        expected = unpacked
    elif header["compressor"] and header["compressor"]["id"] == "blosc":
        with chunk.open("rb") as file:
            head = file.read(16)
        expected = max(16, int.from_bytes(head[12:16], "little"))  # compressed size
        declared = int.from_bytes(head[4:8], "little")
        if len(head) == 16 and declared != unpacked:
            raise DataError(
                f"{where} is damaged: it unpacks to {declared:,} bytes, expected {unpacked:,}; copy the "
                f"dataset again"
            )
    elif header["compressor"] and header["compressor"]["id"] == CODEC_ID:
        with chunk.open("rb") as file:
            start = file.read(HEAD.size)
        try:
            expected = read_head(start)[1]
        except ValueError as error:
            raise DataError(f"{where}: {error}; copy the dataset again") from error
    else:
        return
    size = chunk.stat().st_size
    if size < expected:
        raise DataError(f"{where} is truncated: {size} bytes, expected {expected}; copy the dataset again")


def require_increasing(ends: np.ndarray, where: str) -> None:
    """Check that episode_ends (E,) are whole, positive and strictly increasing."""
    if ends.ndim != 1 or ends.dtype.kind not in "iu":
        raise DataError(f"{where} has dtype {ends.dtype} and shape {ends.shape}, expected (E,) whole numbers")
    lengths = np.diff(ends.astype(np.int64), prepend=0)
    if (lengths <= 0).any():
        index = int(np.argmax(lengths <= 0))
        before = int(ends[index - 1]) if index else 0
        raise DataError(f"{where} must increase, but entry {index} is {int(ends[index])} after {before}")
