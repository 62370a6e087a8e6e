"""The keep-list that curation writes and training reads: which episodes count, and how much."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from imitate.datasets.episode_store import EpisodeStore
from imitate.errors import DataError, nearest


@dataclass(frozen=True)
class Selection:
    """The episodes to use (indices, ascending) and the weight (E,) float32 of every episode of the store."""

    episodes: tuple[int, ...]
    weights: np.ndarray


def everything(store: EpisodeStore) -> Selection:
    """All episodes with weight 1."""
    return Selection(tuple(range(len(store))), np.ones(len(store), np.float32))


def read_keep_list(path: Path, store: EpisodeStore, data_hash: str) -> Selection:
    """What the keep-list at `path` selects of `store`; episodes it does not name are kept with weight 1.

    The file is {"episodes": [{"id", "weight", "keep", "reasons"}], "data_hash"}. Raises DataError where
    it was made for other data, names an unknown episode, or is no keep-list.
    """
    listed = _read(path)
    if listed["data_hash"] != data_hash:
        raise DataError(
            f"{path} was made for data with hash {listed['data_hash']}, but {store.path} has {data_hash}; "
            "make a new list for this data"
        )
    index_of = {store.record(i).id: i for i in range(len(store))}
    keep = np.ones(len(store), bool)
    weights = np.ones(len(store), np.float32)
    for entry in listed["episodes"]:
        index = _index(entry, index_of, path)
        keep[index], weights[index] = entry.get("keep", True), entry.get("weight", 1.0)
    if not np.isfinite(weights).all() or (weights < 0).any():
        raise DataError(f"{path}: weights must be finite and not negative")
    return Selection(tuple(np.flatnonzero(keep).tolist()), weights)


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
