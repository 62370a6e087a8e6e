"""The parquet files of a LeRobot dataset: opened with suspicion, read in pieces, given as plain arrays."""

import io
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

from imitate.datasets.finite import first_unknown_step
from imitate.errors import DataError, import_extra
from imitate.types import ArraySpec

EXTRA = "lerobot-data"
EPISODE = "episode_index"
# A file may claim this many times more data than it has bytes; real ones stay below a tenth of it.
MOST_EXPANSION, ALWAYS_ALLOWED_BYTES = 1000, 256 * 2**20
MOST_EPISODE_BYTES = 16 * 2**30
PICTURE_FORMATS = ("PNG", "JPEG", "WEBP")


def open_parquet(path: Path, row_bytes: int = 64) -> Any:
    """A pyarrow.parquet.ParquetFile.

    row_bytes: what a decoded row takes. Raises DataError where the file is missing or damaged, or claims more
    rows than a file of its size can hold.
    """
    parquet = import_extra("pyarrow.parquet", EXTRA)
    if not path.is_file():
        raise DataError(f"{path} is missing; copy the dataset again")
    try:
        file = parquet.ParquetFile(path, pre_buffer=False)
        metadata = file.metadata
        groups = [metadata.row_group(i) for i in range(metadata.num_row_groups)]
        claimed = max(metadata.num_rows * row_bytes, sum(group.total_byte_size for group in groups))
    except Exception as error:
        raise damaged(path, error) from error
    if claimed > max(MOST_EXPANSION * path.stat().st_size, ALWAYS_ALLOWED_BYTES):
        raise DataError(
            f"{path}: its {metadata.num_rows} rows would take {claimed} bytes, far more than a file of "
            f"{path.stat().st_size} bytes holds; it or meta/info.json is wrong"
        )
    return file


def read_columns(path: Path, wanted: tuple[str, ...], optional: tuple[str, ...] = ()) -> list[dict[str, Any]]:
    """The rows of a small table, with the columns `wanted`, and `optional` where they are there."""
    file = open_parquet(path)
    names = file.schema_arrow.names
    require_columns(path, names, wanted)
    try:
        rows: list[dict[str, Any]] = file.read([*wanted, *(n for n in optional if n in names)]).to_pylist()
    except Exception as error:
        raise damaged(path, error) from error
    return rows


def split_episodes(
    path: Path, columns: tuple[str, ...], row_bytes: int, batch_rows: int
) -> Iterator[tuple[int, Any]]:
    """(episode index, pyarrow.Table of `columns`) for each run of rows of one episode, in file order."""
    pyarrow = import_extra("pyarrow", EXTRA)
    file = open_parquet(path, row_bytes)
    require_columns(path, file.schema_arrow.names, (EPISODE, *columns))
    current = -1
    held: list[Any] = []
    try:
        for batch in file.iter_batches(batch_rows, columns=[EPISODE, *columns]):
            indices = batch.column(EPISODE).to_numpy(zero_copy_only=False)
            starts = [0, *(np.flatnonzero(np.diff(indices)) + 1).tolist(), len(indices)]
            for start, stop in pairwise(starts):
                if held and int(indices[start]) != current:
                    yield current, pyarrow.Table.from_batches(held)
                    held = []
                current = int(indices[start])
                held.append(batch.slice(start, stop - start))
    except DataError:
        raise
    except Exception as error:
        raise damaged(path, error) from error
    if held:
        yield current, pyarrow.Table.from_batches(held)


def require_columns(path: Path, names: list[str], wanted: tuple[str, ...]) -> None:
    """Raise DataError naming the columns that are missing."""
    missing = [name for name in wanted if name not in names]
    if missing:
        raise DataError(f"{path}: columns {', '.join(missing)} are missing; found {', '.join(names)[:300]}")


