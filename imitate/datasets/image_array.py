"""An array of encoded images of a store: single images are read and decoded, by several threads."""

import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from io import FileIO
from pathlib import Path

import numpy as np
import zarr

from imitate.datasets.image_chunks import ImageCodec, decode_into, read_table, table_bytes
from imitate.datasets.stored_array import StoredArray
from imitate.errors import DataError
from imitate.types import ArraySpec

Task = tuple[int, list[int], list[int]]
"""A chunk, images within it, and their places in the result."""

PER_TASK = 16
"""Images that a thread takes at a time: enough to outweigh handing them over."""


class ImageArray(StoredArray):
    """(N, H, W, C) uint8 encoded on disk; rows are decoded one by one, each once per reading."""

    def __init__(self, raw: zarr.Array, steps: int, spec: ArraySpec, where: str, folder: Path) -> None:
        """Present the first `steps` images below `folder`; `where` names file and array in errors."""
        super().__init__(raw, steps, spec, where)
        self._folder = folder

    def __getitem__(self, rows: slice | int | np.ndarray) -> np.ndarray:
        """Images (n, H, W, C) uint8; raises DataError naming the chunk file that cannot be read."""
        if isinstance(rows, int | np.integer):
            return self[np.array([rows])][0]
        wanted = np.arange(*rows.indices(len(self))) if isinstance(rows, slice) else np.asarray(rows)
        wanted = np.flatnonzero(wanted) if wanted.dtype == bool else wanted
        images = np.empty((len(wanted), *self.shape[1:]), np.uint8)
        self.read_into(wanted, images)
        return images

    def read_into(self, rows: np.ndarray, out: np.ndarray, places: np.ndarray | None = None) -> None:
        """Decode the images `rows` (n,), each once, into `out` (n, H, W, C) uint8, or into `out[places]`."""
        places = np.arange(len(rows)) if places is None else places
        unique, first, inverse = np.unique(self._within(rows), return_index=True, return_inverse=True)
        tasks = _tasks(unique, places[first], self.chunk_rows)
        threads = _threads() if len(tasks) > 1 else None

        def read(task: Task) -> None:
            self._read(*task, out)

        for _ in (threads.map if threads else map)(read, tasks):
            pass
        decoded = first[inverse]
        for again in np.flatnonzero(decoded != np.arange(len(rows))):
            out[places[again]] = out[places[decoded[again]]]

    def encoded(self, start: int, stop: int) -> list[bytes]:
        """The images `start` … `stop` as they are stored."""
        found: list[bytes] = []
        size = self.chunk_rows
        for number in range(start // size, -(-stop // size)):
            here = range(max(start, number * size), min(stop, (number + 1) * size))
            found += self._bytes(number, [row - number * size for row in here])
        return found

    def _within(self, rows: np.ndarray) -> np.ndarray:
        rows = np.where(rows < 0, rows + len(self), rows)
        if len(rows) and (rows.min() < 0 or rows.max() >= len(self)):
            raise IndexError(f"rows {rows.min()} to {rows.max()} of {len(self)} in {self._where}")
        return rows

    def _read(self, number: int, within: list[int], places: list[int], out: np.ndarray) -> None:
        try:
            for data, place in zip(self._bytes(number, within), places, strict=True):
                decode_into(data, out[place])
        except ValueError as error:
            raise DataError(f"{self._chunk(number)}: {error}; copy the dataset again") from error

    def _bytes(self, number: int, within: Sequence[int]) -> list[bytes]:
        """The encoded images `within` (ascending) of a chunk."""
        try:
            with self._chunk(number).open("rb", buffering=0) as file:
                start = file.read(table_bytes(self.chunk_rows))
                offsets = read_table(start, os.fstat(file.fileno()).st_size)
                if within[-1] + 1 >= len(offsets):
                    raise ValueError(f"image {within[-1]} of {len(offsets) - 1} is missing")
                return [_piece(file, offsets[i], offsets[i + 1]) for i in within]
        except (OSError, ValueError) as error:
            raise DataError(f"{self._chunk(number)}: {error}; copy the dataset again") from error

    def _chunk(self, number: int) -> Path:
        return self._folder / f"{number}.0.0.0"


def encode_all(images: np.ndarray, codec: ImageCodec) -> list[bytes]:
    """(n, H, W, C) uint8 -> each image as `codec` encodes it."""
    threads = _threads() if len(images) > 1 else None
    return list((threads.map if threads else map)(codec.encode_image, images))


def decode_all(files: Sequence[bytes], shape: tuple[int, ...]) -> np.ndarray:
    """Encoded images -> (n, H, W, C) uint8; raises DataError for a damaged one, or of another size."""
    images = np.empty((len(files), *shape), np.uint8)
    threads = _threads() if len(files) > 1 else None
    try:
        for _ in (threads.map if threads else map)(decode_into, files, images):
            pass
    except ValueError as error:
        raise DataError(f"an encoded image cannot be stored: {error}") from error
    return images


def _piece(file: FileIO, start: int, stop: int) -> bytes:
    file.seek(start)
    return file.read(stop - start)


def _tasks(rows: np.ndarray, places: np.ndarray, size: int) -> list[Task]:
    """(chunk, rows within it, places in the result) for ascending `rows`, at most PER_TASK images each."""
    numbers = rows // size
    cuts = np.flatnonzero(np.diff(numbers)) + 1
    tasks = []
    for group in np.split(np.arange(len(rows)), cuts):
        for start in range(0, len(group), PER_TASK):
            part = group[start : start + PER_TASK]
            number = int(numbers[part[0]])
            tasks.append((number, (rows[part] - number * size).tolist(), places[part].tolist()))
    return tasks


@cache
def _threads() -> ThreadPoolExecutor | None:
    """Threads for decoding, which OpenCV does without Python's lock; None on a single processor."""
    count = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return ThreadPoolExecutor(count, "images") if count > 1 else None


if hasattr(os, "register_at_fork"):  # a child has none of its parent's threads
    os.register_at_fork(after_in_child=_threads.cache_clear)
