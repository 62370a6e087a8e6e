"""A keep-list as operations of a view."""

from pathlib import Path

import numpy as np

from imitate.datasets.episode_store import EpisodeStore
from imitate.datasets.keep_list import read_keep_list
from imitate.datasets.views.criteria import Criteria
from imitate.datasets.views.operations import Filter, Operation, Trim


def kept_by(path: Path, store: EpisodeStore) -> tuple[list[Operation], list[str]]:
    """Operations that leave of `store` what the keep-list at `path` keeps, and in words what they cannot.

    Steps of weight 0 are cut off at the ends of an episode; within it they stay, and so do other weights
    than 1. Raises what `read_keep_list` raises.
    """
    chosen = read_keep_list(path, store, store.content_hash())
    ends, ids = store.episode_ends, []
    ranges: dict[str, tuple[int, int]] = {}
    cut_within, weighted = 0, 0
    for episode in chosen.episodes:
        record = store.record(episode)
        weights = chosen.weights[ends[episode] - record.steps : ends[episode]]
        counting = np.flatnonzero(weights)
        if not len(counting):
            continue
        start, stop = int(counting[0]), int(counting[-1]) + 1
        ids.append(record.id)
        if (start, stop) != (0, record.steps):
            ranges[record.id] = (start, stop)
        cut_within += bool((weights[start:stop] == 0).any())
        weighted += bool(((weights != 0) & (weights != 1)).any())
    because = f"keep-list {path.name}"
    operations: list[Operation] = [Filter(Criteria(ids=tuple(ids)), because=because)]
    operations += [Trim(ranges=ranges, because=because)] if ranges else []
    notes = (
        [f"{cut_within} episodes have steps cut out in the middle, which a view keeps"] if cut_within else []
    )
    notes += [f"{weighted} episodes have weights, which a view does not hold"] if weighted else []
    return operations, [f"{note}: train with data.keep={path} for that" for note in notes]
