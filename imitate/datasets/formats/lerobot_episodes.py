"""Which episodes a LeRobot dataset has, and in which files each one lies."""

import json
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from imitate.datasets.formats.lerobot_info import INFO, Info
from imitate.datasets.formats.lerobot_parquet import read_columns
from imitate.errors import DataError

_BOOKKEEPING = ("episode_index", "length", "data/chunk_index", "data/file_index")


@dataclass(frozen=True)
class Stretch:
    """A part of a video file: the frames shown from `start_s` until before `end_s` (None: to its end)."""

    path: Path
    start_s: float = 0.0
    end_s: float | None = None


@dataclass(frozen=True)
class Entry:
    """What meta/ says of one episode. videos: by feature; success: None where it does not say."""

    index: int
    length: int
    tasks: tuple[str, ...]
    data: Path
    videos: Mapping[str, Stretch]
    success: bool | None = None


def read_entries(info: Info, cameras: Iterable[str]) -> tuple[Entry, ...]:
    """All episodes by number, with the videos of `cameras`.

    Raises DataError where meta/ is damaged, or disagrees with the counts of info.json.
    """
    keys = tuple(cameras)
    entries = _entries_3(info, keys) if info.version[0] == 3 else _entries_2(info, keys)
    found = sorted(entries, key=lambda entry: entry.index)
    where = info.root / INFO
    if len({entry.index for entry in found}) != len(found):
        raise DataError(f"{info.root}/meta: an episode_index appears twice; copy the dataset again")
    if not found:
        raise DataError(f"{info.root}/meta lists no episodes")
    if len(found) != info.total_episodes:
        raise DataError(f"{where}: total_episodes is {info.total_episodes}, but meta lists {len(found)}")
    frames = sum(entry.length for entry in found)
    if frames != info.total_frames:
        raise DataError(f"{where}: total_frames is {info.total_frames}, but the episodes have {frames}")
    return tuple(found)


def read_tasks(info: Info) -> dict[int, str]:
    """{task_index: what was to be done, in words}; empty where the dataset names no tasks."""
    if info.version[0] == 3:
        path = info.root / "meta/tasks.parquet"
        rows = _task_rows(path) if path.is_file() else []
    else:
        path = info.root / "meta/tasks.jsonl"
        rows = _lines(path) if path.is_file() else []
    return {_index(row, "task_index", path): str(row.get("task") or "") for row in rows}


def _task_rows(path: Path) -> list[dict[str, Any]]:
    # The text is the index of a pandas table, which names it or not.
    rows = read_columns(path, ("task_index",), ("task", "__index_level_0__"))
    return [{"task": row.get("__index_level_0__"), **row} for row in rows]


def _entries_2(info: Info, cameras: tuple[str, ...]) -> list[Entry]:
    path = info.root / "meta/episodes.jsonl"
    return [_entry_2(row, info, cameras, path) for row in _lines(path)]


def _entry_2(row: Mapping[str, Any], info: Info, cameras: tuple[str, ...], path: Path) -> Entry:
    index = _index(row, "episode_index", path)
    numbers = {"episode_chunk": index // info.chunks_size, "episode_index": index}
    return Entry(
        index=index,
        length=_length(row, path),
        tasks=_texts(row.get("tasks")),
        data=info.data_file(**numbers),
        videos={key: Stretch(info.video_file(key, **numbers)) for key in cameras},
        success=_judged(row.get("success")),
    )


def _entries_3(info: Info, cameras: tuple[str, ...]) -> list[Entry]:
    paths = sorted((info.root / "meta/episodes").glob("chunk-*/*.parquet"))
    if not paths:
        raise DataError(
            f"{info.root}/meta/episodes/chunk-…/file-….parquet is missing; copy the dataset again"
        )
    parts = ("chunk_index", "file_index", "from_timestamp", "to_timestamp")
    wanted = (*_BOOKKEEPING, *(f"videos/{key}/{part}" for key in cameras for part in parts))
    return [
        _entry_3(row, info, cameras, path)
        for path in paths
        for row in read_columns(path, wanted, ("tasks", "success"))
    ]


def _entry_3(row: Mapping[str, Any], info: Info, cameras: tuple[str, ...], path: Path) -> Entry:
    def numbers(prefix: str) -> dict[str, int]:
        return {part: _index(row, f"{prefix}/{part}", path) for part in ("chunk_index", "file_index")}

    return Entry(
        index=_index(row, "episode_index", path),
        length=_length(row, path),
        tasks=_texts(row.get("tasks")),
        data=info.data_file(**numbers("data")),
        videos={
            key: Stretch(
                info.video_file(key, **numbers(f"videos/{key}")),
                _seconds(row, f"videos/{key}/from_timestamp", path),
                _seconds(row, f"videos/{key}/to_timestamp", path),
            )
            for key in cameras
        },
        success=_judged(row.get("success")),
    )


def _lines(path: Path) -> list[dict[str, Any]]:
    if not path.is_file():
        raise DataError(f"{path} is missing; copy the dataset again")
    try:
        rows = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines() if line.strip()]
    except (ValueError, RecursionError) as error:
        raise DataError(f"{path}: a line is no JSON ({error}); copy the dataset again") from error
    if not all(isinstance(row, dict) for row in rows):
        raise DataError(f"{path}: a line is no JSON object; copy the dataset again")
    return rows


def _index(row: Mapping[str, Any], key: str, path: Path) -> int:
    value = row.get(key)
    if not isinstance(value, int) or isinstance(value, bool) or value < 0:
        raise DataError(f"{path}: {key} is {value!r}, expected a whole number from 0 on")
    return value


def _length(row: Mapping[str, Any], path: Path) -> int:
    length = _index(row, "length", path)
    if length == 0:
        raise DataError(
            f"{path}: episode {row.get('episode_index')} has length 0; remove it from the dataset"
        )
    return length


def _seconds(row: Mapping[str, Any], key: str, path: Path) -> float:
    value = row.get(key)
    if not isinstance(value, int | float) or not math.isfinite(value):
        raise DataError(f"{path}: {key} is {value!r}, expected seconds")
    return float(value)


def _texts(value: Any) -> tuple[str, ...]:
    if isinstance(value, str):
        return (value,)
    return tuple(str(text) for text in value) if isinstance(value, list) else ()


def _judged(value: Any) -> bool | None:
    return value if isinstance(value, bool) else None
