"""What is left of episodes without the idle steps at their ends."""

from collections.abc import Sequence

import numpy as np

from imitate.datasets.episode_store import ACTION, EpisodeStore
from imitate.datasets.quality.features import standardize, state_features, vector_features
from imitate.datasets.quality.idle import idle_ends, step_speeds, still_threshold
from imitate.errors import DataError


def moving_ranges(store: EpisodeStore, episodes: Sequence[int]) -> dict[str, tuple[int, int]]:
    """{id: [first step, step behind the last)} of those `episodes` that begin or end idle.

    Idle is what imitate.datasets.quality.idle says, by the states or, without any, by the actions; how fast
    motion is, is judged over the whole store. Episodes in which nothing moves, or with numbers that are not
    finite, are left as they are.
    """
    features = _features(store)
    ends = store.episode_ends
    begins = np.concatenate([[0], ends[:-1]])
    is_usable = np.array(
        [bool(np.isfinite(features[a:b]).all()) for a, b in zip(begins, ends, strict=True)], bool
    )
    if not is_usable.any():
        raise DataError(f"{store.path}: every episode holds NaN or infinity, so motion cannot be told")
    motion = standardize(features, np.repeat(is_usable, np.diff(ends, prepend=0)))
    speeds = {i: step_speeds(motion[begins[i] : ends[i]]) for i in np.flatnonzero(is_usable).tolist()}
    threshold = still_threshold(list(speeds.values()))
    ranges = {}
    for i in (i for i in episodes if i in speeds):
        before, after = idle_ends(speeds[i], threshold)
        if (before or after) and before < len(speeds[i]):
            ranges[store.record(i).id] = (before, store.record(i).steps - after)
    return ranges


def _features(store: EpisodeStore) -> np.ndarray:
    """The states (N, F), or the actions where there are none."""
    specs = {key: array for key, array in store.spec.obs.items() if not array.is_image}
    if not specs:
        return vector_features(store.array(ACTION)[:], store.spec.action)
    return state_features({key: store.array(key)[:] for key in specs}, specs)
