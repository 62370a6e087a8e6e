"""Arrays that may be larger than memory: a file without a name then holds them, and the system pages them."""

import math
import os
import tempfile
from collections.abc import Callable, Iterator, Sequence

import numpy as np
from numpy.typing import DTypeLike

from imitate.errors import DataError

IN_MEMORY = 1 << 28
"""Bytes up to which an array lies in memory."""
BLOCK = 1 << 16
"""Rows that are worked on at once."""


def room(shape: Sequence[int], dtype: DTypeLike) -> np.ndarray:
    """An array to be filled, in memory or, where it is large, in a file that is gone with it.

    The file is in the folder for temporary files (TMPDIR). Raises DataError where the disk is full.
    """
    size = math.prod(shape) * np.dtype(dtype).itemsize
    if size <= IN_MEMORY:
        return np.empty(shape, dtype)
    with tempfile.TemporaryFile() as file:
        try:
            if hasattr(os, "posix_fallocate"):  # macOS has none
                # Else a disk that becomes full would end the process with SIGBUS where the array is written.
                os.posix_fallocate(file.fileno(), 0, size)
            else:
                file.truncate(size)
        except OSError as error:
            raise DataError(
                f"{tempfile.gettempdir()}: no room for {size / 1e9:.1f} GB of numbers that are too many for "
                f"memory ({error.strerror}); let TMPDIR name a folder on a larger disk"
            ) from error
        return np.memmap(file, dtype, "r+", shape=tuple(shape)).view(np.ndarray)


def blocks(size: int) -> Iterator[slice]:
    """Slices of BLOCK rows that make up `size`; one at least."""
    return (slice(low, min(low + BLOCK, size)) for low in range(0, max(size, 1), BLOCK))


def in_blocks(size: int, make: Callable[[slice], np.ndarray]) -> np.ndarray:
    """What `make` gives for each of blocks(size), one after the other, (size, …)."""
    parts = blocks(size)
    at = next(parts)
    first = make(at)
    if at.stop == size:
        return first
    out = room((size, *first.shape[1:]), first.dtype)
    out[at] = first
    for at in parts:
        out[at] = make(at)
    return out


def joined(parts: Sequence[np.ndarray]) -> np.ndarray:
    """`parts` (n, …) end to end."""
    out = room((sum(map(len, parts)), *parts[0].shape[1:]), np.result_type(*{part.dtype for part in parts}))
    low = 0
    for part in parts:
        out[low : low + len(part)] = part
        low += len(part)
    return out


def moments(values: np.ndarray, chosen: np.ndarray | None = None) -> tuple[np.ndarray, np.ndarray]:
    """Mean and standard deviation (F,) float64 of values (N, F) over the rows `chosen` (N,) bool, or all."""
    mean, count = _mean(values, chosen)
    squares = sum(np.square(rows - mean).sum(axis=0) for rows in _chosen(values, chosen))
    return mean, np.sqrt(squares / count)


def covariance(values: np.ndarray, chosen: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Mean (F,) and covariance (F, F), float64, of values (N, F) over the rows `chosen` (N,) bool."""
    mean, count = _mean(values, chosen)
    products = sum((rows - mean).T @ (rows - mean) for rows in _chosen(values, chosen))
    return mean, np.asarray(products / max(count, 1))


def _mean(values: np.ndarray, chosen: np.ndarray | None) -> tuple[np.ndarray, np.float64]:
    count = np.float64(len(values) if chosen is None else np.count_nonzero(chosen))
    return np.asarray(sum(rows.sum(axis=0) for rows in _chosen(values, chosen)) / count), count


def _chosen(values: np.ndarray, chosen: np.ndarray | None) -> Iterator[np.ndarray]:
    """Those rows of each block, as float64."""
    for at in blocks(len(values)):
        rows = values[at] if chosen is None else values[at][chosen[at]]
        yield rows.astype(np.float64, copy=False)
