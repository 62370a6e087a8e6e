"""Writing a store as a LeRobot dataset of version 3.0, which LeRobot's own loader and visualiser open.

Cameras become H.264 videos; those of odd height or width, which the usual colour layout of video cannot hold,
become PNG images in the parquet files, which LeRobot also reads.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np

from imitate.datasets.episode_store import ACTION, EpisodeStore
from imitate.datasets.formats.lerobot_beside import FILE, write_beside
from imitate.datasets.formats.lerobot_encoding import MOST_FILE_BYTES, VideoWriter, whole
from imitate.datasets.formats.lerobot_info import INFO
from imitate.datasets.formats.lerobot_stats import Stats, as_json, image_stats, together, vector_stats
from imitate.datasets.formats.lerobot_tables import (
    MOST_DATA_BYTES,
    DataWriter,
    write_episodes,
    write_tasks,
)
from imitate.errors import DataError
from imitate.progress import Progress
from imitate.types import ArraySpec, DataSpec, Episode

SUCCESS = "next.success"
FINEST_RATE = 1001


@dataclass(frozen=True)
class Column:
    """A feature to write: its key in LeRobot, its dtype there, and what it holds."""

    key: str
    dtype: str
    spec: ArraySpec

    def describe(self) -> dict[str, Any]:
        """As info.json has it."""
        camera = self.dtype in ("video", "image")
        names = ["height", "width", "channels"] if camera else list(self.spec.names) or None
        return {"dtype": self.dtype, "shape": list(self.spec.shape), "names": names}


BOOKKEEPING = tuple(
    Column(key, dtype, ArraySpec((1,), dtype))
    for key, dtype in (
        ("timestamp", "float32"),
        ("frame_index", "int64"),
        ("episode_index", "int64"),
        ("index", "int64"),
        ("task_index", "int64"),
    )
)


@dataclass
class _Folder:
    """What has been written so far."""

    root: Path
    fps: Fraction
    columns: Mapping[str, Column]
    judged: bool
    data: DataWriter
    videos: dict[str, VideoWriter]
    tasks: dict[str, int] = field(default_factory=dict)
    rows: list[dict[str, Any]] = field(default_factory=list)
    stats: list[dict[str, Stats]] = field(default_factory=list)
    frames: int = 0

    def write(self, episode: Episode) -> None:
        """Append an episode: its videos, its rows, and what meta/ will say of it."""
        arrays = {**episode.obs, ACTION: episode.action}
        numbers = {self.columns[name].key: array for name, array in arrays.items() if name not in self.videos}
        numbers |= self._bookkeeping(episode)
        places = {self.columns[name].key: writer.write(arrays[name]) for name, writer in self.videos.items()}
        stats = {
            column.key: (image_stats if column.dtype in ("video", "image") else vector_stats)(arrays[name])
            for name, column in self.columns.items()
        }
        stats |= {key: vector_stats(rows) for key, rows in numbers.items() if key not in stats}
        chunk, file = self.data.write(numbers)
        row = {
            "episode_index": len(self.rows),
            "tasks": list(dict.fromkeys(text for _, text in _tasks(episode))),
            "length": len(episode),
            "data/chunk_index": chunk,
            "data/file_index": file,
            "dataset_from_index": self.frames,
            "dataset_to_index": self.frames + len(episode),
        }
        for key, place in places.items():
            row[f"videos/{key}/chunk_index"], row[f"videos/{key}/file_index"] = place.chunk, place.file
            row[f"videos/{key}/from_timestamp"] = place.start_s
            row[f"videos/{key}/to_timestamp"] = place.end_s
        self.rows.append(row)
        self.stats.append(stats)
        self.frames += len(episode)

    def finish(self, robot_type: str | None) -> None:
        """Close all files and write meta/."""
        self.data.close()
        for writer in self.videos.values():
            writer.close()
        write_episodes(self.root, self.rows, self.stats)
        write_tasks(self.root, list(self.tasks))
        whole_set = {key: together([part[key] for part in self.stats]) for key in self.stats[0]}
        _write_json(self.root / "meta/stats.json", as_json(whole_set))
        _write_json(self.root / INFO, self._info(robot_type))

    def _bookkeeping(self, episode: Episode) -> dict[str, np.ndarray]:
        steps = np.arange(len(episode))
        tasks = np.zeros(len(episode), np.int64)
        for start, text in _tasks(episode):
            tasks[start:] = self.tasks.setdefault(text, len(self.tasks))
        found = {
            "timestamp": (steps / float(self.fps)).astype(np.float32),
            "frame_index": steps,
            "episode_index": np.full(len(episode), len(self.rows)),
            "index": steps + self.frames,
            "task_index": tasks,
        }
        if self.judged:
            found[SUCCESS] = (steps == len(episode) - 1) & bool(episode.success)
        return {key: values[:, None] for key, values in found.items()}

    def _info(self, robot_type: str | None) -> dict[str, Any]:
        features = {column.key: column.describe() for column in self.columns.values()}
        for name, writer in self.videos.items():
            features[self.columns[name].key]["info"] = writer.describe()
        extra = (Column(SUCCESS, "bool", ArraySpec((1,), "bool")),) if self.judged else ()
        features |= {column.key: column.describe() for column in (*extra, *BOOKKEEPING)}
        pattern = "chunk-{chunk_index:03d}/file-{file_index:03d}"
        return {
            "codebase_version": "v3.0",
            "robot_type": robot_type,
            "total_episodes": len(self.rows),
            "total_frames": self.frames,
            "total_tasks": len(self.tasks),
            "chunks_size": 1000,
            "data_files_size_in_mb": MOST_DATA_BYTES // 2**20,
            "video_files_size_in_mb": MOST_FILE_BYTES // 2**20,
            "fps": whole(self.fps),
            "splits": {"train": f"0:{len(self.rows)}"},
            "data_path": f"data/{pattern}.parquet",
            "video_path": f"videos/{{video_key}}/{pattern}.mp4" if self.videos else None,
            "features": features,
        }


def write_folder(store: EpisodeStore, out: Path, progress: Progress) -> tuple[str, ...]:
    """Write `store` to the new folder `out`; gives in words what LeRobot's readers will not find.

    Raises DataError where the store is empty, has no rate, or an array that LeRobot cannot hold.
    """
    if not len(store):
        raise DataError(f"{store.path} has no episodes; LeRobot cannot hold an empty dataset")
    if not store.spec.rate_hz:
        raise DataError(
            f"{store.path} has no rate_hz, which LeRobot needs: say it with  imitate data rename rate_hz=…"
        )
    fps = Fraction(store.spec.rate_hz).limit_denominator(FINEST_RATE)
    columns = _columns(store.spec, _told(store).get("keys"), str(store.path))
    judged = all(store.record(index).success is not None for index in range(len(store)))
    (out / "meta").mkdir(parents=True)
    held = {c.key: (c.dtype, c.spec.shape) for c in columns.values() if c.dtype != "video"}
    held |= {c.key: (c.dtype, c.spec.shape) for c in BOOKKEEPING} | (
        {SUCCESS: ("bool", (1,))} if judged else {}
    )
    videos = {
        name: VideoWriter(out / "videos" / column.key, fps, column.spec.shape[:2])
        for name, column in columns.items()
        if column.dtype == "video"
    }
    folder = _Folder(out, fps, columns, judged, DataWriter(out / "data", held), videos)
    with progress.task("write", len(store), "episodes") as task:
        for episode in store.episodes():
            folder.write(episode)
            task.advance()
    folder.finish(str(_told(store).get("robot_type") or "") or None)
    write_beside(out, store)
    return _left_out(store, columns, judged)


def _columns(spec: DataSpec, told: Any, where: str) -> dict[str, Column]:
    """{name: its column}; `told` are the keys that a dataset had which was imported from LeRobot."""
    known = told if isinstance(told, dict) and all(isinstance(key, str) for key in told.values()) else {}
    columns = {ACTION: Column("action", spec.action.dtype, spec.action)}
    for name, array in spec.obs.items():
        dtype = array.dtype if not _is_camera(array) else "image" if _is_odd(array) else "video"
        inside = "images." if _is_camera(array) else ""
        columns[name] = Column(_safe(known.get(name)) or f"observation.{inside}{name}", dtype, array)
        if len(array.shape) > 5:
            raise DataError(f"{where}: {name!r} has {len(array.shape)} dimensions, LeRobot takes at most 5")
    keys = [column.key for column in columns.values()]
    if len(set(keys)) != len(keys):
        raise DataError(f"{where}: two observations would share a name in LeRobot: {', '.join(sorted(keys))}")
    return columns


def _safe(key: str | None) -> str:
    """`key` where it is one of an observation; it names folders."""
    plain = (
        key is not None and key.startswith("observation.") and not set(key) & set("/\\\0") and ".." not in key
    )
    return key if key and plain else ""


def _is_camera(array: ArraySpec) -> bool:
    return array.is_image and array.shape[2] == 3


def _is_odd(array: ArraySpec) -> bool:
    return bool(array.shape[0] % 2 or array.shape[1] % 2)


def _told(store: EpisodeStore) -> Mapping[str, Any]:
    """What the store still knows of the LeRobot dataset that it came from."""
    told = store.metadata.get("lerobot")
    return told if isinstance(told, dict) else {}


def _tasks(episode: Episode) -> list[tuple[int, str]]:
    """[(first step, what was to be done)], of which the first starts at 0."""
    match episode.metadata.get("tasks"):
        case [[0, _], *_] as found if all(_is_change(item) for item in found):
            return [(start, text) for start, text in found]
    task = episode.metadata.get("task")
    return [(0, task if isinstance(task, str) else "")]


def _is_change(item: Any) -> bool:
    return isinstance(item, list | tuple) and [type(part) for part in item] == [int, str]


def _write_json(path: Path, value: Any) -> None:
    path.write_text(json.dumps(value, indent=4, ensure_ascii=False), encoding="utf-8")


def _left_out(store: EpisodeStore, columns: Mapping[str, Column], judged: bool) -> tuple[str, ...]:
    lossy = [column.key for column in columns.values() if column.dtype == "video"]
    said = [f"units, ranges, ids, sources and metadata, for which LeRobot has no place ({FILE} keeps them)"]
    if lossy:
        said.append(f"exact pixels of {', '.join(lossy)}: video is compressed with loss")
    if not judged:
        said.append(f"success, since not every episode was judged ({FILE} keeps what is known)")
    return tuple(said)
