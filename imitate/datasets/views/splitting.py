"""Dividing episodes into parts: by a draw, or by what is known of them."""

import re
from collections.abc import Sequence
from typing import Any

import numpy as np

from imitate.datasets.episode_store import EpisodeRecord, canonical_json
from imitate.datasets.views.operations import Split
from imitate.errors import ConfigError, nearest

ATTRIBUTES = ("success", "source", "operator")
METADATA = "metadata."


def random_parts(records: Sequence[EpisodeRecord], share: float, seed: int) -> dict[str, Split]:
    """ "train" with `share` of the episodes, at least one, and "test" with the others, at least one.

    The drawn ids are kept in the view, so that the parts stay what they are whatever draws random numbers.
    """
    if not 0.0 < share < 1.0:
        raise ConfigError(f"share is {share}, expected a number between 0 and 1")
    if seed < 0:
        raise ConfigError(f"seed is {seed}, expected 0 or more")
    if len(records) < 2:
        raise ConfigError(f"there is only {len(records)} episode, expected at least two to split")
    count = min(max(1, round(share * len(records))), len(records) - 1)
    chosen = set(np.random.default_rng(seed).permutation(len(records))[:count].tolist())
    train = tuple(record.id for i, record in enumerate(records) if i in chosen)
    test = tuple(record.id for i, record in enumerate(records) if i not in chosen)
    return {
        "train": Split("train", train, share=share, seed=seed),
        "test": Split("test", test, share=round(1.0 - share, 12), seed=seed),
    }


def parts_by(records: Sequence[EpisodeRecord], by: str) -> dict[str, Split]:
    """A part for each value of the attribute `by`, called after the value."""
    groups: dict[bytes, tuple[Any, list[str]]] = {}
    for record in records:
        value = _attribute(record, by)
        groups.setdefault(canonical_json(value), (value, []))[1].append(record.id)
    if len(groups) < 2:
        raise ConfigError(
            f"by={by} has one value in all {len(records)} episodes, so there is nothing to split"
        )
    parts: dict[str, Split] = {}
    for value, ids in groups.values():
        name = _file_name(value, parts)
        parts[name] = Split(name, tuple(ids), by=by, value=value)
    return parts


def _attribute(record: EpisodeRecord, by: str) -> Any:
    if by in ATTRIBUTES:
        return getattr(record, by)
    if by.startswith(METADATA):
        return record.metadata.get(by.removeprefix(METADATA))
    raise ConfigError(f"by is {by!r}{nearest(by, [*ATTRIBUTES, 'metadata.KEY'])}")


def _file_name(value: Any, taken: dict[str, Split]) -> str:
    """`value` as a file name: letters, digits, _ and -, and a number where two would be the same."""
    text = "unknown" if value in (None, "") else str(value).lower()
    name = re.sub(r"[^a-z0-9_\-]+", "_", text)[:60].strip("_") or "other"
    number = 2
    while name in taken:
        name, number = f"{name.rpartition('__')[0] or name}__{number}", number + 1
    return name
