"""The keep-list that curation writes and training reads: which episodes count, and how much."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from imitate.datasets.durable import write_durably
from imitate.datasets.episode_store import EpisodeStore
from imitate.errors import DataError, nearest


@dataclass(frozen=True)
class Selection:
    """The episodes to use (indices, ascending), and of every step of the store its weight, (N,) float32."""

    episodes: tuple[int, ...]
    weights: np.ndarray


def everything(store: EpisodeStore) -> Selection:
    """All episodes with weight 1."""
    return Selection(tuple(range(len(store))), np.ones(store.steps, np.float32))


def read_keep_list(path: Path, store: EpisodeStore, data_hash: str) -> Selection:
    """What the keep-list at `path` selects of `store`; episodes it does not name are kept with weight 1.

    The file is {"episodes": [{"id", "weight", "keep", "reasons", "segments": [{"start", "stop", "weight"}]}],
    "data_hash"}: segments are steps of the episode from start to stop, without the latter, whose weight is
    multiplied by the given one; 0 cuts them out. Raises DataError where it was made for other data, names an
    unknown episode or steps that are not there, or is no keep-list.
    """
    listed = _read(path)
    if listed["data_hash"] != data_hash:
        raise DataError(
            f"{path} was made for data with hash {listed['data_hash']}, but {store.address} has {data_hash}; "
            "make a new list for this data"
        )
    index_of = {store.record(i).id: i for i in range(len(store))}
    keep = np.ones(len(store), bool)
    weights = np.ones(store.steps, np.float32)
    for entry in listed["episodes"]:
        index = _index(entry, index_of, path)
        own = weights[store.episode_ends[index] - store.record(index).steps : store.episode_ends[index]]
        keep[index] = entry.get("keep", True)
        own *= entry.get("weight", 1.0)
        for segment in entry.get("segments", []):
            start, stop = _bounds(segment, len(own), f"{path}: episode {entry['id']!r}")
            own[start:stop] *= segment["weight"]
    if not np.isfinite(weights).all() or (weights < 0).any():
        raise DataError(f"{path}: weights must be finite and not negative")
    return Selection(tuple(np.flatnonzero(keep).tolist()), weights)


def write_keep_list(
    path: Path, episodes: list[dict[str, Any]], data_hash: str, made_by: dict[str, Any]
) -> None:
    """Write what `read_keep_list` reads, whole or not at all; `made_by` says how it came about."""
    text = json.dumps({"made_by": made_by, "data_hash": data_hash, "episodes": episodes}, indent=1)
    path.parent.mkdir(parents=True, exist_ok=True)
    write_durably(path, (text + "\n").encode())


def _bounds(segment: Any, steps: int, where: str) -> tuple[int, int]:
    if not isinstance(segment, dict) or not {"start", "stop", "weight"} <= set(segment):
        raise DataError(f"{where}: each of 'segments' needs 'start', 'stop' and 'weight', found {segment!r}")
    start, stop = segment["start"], segment["stop"]
    if not 0 <= start < stop <= steps:
        raise DataError(f"{where} has {steps} steps, but a segment goes from {start} to {stop}")
    return start, stop


def _read(path: Path) -> dict[str, Any]:
    try:
        listed = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise DataError(f"{path}: cannot be read as a keep-list (data.keep): {error}") from error
    if not isinstance(listed, dict) or not {"episodes", "data_hash"} <= set(listed):
        raise DataError(f"{path}: a keep-list holds 'episodes' and 'data_hash'")
    return listed


def _index(entry: Any, index_of: dict[str, int], path: Path) -> int:
    if not isinstance(entry, dict) or "id" not in entry:
        raise DataError(f"{path}: each of 'episodes' needs an 'id', found {entry!r}")
    if entry["id"] not in index_of:
        raise DataError(f"{path}: there is no episode {entry['id']!r}{nearest(str(entry['id']), index_of)}")
    return index_of[entry["id"]]
