"""Writing the parquet files of a LeRobot dataset: rows, episodes and tasks."""

import io
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from imitate.datasets.formats.lerobot_encoding import FILES_PER_CHUNK
from imitate.datasets.formats.lerobot_parquet import EXTRA
from imitate.datasets.formats.lerobot_stats import Stats
from imitate.errors import import_extra

MOST_DATA_BYTES = 100 * 2**20
Held = Mapping[str, tuple[str, tuple[int, ...]]]
"""{column: (dtype, shape of a step)}; dtype "image" for embedded pictures."""


class DataWriter:
    """The rows of all episodes, one row group each, in files of a limited size under `folder`."""

    def __init__(self, folder: Path, held: Held) -> None:
        """Write columns `held` under `folder`."""
        self._folder, self._held = folder, held
        self._arrow = import_extra("pyarrow", EXTRA)
        self._parquet = import_extra("pyarrow.parquet", EXTRA)
        self._schema = self._arrow.schema([self._field(key) for key in held], metadata=_for_datasets(held))
        self._number = -1
        self._writer: Any = None

    def write(self, arrays: Mapping[str, np.ndarray]) -> tuple[int, int]:
        """Append an episode's columns, each (T, …); gives chunk and file it went to."""
        if self._writer is None or self._path().stat().st_size > MOST_DATA_BYTES:
            self._start_file()
        columns = [self._column(key, arrays[key]) for key in self._held]
        self._writer.write_table(self._arrow.Table.from_arrays(columns, schema=self._schema))
        return divmod(self._number, FILES_PER_CHUNK)

    def close(self) -> None:
        """Finish the file that is open."""
        if self._writer is not None:
            self._writer.close()
            self._writer = None

    def _start_file(self) -> None:
        self.close()
        self._number += 1
        self._path().parent.mkdir(parents=True, exist_ok=True)
        self._writer = self._parquet.ParquetWriter(self._path(), self._schema, compression="snappy")

    def _path(self) -> Path:
        chunk, file = divmod(self._number, FILES_PER_CHUNK)
        return self._folder / f"chunk-{chunk:03d}/file-{file:03d}.parquet"

    def _field(self, key: str) -> Any:
        arrow = self._arrow
        dtype, shape = self._held[key]
        if dtype == "image":
            return arrow.field(key, arrow.struct({"bytes": arrow.binary(), "path": arrow.string()}))
        kind = arrow.from_numpy_dtype(np.dtype(dtype))
        if len(shape) == 1:
            return arrow.field(key, kind if shape == (1,) else arrow.list_(kind, shape[0]))
        for _ in shape:
            kind = arrow.list_(kind)
        return arrow.field(key, kind)

    def _column(self, key: str, rows: np.ndarray) -> Any:
        arrow = self._arrow
        dtype, shape = self._held[key]
        kind = self._schema.field(key).type
        if dtype == "image":
            return arrow.array([{"bytes": png(image), "path": None} for image in rows], kind)
        values = arrow.array(np.ascontiguousarray(rows).reshape(-1).astype(dtype, copy=False))
        if shape == (1,):
            return values
        if len(shape) == 1:
            return arrow.FixedSizeListArray.from_arrays(values, shape[0])
        for size in reversed(shape):
            offsets = np.arange(0, len(values) + 1, size, dtype=np.int32)
            values = arrow.ListArray.from_arrays(offsets, values)
        return values


def write_episodes(
    root: Path, rows: Sequence[Mapping[str, Any]], stats: Sequence[Mapping[str, Stats]]
) -> None:
    """meta/episodes: a row per episode, with its statistics in columns stats/FEATURE/STATISTIC."""
    arrow, parquet = import_extra("pyarrow", EXTRA), import_extra("pyarrow.parquet", EXTRA)
    columns: dict[str, list[Any]] = {key: [row[key] for row in rows] for key in rows[0]}
    for key, found in stats[0].items():
        for name in found:
            columns[f"stats/{key}/{name}"] = [part[key][name].tolist() for part in stats]
    columns["meta/episodes/chunk_index"] = columns["meta/episodes/file_index"] = [0] * len(rows)
    path = root / "meta/episodes/chunk-000/file-000.parquet"
    path.parent.mkdir(parents=True)
    parquet.write_table(arrow.Table.from_pydict(columns), path, compression="snappy")


def write_tasks(root: Path, tasks: Sequence[str]) -> None:
    """meta/tasks.parquet: a table of pandas whose index is the task in words."""
    arrow, parquet = import_extra("pyarrow", EXTRA), import_extra("pyarrow.parquet", EXTRA)
    index = "__index_level_0__"
    described = {
        "index_columns": [index],
        "column_indexes": [_pandas_column(None, "unicode", "object", {"encoding": "UTF-8"})],
        "columns": [
            _pandas_column("task_index", "int64", "int64", None),
            {**_pandas_column(None, "unicode", "object", None), "field_name": index},
        ],
        "creator": {"library": "pyarrow", "version": arrow.__version__},
        "pandas_version": "2.2.0",
    }
    table = arrow.table({"task_index": arrow.array(range(len(tasks)), arrow.int64()), index: list(tasks)})
    table = table.replace_schema_metadata({"pandas": json.dumps(described)})
    parquet.write_table(table, root / "meta/tasks.parquet", compression="snappy")


def png(image: np.ndarray) -> bytes:
    """(H, W, 3) uint8 RGB as a PNG file."""
    written = io.BytesIO()
    import_extra("PIL.Image", EXTRA).fromarray(image).save(written, "PNG", compress_level=1)
    return written.getvalue()


def _pandas_column(name: str | None, kind: str, numpy: str, metadata: Any) -> dict[str, Any]:
    return {"name": name, "field_name": name, "pandas_type": kind, "numpy_type": numpy, "metadata": metadata}


def _for_datasets(held: Held) -> dict[str, str]:
    """What the library `datasets` looks for in a parquet file to know pictures and arrays as such."""
    features = {key: _for_datasets_column(*what) for key, what in held.items()}
    return {"huggingface": json.dumps({"info": {"features": features}})}


def _for_datasets_column(dtype: str, shape: tuple[int, ...]) -> dict[str, Any]:
    if dtype == "image":
        return {"_type": "Image"}
    value = {"dtype": dtype, "_type": "Value"}
    if shape == (1,):
        return value
    if len(shape) == 1:
        return {"feature": value, "length": shape[0], "_type": "List"}
    return {"shape": list(shape), "dtype": dtype, "_type": f"Array{len(shape)}D"}
