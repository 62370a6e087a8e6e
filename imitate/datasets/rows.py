"""Where a loader takes rows from: memory where an array fits, the store's chunks where it does not."""

from typing import Protocol

import numpy as np
import torch
from torch import Tensor

from imitate.datasets.episode_store import EpisodeStore
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
        shape = (rows.size, *self._array.shape[1:])
        taken = torch.empty(shape, dtype=torch.uint8, pin_memory=torch.cuda.is_available())
        self._array.read_into(rows.reshape(-1), taken.numpy())
        return taken.view(*rows.shape, *shape[1:])


def open_rows(store: EpisodeStore, names: list[str], memory_gib: float) -> dict[str, Rows]:
    """Rows of the arrays `names`, the smallest ones in memory as long as all those fit `memory_gib`."""
    left = memory_gib * 2**30
    rows: dict[str, Rows] = {}
    for array, name in sorted(((store.array(name), name) for name in names), key=lambda p: p[0].nbytes):
        left -= _loaded_bytes(array)
        rows[name] = MemoryRows(_load(array)) if left >= 0 else StoredRows(array)
    return rows


def as_tensor(values: np.ndarray) -> Tensor:
    """`values` as uint8 (images) or float32 (all else)."""
    dtype = np.uint8 if values.dtype == np.uint8 else np.float32
    return torch.from_numpy(np.ascontiguousarray(values, dtype))


def _loaded_bytes(array: StoredArray) -> int:
    return array.nbytes // array.dtype.itemsize * (1 if array.dtype == np.uint8 else 4)


def _load(array: StoredArray) -> Tensor:
    """Read everything block by block, so that no second copy of a large array is ever needed."""
    loaded = torch.empty(array.shape, dtype=torch.uint8 if array.dtype == np.uint8 else torch.float32)
    for start, stop in blocks(array):
        loaded[start:stop] = as_tensor(array[start:stop])
    return loaded


def blocks(array: StoredArray) -> list[tuple[int, int]]:
    """Row ranges of about 64 MiB that begin and end at chunk borders."""
    row_bytes = max(1, array.nbytes // max(1, len(array)))
    rows = max(1, BLOCK_BYTES // (row_bytes * array.chunk_rows)) * array.chunk_rows
    return [(start, min(start + rows, len(array))) for start in range(0, len(array), rows)]
