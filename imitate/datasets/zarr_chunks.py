"""Looking at the chunk files of a zarr array before anything is decoded: all there, whole, and no bombs.

zarr reads the fill value for a missing file, Blosc reads past the end of a truncated one, and decompressors
make room for whatever a chunk says or unpacks to.
"""

import math
from collections.abc import Iterator, Mapping
from typing import IO

import numpy as np

from imitate.datasets.proportion import SPARSE
from imitate.datasets.zarr_headers import ArrayHeader
from imitate.datasets.zarr_sizes import Chunk, TruncatedError, require_size
from imitate.datasets.zarr_tree import DAMAGE, ZarrTree
from imitate.errors import DataError

ABSENT = 2**64 - 1


def require_array(tree: ZarrTree, array: str, header: ArrayHeader, rows: int) -> int:
    """Check the chunk files of the first `rows` rows; gives how many are absent, where that is allowed.

    Raises DataError naming the file that is missing, truncated, or would unpack to more than its chunk.
    """
    where, files = f"{tree.path}/{array}", tree.files(array)
    grid = (-(-rows // header.chunks[0]), *header.grid[1:])
    if header.may_lack:
        names = [name for name in files if _is_in(name, grid, header)]
        _require_proportion(where, sum(files[name] for name in names), header, rows)
    else:
        names = _all_names(where, grid, header, files)
    for name in names:
        _require_file(tree, f"{array}/{name}", header)
    return math.prod(grid) - len(names)


def positions(grid: tuple[int, ...]) -> Iterator[tuple[int, ...]]:
    """All positions in a grid, the last axis first, however large it is."""
    strides = [math.prod(grid[axis + 1 :]) for axis in range(len(grid))]
    for number in range(math.prod(grid)):
        yield tuple(number // stride % size for stride, size in zip(strides, grid, strict=True))


def _all_names(where: str, grid: tuple[int, ...], header: ArrayHeader, files: Mapping[str, int]) -> list[str]:
    names = []
    for position in positions(grid):
        name = header.separator.join(map(str, position))
        if name not in files:
            raise DataError(
                f"{where}/{name} is missing, so its rows would read as zeros; copy the dataset again "
                f"(a writer that left out all-zero chunks must use write_empty_chunks=True)"
            )
        names.append(name)
    return names


def _is_in(name: str, grid: tuple[int, ...], header: ArrayHeader) -> bool:
    """Whether `name` is the file of a chunk in the grid."""
    parts = name.split(header.separator)
    if header.prefix and parts[0] != header.prefix:
        return False
    numbers = parts[1:] if header.prefix else parts
    return len(numbers) == len(grid) and all(
        part.isdecimal() and part == str(int(part[:18])) and int(part[:18]) < size
        for part, size in zip(numbers, grid, strict=True)
    )


def _require_proportion(where: str, stored: int, header: ArrayHeader, rows: int) -> None:
    declared = rows * math.prod(header.shape[1:]) * header.dtype.itemsize
    if declared > SPARSE.most(stored):
        raise DataError(
            f"{where} declares {declared:,} bytes of numbers, but its chunk files hold {stored:,}; copy the "
            f"dataset again"
        )


def _require_file(tree: ZarrTree, name: str, header: ArrayHeader) -> None:
    size, where = tree.sizes[name], f"{tree.path}/{name}"
    try:
        with tree.open(name) as file:
            _require_chunks(file, size, header)
    except TruncatedError as error:
        raise DataError(
            f"{where} is truncated: {error.found} bytes, expected {error.expected}; copy the dataset again"
        ) from error
    except DAMAGE as error:
        raise DataError(
            f"{where} is damaged ({' '.join(str(error).split())}); copy the dataset again"
        ) from error


def _require_chunks(file: IO[bytes], size: int, header: ArrayHeader) -> None:
    chunk = Chunk(header.compressor, header.chunk_bytes, header.keeps_size)
    if header.inner is None:
        require_size(file, 0, size - header.checksum, chunk)
        return
    for offset, length in _index(file, size, header):
        if offset + length > size:
            raise TruncatedError(size, offset + length)
        require_size(file, offset, length - header.checksum, chunk)


def _index(file: IO[bytes], size: int, header: ArrayHeader) -> list[tuple[int, int]]:
    """Where in a shard its chunks lie: (offset, length) of those that are there."""
    assert header.inner
    count = math.prod(outer // inner for outer, inner in zip(header.chunks, header.inner, strict=True))
    length = 16 * count + header.index_checksum
    if length > size:
        raise TruncatedError(size, length)
    file.seek(0 if header.index_first else size - length)
    entries = np.frombuffer(file.read(16 * count), "<u8").reshape(-1, 2)
    return [(int(offset), int(length)) for offset, length in entries if offset != ABSENT]
