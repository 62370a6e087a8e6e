"""Rows of a store that lie in runs in the rows of other stores: read from there, never copied."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from imitate.datasets.stored_array import StoredArray
from imitate.types import ArraySpec


@dataclass(frozen=True)
class Runs:
    """Rows that follow one another in a source, too: of each run its source, its first row there, its end.

    All are (R,) int64; `ends` counts rows of the store that the runs make up, one behind the last.
    """

    source: np.ndarray
    first: np.ndarray
    ends: np.ndarray

    @classmethod
    def of(cls, source: np.ndarray, first: np.ndarray, lengths: np.ndarray) -> "Runs":
        """Runs of `lengths` rows; those that continue the one before are joined to it."""
        goes_on = np.zeros(len(first), bool)
        goes_on[1:] = (source[1:] == source[:-1]) & (first[1:] == first[:-1] + lengths[:-1])
        starts_anew = np.flatnonzero(~goes_on)
        last = np.append(starts_anew[1:], len(first)) - 1
        ends = np.cumsum(lengths)[last] if len(first) else np.zeros(0, np.int64)
        return cls(source[starts_anew], first[starts_anew], ends)

    def __len__(self) -> int:
        return int(self.ends[-1]) if len(self.ends) else 0

    def locate(self, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Of `rows` (n,) the source and the row there, each (n,)."""
        if len(self.ends) == 1:
            return np.broadcast_to(self.source, rows.shape), rows + self.first[0]
        run = np.searchsorted(self.ends, rows, side="right")
        begins = np.concatenate([[0], self.ends])[run]
        return self.source[run], self.first[run] + rows - begins


class PiecewiseArray(StoredArray):
    """(N, …) numbers, each row of which is read from one of several arrays when it is asked for."""

    def __init__(
        self,
        arrays: Sequence[StoredArray],
        runs: Runs,
        spec: ArraySpec,
        where: str,
        columns: Sequence[np.ndarray | None] | None = None,
    ) -> None:
        """Rows of `arrays` as `runs` says; `columns`: which elements of each source's rows, None for all."""
        self._arrays = list(arrays)
        self._runs = runs
        self._where = where
        self._columns = columns or [None] * len(self._arrays)
        self.shape = (len(runs), *spec.shape)
        self.dtype = np.dtype(spec.dtype)

    @property
    def chunk_rows(self) -> int:
        """Steps per chunk of the source with the largest ones."""
        return max((array.chunk_rows for array in self._arrays), default=1)

    def __getitem__(self, rows: slice | int | np.ndarray) -> np.ndarray:
        """Rows as an array of `dtype`; raises DataError naming what cannot be read of a source."""
        if isinstance(rows, int | np.integer):
            return self[np.asarray([range(len(self))[int(rows)]])][0]
        wanted = np.arange(*rows.indices(len(self))) if isinstance(rows, slice) else self._checked(rows)
        source, row = self._runs.locate(wanted)
        present = np.unique(source)
        if len(present) == 1:
            return self._read(int(present[0]), row)
        values = np.empty((len(wanted), *self.shape[1:]), self.dtype)
        for number in present:
            values[source == number] = self._read(int(number), row[source == number])
        return values

    def read_into(self, rows: np.ndarray, out: np.ndarray, places: np.ndarray | None = None) -> None:
        """Read `rows` (n,), each once, into `out` (n, …) or `out[places]`; images are decoded there."""
        source, row = self._runs.locate(self._checked(rows))
        places = np.arange(len(row)) if places is None else places
        for number in np.unique(source):
            chosen = source == number
            if self._is_plain(int(number)):
                self._arrays[number].read_into(row[chosen], out, places[chosen])
            else:
                unique, inverse = np.unique(row[chosen], return_inverse=True)
                out[places[chosen]] = self._read(int(number), unique)[inverse]

    def _is_plain(self, number: int) -> bool:
        return self._columns[number] is None and self._arrays[number].dtype == self.dtype

    def _checked(self, rows: np.ndarray) -> np.ndarray:
        rows = np.asarray(rows)
        rows = np.flatnonzero(rows) if rows.dtype == bool else rows.astype(np.int64)
        rows = np.where(rows < 0, rows + len(self), rows)
        if len(rows) and (rows.min() < 0 or rows.max() >= len(self)):
            raise IndexError(f"row {rows.max()} of {len(self)} in {self._where}")
        return rows

    def _read(self, number: int, rows: np.ndarray) -> np.ndarray:
        array, columns = self._arrays[number], self._columns[number]
        values = _rows_of(array, rows)
        values = values if columns is None else values[:, columns]
        return values.astype(self.dtype, copy=False)


class ConstantArray(StoredArray):
    """(N, …) numbers that are the same in all steps of an episode."""

    chunk_rows = 1024

    def __init__(self, values: np.ndarray, ends: np.ndarray) -> None:
        """`values` (E, …) of each episode, and `ends` (E,), the row behind its last one."""
        self._values, self._ends = values, ends
        self.shape = (int(ends[-1]) if len(ends) else 0, *values.shape[1:])
        self.dtype = values.dtype

    def __getitem__(self, rows: slice | int | np.ndarray) -> np.ndarray:
        """Rows, as of any array."""
        wanted = np.arange(len(self))[rows]
        return self._values[np.searchsorted(self._ends, wanted, side="right")]


def _rows_of(array: StoredArray, rows: np.ndarray) -> np.ndarray:
    """`array[rows]`, by one slice where that reads at most twice as much, of images nothing more."""
    if not len(rows):
        return array[0:0]
    low, high = int(rows.min()), int(rows.max()) + 1
    if high - low > len(rows) * (1 if array.dtype == np.uint8 else 2):
        return array[rows]
    span = array[low:high]
    is_all = high - low == len(rows) and bool((np.diff(rows) == 1).all())
    return span if is_all else span[rows - low]
