"""meta/imitate.json: what imitate knows of its episodes and LeRobot has no place for.

Units, ranges, ids, who judged and acted. LeRobot ignores the file; a dataset that was edited with other
tools since no longer matches it, and then it counts no more.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from imitate.datasets.episode_store import ACTION, EpisodeStore
from imitate.datasets.formats.lerobot_episodes import Entry
from imitate.datasets.formats.lerobot_info import Feature
from imitate.errors import SpecError
from imitate.types import DataSpec

FILE = "meta/imitate.json"
_TYPES: dict[str, Any] = {
    "id": str,
    "source": str,
    "operator": str,
    "success": bool | None,
    "rate_hz": float | int | None,
    "metadata": dict,
}


@dataclass(frozen=True)
class Beside:
    """The contents; episodes has one entry per episode, with the fields of an Episode besides its arrays."""

    spec: DataSpec
    source: str
    metadata: Mapping[str, Any]
    episodes: tuple[Mapping[str, Any], ...]


def write_beside(root: Path, store: EpisodeStore) -> None:
    """Write the file for all episodes of `store`."""
    records = [store.record(index) for index in range(len(store))]
    episodes = [{key: getattr(record, key) for key in (*_TYPES, "steps")} for record in records]
    described = {
        "spec": store.spec.to_json(),
        "source": store.source,
        "metadata": dict(store.metadata),
        "episodes": episodes,
    }
    (root / FILE).write_text(json.dumps(described, indent=1), encoding="utf-8")


def read_beside(
    root: Path, keys: Mapping[str, Feature], entries: Sequence[Entry]
) -> tuple[Beside | None, tuple[str, ...]]:
    """The contents where they fit the dataset, else None and in words why not."""
    path = root / FILE
    if not path.is_file():
        return None, ()
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
        spec = DataSpec.from_json(found["spec"])
        _require_fit(found, spec, keys, entries)
        episodes = tuple({key: row[key] for key in _TYPES} for row in found["episodes"])
        return Beside(spec, str(found["source"]), dict(found["metadata"]), episodes), ()
    except (ValueError, KeyError, TypeError, RecursionError, SpecError) as error:
        return None, (f"{FILE}, which does not fit the dataset any more ({error})",)


def _require_fit(found: Any, spec: DataSpec, keys: Mapping[str, Feature], entries: Sequence[Entry]) -> None:
    told = {**spec.obs, ACTION: spec.action}
    shapes = {name: feature.spec.shape for name, feature in keys.items() if feature.spec}
    if {name: array.shape for name, array in told.items()} != shapes:
        raise ValueError(f"its arrays are {sorted(told)}")
    if [row["steps"] for row in found["episodes"]] != [entry.length for entry in entries]:
        raise ValueError("its episodes have other lengths")
    if len({row["id"] for row in found["episodes"]}) != len(entries):
        raise ValueError("its ids are not unique")
    for row in found["episodes"]:
        for key, kind in _TYPES.items():
            if not isinstance(row[key], kind):
                raise TypeError(f"{key} is {row[key]!r}")
