"""The files of one array of a store (zarr format 2): made empty, then grown row by row.

Written without zarr, because an append has to decide what reaches the disk before what.
"""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numcodecs import Blosc  # type: ignore[import-untyped]

from imitate.datasets.durable import sync_folder, write_durably
from imitate.datasets.image_chunks import ImageCodec, Storage, is_encoded, join, split
from imitate.types import ArraySpec

# Small enough that rewriting the last chunk is cheap, large enough that zstd and the file system work well.
STATE_CHUNK_BYTES, IMAGE_CHUNK_BYTES = 128 * 1024, 512 * 1024
# Before encoding, and about a tenth of it after: an append rewrites one of them.
ENCODED_CHUNK_BYTES = 8 * 2**20
ENDS_PER_CHUNK = 1024


def create_array(folder: Path, array: ArraySpec, storage: Storage = "lossless") -> None:
    """Write the header of an empty array (0, …); `storage` says how images of it are kept."""
    if is_encoded(array):
        rows = max(1, ENCODED_CHUNK_BYTES // array.size)
        codec = ImageCodec((rows, *array.shape), storage).get_config()
    else:
        row_bytes = max(1, array.size * np.dtype(array.dtype).itemsize)
        rows = max(1, (IMAGE_CHUNK_BYTES if array.is_image else STATE_CHUNK_BYTES) // row_bytes)
        codec = Blosc("zstd", 3, Blosc.BITSHUFFLE).get_config()
    _create(folder, array.shape, np.dtype(array.dtype), rows, codec)


def create_ends(folder: Path) -> None:
    """Write the header of an empty episode_ends (0,) int64."""
    _create(folder, (), np.dtype(np.int64), ENDS_PER_CHUNK, None)


def append_images(folder: Path, start: int, images: Sequence[bytes]) -> None:
    """Make the array `start` images followed by the encoded `images`, in the order of `append_rows`.

    What is there already is copied as it is: no image is ever encoded twice.
    """
    header = json.loads((folder / ".zarray").read_text())
    size, end = header["chunks"][0], start + len(images)
    for number in range(start // size, -(-end // size)):
        first = number * size
        file = folder / f"{number}.0.0.0"
        kept = split(file.read_bytes())[: start - first] if first < start else []
        fresh = images[max(first, start) - start : first + size - start]
        write_durably(file, join([*kept, *fresh]))
    _grow(folder, header, end)


def append_rows(folder: Path, start: int, rows: np.ndarray) -> None:
    """Make the array `start` rows followed by `rows`: chunks first, then the header that makes them count.

    Each file is replaced in one step, and the rows before `start` are never without a whole file.
    """
    header = json.loads((folder / ".zarray").read_text())
    size, end = header["chunks"][0], start + len(rows)
    codec = Blosc.from_config(_without_id(header["compressor"])) if header["compressor"] else None
    for number in range(start // size, -(-end // size)):
        first = number * size
        file = folder / ".".join(["0"] * rows.ndim).replace("0", str(number), 1)
        chunk = np.zeros((size, *rows.shape[1:]), header["dtype"])
        if first < start:
            old = file.read_bytes()
            before = np.frombuffer(codec.decode(old) if codec else old, chunk.dtype)
            chunk[: start - first] = before.reshape(chunk.shape)[: start - first]
        fresh = rows[max(first, start) - start : first + size - start]
        chunk[max(first, start) - first :][: len(fresh)] = fresh
        write_durably(file, codec.encode(chunk) if codec else chunk.tobytes())
    _grow(folder, header, end)


def _grow(folder: Path, header: dict[str, Any], end: int) -> None:
    """Make the chunks that were written count: the array has `end` rows."""
    sync_folder(folder)
    grown = header | {"shape": [end, *header["shape"][1:]]}
    write_durably(folder / ".zarray", json.dumps(grown, indent=4).encode())
    sync_folder(folder)


def _create(
    folder: Path, shape: tuple[int, ...], dtype: np.dtype, rows: int, compressor: dict[str, Any] | None
) -> None:
    folder.mkdir()
    header = {
        "zarr_format": 2,
        "shape": [0, *shape],
        "chunks": [rows, *shape],
        "dtype": dtype.newbyteorder("<").str,
        "compressor": compressor,
        "filters": None,
        "fill_value": 0,
        "order": "C",
    }
    write_durably(folder / ".zarray", json.dumps(header, indent=4).encode())


def _without_id(config: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in config.items() if key != "id"}
