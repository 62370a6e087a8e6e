"""Where a loader takes rows from: memory as far as an array fits, the store's chunks beyond."""

import math
from collections.abc import Sequence
from typing import Protocol

import numpy as np
import torch
from torch import Tensor

from imitate.datasets.episode_store import EpisodeStore
from imitate.datasets.jpeg import LEAD
from imitate.datasets.stored_array import StoredArray

BLOCK_BYTES = 64 * 2**20


class Rows(Protocol):
    """One array (N, …) that can be gathered by row."""

    def take(self, rows: np.ndarray) -> Tensor:
        """The rows (B, T) as (B, T, …): uint8 for images, float32 for all else."""


class MemoryRows:
    """An array held in memory."""

    def __init__(self, values: Tensor) -> None:
        self._values = values

    def take(self, rows: np.ndarray) -> Tensor:
        """Gather (B, T) -> (B, T, …)."""
        flat = torch.index_select(self._values, 0, torch.from_numpy(rows.reshape(-1)))
        return flat.view(*rows.shape, *self._values.shape[1:])


class StoredRows:
    """An array left on disk: each batch reads what it needs, each row once.

    Images are decoded straight into the batch, in memory that a GPU can copy from where there is one.
    """

    def __init__(self, array: StoredArray) -> None:
        self._array = array

    def take(self, rows: np.ndarray) -> Tensor:
        """Gather (B, T) -> (B, T, …)."""
        if self._array.dtype != np.uint8:
            unique, inverse = np.unique(rows, return_inverse=True)
            return as_tensor(self._array[unique][inverse.reshape(rows.shape)])
        taken = _empty(rows.size, self._array.shape[1:], torch.uint8)
        self._array.read_into(rows.reshape(-1), taken.numpy())
        return taken.view(*rows.shape, *taken.shape[1:])


class PartlyHeldRows:
    """An array whose first rows are held in memory, and the others left on disk.

    Training visits all rows equally often in random order, so no choice of rows to hold is better.
    """

    def __init__(self, values: Tensor, array: StoredArray) -> None:
        self._values, self._array = values, array

    def take(self, rows: np.ndarray) -> Tensor:
        """Gather (B, T) -> (B, T, …)."""
        flat, held = rows.reshape(-1), len(self._values)
        taken = _empty(len(flat), self._values.shape[1:], self._values.dtype)
        # The last held row stands in for those that are not: quicker by far than to leave places out.
        torch.index_select(self._values, 0, torch.from_numpy(np.minimum(flat, held - 1)), out=taken)
        missing = np.flatnonzero(flat >= held)
        if len(missing):
            self._array.read_into(flat[missing], taken.numpy(), missing)
        return taken.view(*rows.shape, *taken.shape[1:])


def _empty(count: int, shape: Sequence[int], dtype: torch.dtype) -> Tensor:
    """Room for `count` rows; of images, in memory that a GPU can copy from where there is one."""
    if dtype != torch.uint8:
        return torch.empty((count, *shape), dtype=dtype)
    size = count * math.prod(shape)
    room = torch.empty(LEAD + size, dtype=dtype, pin_memory=torch.cuda.is_available())
    return room[LEAD:].view(count, *shape)


def open_rows(store: EpisodeStore, names: list[str], memory_gib: float) -> dict[str, Rows]:
    """Rows of the arrays `names`: the smallest ones in memory, and of the first that does not fit a part."""
    left = memory_gib * 2**30
    rows: dict[str, Rows] = {}
    for array, name in sorted(((store.array(name), name) for name in names), key=lambda p: p[0].nbytes):
        held = len(array) if _loaded_bytes(array) <= left else int(left / _loaded_bytes(array) * len(array))
        left -= _loaded_bytes(array) * held / max(1, len(array))
        rows[name] = _rows(array, held)
    return rows


def _rows(array: StoredArray, held: int) -> Rows:
    """Rows of `array`, of which the first `held` are in memory."""
    if held == 0 and len(array):
        return StoredRows(array)
    values = _load(array, held)
    return MemoryRows(values) if held == len(array) else PartlyHeldRows(values, array)


def as_tensor(values: np.ndarray) -> Tensor:
    """`values` as uint8 (images) or float32 (all else)."""
    dtype = np.uint8 if values.dtype == np.uint8 else np.float32
    return torch.from_numpy(np.ascontiguousarray(values, dtype))


def _loaded_bytes(array: StoredArray) -> int:
    return array.nbytes // array.dtype.itemsize * (1 if array.dtype == np.uint8 else 4)


def _load(array: StoredArray, held: int) -> Tensor:
    """Read the first `held` rows block by block, so that no second copy of a large array is ever needed."""
    dtype = torch.uint8 if array.dtype == np.uint8 else torch.float32
    loaded = torch.empty((held, *array.shape[1:]), dtype=dtype)
    for start, stop in blocks(array):
        if start < held:
            loaded[start:stop] = as_tensor(array[start : min(stop, held)])
    return loaded


def blocks(array: StoredArray) -> list[tuple[int, int]]:
    """Row ranges of about 64 MiB that begin and end at chunk borders."""
    row_bytes = max(1, array.nbytes // max(1, len(array)))
    rows = max(1, BLOCK_BYTES // (row_bytes * array.chunk_rows)) * array.chunk_rows
    return [(start, min(start + rows, len(array))) for start in range(0, len(array), rows)]
