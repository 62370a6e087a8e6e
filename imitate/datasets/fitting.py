"""Statistics of the training episodes, in float64 and one block at a time."""

import numpy as np

from imitate.datasets.episode_store import ACTION, EpisodeStore
from imitate.datasets.rows import blocks
from imitate.errors import DataError
from imitate.normalize import ArrayStatistics, Statistics


def fit_statistics(store: EpisodeStore, names: list[str], episodes: list[int]) -> Statistics:
    """Statistics of the arrays `names` over the steps of `episodes` only, each (D,) with D flattened.

    Raises DataError naming the episode that holds a number that is not finite.
    """
    ends = store.episode_ends
    used = np.zeros(store.steps, bool)
    for episode in episodes:
        used[ends[episode - 1] if episode else 0 : ends[episode]] = True
    return {name: _fit(store, name, used) for name in names}


def _fit(store: EpisodeStore, name: str, used: np.ndarray) -> ArrayStatistics:
    """Blockwise mean and variance, merged as in Chan, Golub, LeVeque (1979), eq. 2.1."""
    array = store.array(name)
    low, high, mean, squares, count = np.inf, -np.inf, np.zeros(1), np.zeros(1), 0
    for start, stop in blocks(array):
        values = array[start:stop].reshape(stop - start, -1)[used[start:stop]].astype(np.float64)
        if not len(values):
            continue
        if not np.isfinite(values).all():
            row = start + np.flatnonzero(used[start:stop])[~np.isfinite(values).all(axis=1)][0]
            _refuse(store, name, int(row))
        low, high = np.minimum(low, values.min(axis=0)), np.maximum(high, values.max(axis=0))
        shift, total = values.mean(axis=0) - mean, count + len(values)
        squares = (
            squares
            + ((values - values.mean(axis=0)) ** 2).sum(axis=0)
            + shift**2 * (count * len(values) / total)
        )
        mean, count = mean + shift * (len(values) / total), total
    return ArrayStatistics(np.asarray(low), np.asarray(high), mean, np.sqrt(squares / count))


def _refuse(store: EpisodeStore, name: str, row: int) -> None:
    episode = int(np.searchsorted(store.episode_ends, row, side="right"))
    kind = "action" if name == ACTION else "observation"
    raise DataError(
        f"{store.path}: {kind} {name!r} of episode {store.record(episode).id!r} holds NaN or infinity; "
        f"drop that episode with a keep-list (data.keep)"
    )
