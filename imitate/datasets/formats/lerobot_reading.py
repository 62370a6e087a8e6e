"""Reading a LeRobot dataset: which features become observations, and episode after episode of them."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from itertools import groupby
from pathlib import Path
from typing import Any

import numpy as np

from imitate.datasets.episode_store import ACTION
from imitate.datasets.formats.lerobot_beside import Beside, read_beside
from imitate.datasets.formats.lerobot_episodes import Entry, read_entries, read_tasks
from imitate.datasets.formats.lerobot_features import FRAME, STAMP, SUCCESS, TASK, choose_features, known
from imitate.datasets.formats.lerobot_info import Feature, Info, read_info
from imitate.datasets.formats.lerobot_parquet import numbers, open_parquet, pictures, split_episodes
from imitate.datasets.formats.lerobot_video import LEROBOT_TOLERANCE_S, CameraVideo
from imitate.datasets.timing import KEY, timing
from imitate.errors import DataError
from imitate.types import ArraySpec, DataSpec, Episode

_PICTURE_ROWS, _NUMBER_ROWS = 16, 4096


@dataclass
class LeRobotFolder:
    """A dataset that can be imported. keys: {name of an observation, or "action": feature}."""

    info: Info
    entries: tuple[Entry, ...]
    keys: Mapping[str, Feature]
    tasks: Mapping[int, str]
    beside: Beside | None
    said: tuple[str, ...]
    _videos: dict[str, CameraVideo] = field(default_factory=dict, repr=False)

    @property
    def spec(self) -> DataSpec:
        """What each step holds."""
        found = {name: known(feature.spec) for name, feature in self.keys.items()}
        plain = DataSpec({k: v for k, v in found.items() if k != ACTION}, found[ACTION], self.info.fps)
        return plain.filled_from(self.beside.spec) if self.beside else plain

    @property
    def source(self) -> str:
        """Where they come from."""
        if self.beside:
            return self.beside.source
        return ", ".join(part for part in ("LeRobot", self.info.robot_type, self.info.root.name) if part)

    @property
    def metadata(self) -> Mapping[str, Any]:
        """Robot, splits, and the features behind the names, which writing the dataset again restores."""
        described = {
            "codebase_version": "v{}.{}".format(*self.info.version),
            "robot_type": self.info.robot_type,
            "splits": dict(self.info.splits),
            "keys": {name: feature.key for name, feature in self.keys.items()},
        }
        return self.beside.metadata if self.beside else {"lerobot": described}

    @property
    def left_out(self) -> tuple[str, ...]:
        """In words, what the files hold and the episodes do not."""
        said = list(self.said)
        for video in self._videos.values():
            if video.unused:
                said.append(f"{video.unused} video frames of {video.key!r} that belong to no step")
            if video.worst_s > LEROBOT_TOLERANCE_S:
                said.append(
                    f"times of the video frames of {video.key!r}, up to {video.worst_s:.4f} s "
                    "from their steps' (LeRobot's own loader refuses them)"
                )
        return tuple(said)

    def __len__(self) -> int:
        return len(self.entries)

    def episodes(self) -> Iterator[Episode]:
        """All episodes in order; raises DataError naming the file and the episode that cannot be read."""
        self._videos = {
            name: CameraVideo(feature.key, known(feature.spec), self.info.fps)
            for name, feature in self.keys.items()
            if feature.dtype == "video"
        }
        try:
            for number, (entry, table) in enumerate(self._tables()):
                yield self._episode(entry, table, number)
        finally:
            for video in self._videos.values():
                video.close()

    def _tables(self) -> Iterator[tuple[Entry, Any]]:
        """Each episode with its rows as a pyarrow.Table; a data file is read once."""
        held = [feature for feature in self.keys.values() if feature.dtype != "video"]
        row_bytes = sum(_row_bytes(feature) for feature in held if not feature.is_camera) + 64
        batch = _PICTURE_ROWS if any(feature.is_camera for feature in held) else _NUMBER_ROWS
        for path, entries in groupby(self.entries, key=lambda entry: entry.data):
            there = open_parquet(path, row_bytes).schema_arrow.names
            extra = (name for name in (STAMP, FRAME, TASK, *SUCCESS) if name in there)
            columns = tuple(dict.fromkeys([*(feature.key for feature in held), *extra]))
            runs = split_episodes(path, columns, row_bytes, batch)
            for entry in entries:
                index, table = next(runs, (None, None))
                if table is None or index != entry.index or table.num_rows != entry.length:
                    found = "no more" if table is None else f"{table.num_rows} of episode {index}"
                    raise DataError(
                        f"{path}: rows of episode {entry.index} are {found}, meta says {entry.length}"
                    )
                yield entry, table
            if (more := next(runs, None)) is not None:
                raise DataError(f"{path} holds rows of episode {more[0]}, which meta does not list there")

    def _episode(self, entry: Entry, table: Any, number: int) -> Episode:
        where = f"{entry.data}, episode {entry.index}"
        stamps = self._stamps(table, where)
        _require_in_order(table, where)
        arrays = {}
        for name, feature in self.keys.items():
            spec = known(feature.spec)
            if feature.dtype == "video":
                arrays[name] = self._videos[name].take(entry.videos[feature.key], stamps, entry.index)
            else:
                read = pictures if feature.is_camera else numbers
                arrays[name] = read(table, feature.key, spec, where)
        action = arrays.pop(ACTION)
        told: dict[str, Any] = {
            "id": f"episode_{entry.index:06d}",
            "success": _success(table, entry),
            "source": self.source,
            "rate_hz": self.info.fps,
            "metadata": {**self._task(entry, table, where), **self._timing(table, stamps)},
        }
        if self.beside:
            told.update(self.beside.episodes[number])
        return Episode(obs=arrays, action=action, **told)

    def _stamps(self, table: Any, where: str) -> np.ndarray:
        if STAMP not in table.column_names:
            return np.arange(table.num_rows) / self.info.fps
        return numbers(table, STAMP, ArraySpec((1,), "float64"), where)[:, 0]

    def _timing(self, table: Any, stamps: np.ndarray) -> dict[str, Any]:
        facts = timing(stamps, self.info.fps) if STAMP in table.column_names else {}
        return {KEY: facts} if facts else {}

    def _task(self, entry: Entry, table: Any, where: str) -> dict[str, Any]:
        """The task in words; where it changes, also `tasks` [[first step, text], …]."""
        if TASK not in table.column_names:
            return {"task": entry.tasks[0]} if entry.tasks else {}
        indices = numbers(table, TASK, ArraySpec((1,), "int64"), where)[:, 0]
        starts = [0, *(np.flatnonzero(np.diff(indices)) + 1).tolist()]
        texts = [self.tasks.get(int(indices[start]), "") for start in starts]
        if not any(texts):
            return {"task": entry.tasks[0]} if entry.tasks and entry.tasks[0] else {}
        changes = (
            {"tasks": [list(pair) for pair in zip(starts, texts, strict=True)]} if len(starts) > 1 else {}
        )
        return {"task": texts[0], **changes}


def read_folder(root: Path) -> LeRobotFolder:
    """Look at the dataset and check that it can be imported.

    Raises DataError where its metadata are damaged or disagree, files of numbers are missing, or nothing is
    left to learn from.
    """
    info = read_info(root)
    chosen, said = choose_features(info)
    videos = tuple(feature.key for feature in chosen.values() if feature.dtype == "video")
    if videos and not info.video_path:
        raise DataError(f"{root}/meta/info.json: video_path is missing, but {videos[0]!r} is a video")
    entries = read_entries(info, videos)
    _require_data(entries)
    for name, feature in list(chosen.items()):
        if feature.dtype == "video" and (lost := _missing(entries, feature.key)):
            said.append(_says_missing(feature.key, lost, len(entries)))
            del chosen[name]
    if set(chosen) == {ACTION}:
        raise DataError(f"{root}: no observation is left ({'; '.join(said)})")
    beside, complaint = read_beside(root, chosen, entries)
    tasks = read_tasks(info)
    found = LeRobotFolder(info, entries, chosen, tasks, beside, (*said, *info.notes, *complaint))
    _check_first_file(found)
    return found


def _row_bytes(feature: Feature) -> int:
    spec = known(feature.spec)
    return spec.size * np.dtype(spec.dtype).itemsize


def _require_data(entries: tuple[Entry, ...]) -> None:
    files = dict.fromkeys(entry.data for entry in entries)
    missing = [path for path in files if not path.is_file()]
    if missing:
        raise DataError(
            f"{missing[0]} is missing ({len(missing)} of {len(files)} data files are); copy the dataset again"
        )


def _missing(entries: tuple[Entry, ...], key: str) -> int:
    present = {path: path.is_file() for path in {entry.videos[key].path for entry in entries}}
    return sum(not present[entry.videos[key].path] for entry in entries)


def _says_missing(key: str, lost: int, episodes: int) -> str:
    return (
        f"camera {key!r} of all {episodes} episodes: the videos of {lost} of them are missing "
        "(copy them again, or remove those episodes, to have it)"
    )


def _check_first_file(folder: LeRobotFolder) -> None:
    """Read the first episode's numbers, so that a wrong shape is found before anything is written."""
    entry, table = next(folder._tables())
    for feature in folder.keys.values():
        if not feature.is_camera:
            numbers(table, feature.key, known(feature.spec), f"{entry.data}, episode {entry.index}")


def _require_in_order(table: Any, where: str) -> None:
    if FRAME not in table.column_names:
        return
    frames = numbers(table, FRAME, ArraySpec((1,), "int64"), where)[:, 0]
    if (np.diff(frames) != 1).any():
        row = int(np.flatnonzero(np.diff(frames) != 1)[0])
        raise DataError(f"{where}: frame_index goes from {frames[row]} to {frames[row + 1]}, expected +1")


def _success(table: Any, entry: Entry) -> bool | None:
    """What the episode's metadata or a column of success says; next.done only says that the episode ended."""
    if entry.success is not None:
        return entry.success
    key = next((key for key in SUCCESS if key in table.column_names), None)
    return bool(numbers(table, key, ArraySpec((1,), "float64"), str(entry.data)).any()) if key else None
