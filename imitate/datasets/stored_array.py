"""One array of a store, read lazily and delivered in the shape and type that the store's DataSpec says."""

from typing import Any

import numpy as np
import zarr

from imitate.errors import DataError
from imitate.types import ArraySpec


class StoredArray:
    """(N, …) numbers on disk; `array[10:20]` and `array[rows]` read just the chunks that hold those rows.

    N is the number of finished steps: what an interrupted append left behind them is not part of it.
    Camera images kept as floats by foreign writers are delivered as uint8.
    """

    def __init__(self, raw: zarr.Array, steps: int, spec: ArraySpec, where: str) -> None:
        """Present the first `steps` rows of `raw`; `where` names file and array in errors."""
        self._raw = raw
        self._spec = spec
        self._where = where
        self.scale = 1.0  # what brings the values of a float image to 0..255
        self.shape = (steps, *spec.shape)
        self.dtype = np.dtype(spec.dtype)

    def __len__(self) -> int:
        return self.shape[0]

    def __repr__(self) -> str:
        return f"StoredArray({self._where}, {self.shape} {self.dtype})"

    @property
    def chunk_rows(self) -> int:
        """Steps per chunk: reading in multiples of it touches each chunk once."""
        return int(self._raw.chunks[0])

    @property
    def nbytes(self) -> int:
        """Bytes of all rows once delivered."""
        return int(np.prod(self.shape)) * self.dtype.itemsize

    def __getitem__(self, rows: slice | int | np.ndarray) -> np.ndarray:
        """Rows as an array of `dtype`; raises DataError naming the chunk file that cannot be read."""
        if isinstance(rows, int | np.integer):
            return self[np.asarray([range(len(self))[int(rows)]])][0]
        picked: Any = slice(*rows.indices(len(self))) if isinstance(rows, slice) else np.asarray(rows)
        try:
            values = self._raw[picked] if isinstance(picked, slice) else self._raw.oindex[picked]
        except Exception as error:
            raise DataError(f"{self._where}: {self._damaged_chunk(error)}") from error
        return self._delivered(np.asarray(values))

    def read_into(self, rows: np.ndarray, out: np.ndarray, places: np.ndarray | None = None) -> None:
        """Read the rows `rows` (n,), each once, into `out` (n, …), or into `out[places]`."""
        unique, inverse = np.unique(rows, return_inverse=True)
        if places is None:
            np.take(self[unique], inverse, axis=0, out=out, mode="clip")
        else:
            out[places] = self[unique][inverse]

    def _delivered(self, values: np.ndarray) -> np.ndarray:
        if values.size != len(values) * self._spec.size:
            raise DataError(f"{self._where} holds {values.shape[1:]} per step, expected {self._spec.shape}")
        values = values.reshape(len(values), *self._spec.shape)
        if values.dtype == self.dtype:
            return values
        if self.dtype != np.uint8:
            return values.astype(self.dtype)
        scaled = np.rint(values * self.scale) if self.scale != 1.0 else np.rint(values)
        if len(scaled) and (scaled.min() < 0 or scaled.max() > 255 or np.isnan(scaled).any()):
            raise DataError(f"{self._where}: image values reach outside 0..255")
        return scaled.astype(np.uint8)

    def _damaged_chunk(self, error: Exception) -> str:
        rest = (0,) * (len(self._raw.shape) - 1)
        for number in range(-(-len(self) // self.chunk_rows)):
            try:
                self._raw[number * self.chunk_rows : number * self.chunk_rows + 1]
            except Exception:
                name = ".".join(str(part) for part in (number, *rest))
                return f"chunk file {name} is damaged ({error}); copy the dataset again"
        return f"cannot be read ({error})"