def numbers(table: Any, key: str, spec: ArraySpec, where: str) -> np.ndarray:
    """Column `key` as (T, *spec.shape) of spec.dtype; raises DataError where it has another shape or type."""
    compute = import_extra("pyarrow.compute", EXTRA)
    types = import_extra("pyarrow.types", EXTRA)
    column = table.column(key).combine_chunks()
    column = column.storage if hasattr(column, "storage") else column
    sizes: tuple[int, ...] = ()
    while (
        types.is_list(column.type)
        or types.is_large_list(column.type)
        or types.is_fixed_size_list(column.type)
    ):
        lengths = compute.unique(compute.list_value_length(column)).to_pylist()
        if len(lengths) != 1 or lengths[0] is None:
            raise DataError(f"{where}: {key!r} has rows of {lengths} elements, expected {spec.shape}")
        sizes, column = (*sizes, lengths[0]), compute.list_flatten(column)
    if (sizes or (1,)) != spec.shape:
        raise DataError(f"{where}: {key!r} is {sizes or (1,)} per step, info.json says {spec.shape}")
    if column.null_count:
        raise DataError(f"{where}: {key!r} has {column.null_count} empty values")
    values = column.to_numpy(zero_copy_only=False)
    if not np.can_cast(values.dtype, spec.dtype, "same_kind"):
        raise DataError(f"{where}: {key!r} is {values.dtype}, info.json says {spec.dtype}")
    return _finite(values.reshape(table.num_rows, *spec.shape).astype(spec.dtype), key, where)


def pictures(table: Any, key: str, spec: ArraySpec, where: str) -> np.ndarray:
    """Images of column `key`, each the bytes of a file, as (T, H, W, 3) uint8 RGB."""
    images = room(table.num_rows, spec, where)
    row = 0
    for chunk in table.column(key).chunks:
        for value in chunk:
            images[row] = _picture(value.as_py(), spec, f"{where}: image {row} of {key!r}")
            row += 1
    return images


def room(steps: int, spec: ArraySpec, where: str) -> np.ndarray:
    """Memory for the images (T, H, W, 3) of an episode; raises DataError where it takes too much."""
    needed = steps * spec.size
    if needed > MOST_EPISODE_BYTES:
        raise DataError(
            f"{where}: {steps} images of {spec.shape[0]}×{spec.shape[1]} take {needed / 2**30:.0f} GiB; "
            f"at most {MOST_EPISODE_BYTES / 2**30:.0f} GiB are read at once, so split the episode"
        )
    return np.empty((steps, *spec.shape), np.uint8)


def damaged(path: Path, error: Exception) -> DataError:
    """What to raise for a file that its library cannot read."""
    said = " ".join(str(error).split())[:200] or type(error).__name__
    return DataError(f"{path} is truncated or damaged ({said}); copy it again")


def _finite(values: np.ndarray, key: str, where: str) -> np.ndarray:
    if (step := first_unknown_step(values)) is not None:
        raise DataError(
            f"{where}: {key!r} is NaN or infinite at step {step}; remove the episode from the dataset"
        )
    return values


def _picture(value: Any, spec: ArraySpec, where: str) -> np.ndarray:
    data = value.get("bytes") if isinstance(value, dict) else value
    if not isinstance(data, bytes):
        raise DataError(f"{where} has no bytes in the parquet file; expected an embedded PNG or JPEG")
    image_module = import_extra("PIL.Image", EXTRA)
    try:
        image = image_module.open(io.BytesIO(data), formats=PICTURE_FORMATS)
        size, mode = (image.height, image.width), image.mode
        pixels = np.asarray(image.convert("RGB")) if size == spec.shape[:2] and mode in _MODES else None
    except Exception as error:
        raise DataError(f"{where} is a damaged picture ({error}); copy the dataset again") from error
    if pixels is None:
        raise DataError(f"{where} is {size} in mode {mode}, info.json says {spec.shape[:2]} in colour")
    return pixels


_MODES = ("RGB", "RGBA", "L", "P")
