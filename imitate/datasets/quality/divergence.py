"""How differently demonstrators act where the state is the same, with and without forgiving several modes.

Action variance after Belkhale, Cui & Sadigh, "Data Quality in Imitation Learning" (arXiv 2306.02437), with
neighbours from other episodes only. Two consistent ways to act, left and right of an obstacle, have a high
variance but do no harm to a policy that represents both, so the second form compares within modes.
"""

from dataclasses import dataclass

import numpy as np

from imitate.datasets.quality.frames import Frames
from imitate.datasets.quality.neighbour_index import Neighbours

# A mode must hold this share of the neighbours: two demonstrations are a habit, one is an accident.
MODE_SHARE = 0.25
# Two modes are told from one where they leave at most this share of the variance along its main direction.
# Cutting a normal distribution in two leaves 36 %, a uniform one 25 %. With 16 neighbours fewer than 1 % of
# normal and 5 % of uniform ones are then taken for two; modes 6 deviations apart are told in 85 % of cases.
LEFT_BY_TWO = 0.125
FEWEST = 8  # Neighbours below which two modes cannot be told from one.
CLOSEST = 5  # By which the agreement of a whole set is judged: in small sets more are no longer similar.
CHUNK = 4096


@dataclass(frozen=True)
class ActionDivergence:
    """Per row (N,), NaN where not examined or without neighbours; 0: all act alike, 1: like random frames.

    plain: from the mean action of the neighbours. within_modes: from the mean of the nearer mode, where they
    have two. modes: (N,) float64, 1 or 2. baseline: mean squared deviation from random frames' mean, in
    standardised action units, by which both are divided; NaN where there is none.
    """

    plain: np.ndarray
    within_modes: np.ndarray
    modes: np.ndarray
    baseline: float


def action_divergence(frames: Frames, neighbours: Neighbours, seed: int = 0) -> ActionDivergence:
    """Divergence of every examined row from about 16 neighbours with similar states.

    The squared deviation is averaged over action dimensions. `seed` draws the random frames.
    """
    rows, query = neighbours.rows, neighbours.query
    parts = [
        _deviations(frames.action, query[low : low + CHUNK], rows[low : low + CHUNK])
        for low in range(0, len(query), CHUNK)
    ]
    plain, within, modes = (np.concatenate([np.empty(0), *part]) for part in zip(*parts, strict=True))
    baseline = _baseline(frames, neighbours, seed)
    return ActionDivergence(
        plain=neighbours.per_row(plain / baseline),
        within_modes=neighbours.per_row(within / baseline),
        modes=neighbours.per_row(modes),
        baseline=baseline,
    )


@dataclass(frozen=True)
class Agreement:
    """Whether similar states got similar actions, over a whole data set.

    near: mean squared difference between an action and the mean of its `neighbours` nearest, each of another
    episode, in standardised action units, mean over dimensions and then over episodes. random: with random
    frames of other episodes, what knowing nothing of the state would give. near_distance, random_distance:
    their median distances, root mean square over standardised dimensions; where they are alike, the data is
    too sparse to speak of neighbours. per_row: (N,) as ActionDivergence.plain.
    """

    near: float
    random: float
    near_distance: float
    random_distance: float
    neighbours: int
    per_row: np.ndarray

    @property
    def ratio(self) -> float:
        """near / random: 0 where neighbours act alike, 1 where they tell nothing about the action."""
        return self.near / self.random


def agreement(frames: Frames, neighbours: Neighbours, seed: int = 0) -> Agreement | None:
    """Agreement of every examined row with the five nearest of its `neighbours`.

    None where it cannot be told: no other episode, or states or actions that never change.
    """
    near = neighbours.nearest(CLOSEST)
    if not (near.found.any() and frames.state.shape[1] and frames.action.shape[1]):
        return None
    found = action_divergence(frames, near, seed)
    drawn = _random_rows(frames, near, seed)
    gap = (frames.state[drawn.query][:, None] - frames.state[drawn.rows]).astype(np.float64)
    return Agreement(
        near=float(np.nanmean(frames.episode_means(found.plain))) * found.baseline,
        random=found.baseline,
        near_distance=float(np.median(near.distances[near.found])),
        random_distance=float(np.median(np.sqrt(np.mean(gap**2, axis=2))[drawn.found])),
        neighbours=int(near.found.sum(axis=1).max()),
        per_row=found.plain,
    )


def _deviations(action: np.ndarray, query: np.ndarray, rows: np.ndarray) -> tuple[np.ndarray, ...]:
    """Squared deviations (Q,) from the mean of all and of the nearer mode, and the number of modes."""
    mine, near = action[query].astype(np.float64), action[rows].astype(np.float64)
    found = rows >= 0
    second = found & two_modes(near, found)
    first = found & ~second
    split = second.any(axis=1)
    plain = _from_mean(mine, near, found)
    nearer = np.fmin(_from_mean(mine, near, first), _from_mean(mine, near, second))
    return plain, np.where(split, nearer, plain), np.where(np.isnan(plain), np.nan, 1.0 + split)


def two_modes(values: np.ndarray, known: np.ndarray) -> np.ndarray:
    """Which of the `known` (Q, k) of `values` (Q, k, D) belong to a second mode, (Q, k) bool.

    No line is marked where one mode is as good an account: see LEFT_BY_TWO. Values are projected on the
    direction in which they vary most and cut in two where that leaves the least variance (two-means in one
    dimension, which sorting solves exactly).
    """
    if not values.shape[2]:
        return np.zeros(known.shape, bool)
    count = known.sum(axis=1)
    centred = np.where(known[:, :, None], values - _mean(values, known)[:, None], 0.0)
    direction = np.linalg.eigh(centred.transpose(0, 2, 1) @ centred)[1][:, :, -1]
    along = np.where(known, np.einsum("qkd,qd->qk", centred, direction), np.inf)
    order = np.argsort(along, axis=1, kind="stable")
    ordered = np.take_along_axis(np.where(known, along, 0.0), order, axis=1)
    below, size = np.cumsum(ordered, axis=1)[:, :-1], np.arange(1, known.shape[1])
    fair = (size >= MODE_SHARE * count[:, None]) & (count[:, None] - size >= MODE_SHARE * count[:, None])
    # The sum is zero, so cutting after `size` values explains below² (1 / size + 1 / (count - size)).
    above = np.maximum(count[:, None] - size, 1)
    explained = np.where(fair, below**2 * (1 / size + 1 / above), 0.0)
    total = np.sum(ordered**2, axis=1)
    cut = np.argmax(explained, axis=1)
    left = total - explained[np.arange(len(cut)), cut]
    clear = (left <= LEFT_BY_TWO * total) & (total > 0) & (count >= FEWEST)
    rank = np.argsort(order, axis=1)
    return known & clear[:, None] & (rank > cut[:, None])


def _mean(values: np.ndarray, chosen: np.ndarray) -> np.ndarray:
    """Mean over the chosen of (Q, k, D), (Q, D); NaN where none is."""
    count = chosen.sum(axis=1)[:, None]
    sums = np.einsum("qkd,qk->qd", values, chosen.astype(np.float64))
    return np.divide(sums, count, out=np.full(sums.shape, np.nan), where=count > 0)


def _from_mean(mine: np.ndarray, near: np.ndarray, chosen: np.ndarray) -> np.ndarray:
    if not mine.shape[1]:
        return np.full(len(mine), np.nan)
    return np.mean((mine - _mean(near, chosen)) ** 2, axis=1)


def _baseline(frames: Frames, neighbours: Neighbours, seed: int) -> float:
    """Mean squared deviation from as many random frames of other episodes as there are neighbours."""
    drawn = _random_rows(frames, neighbours, seed)
    if not len(drawn.query) or not frames.action.shape[1]:
        return float("nan")
    mine, others = (frames.action[part].astype(np.float64) for part in (drawn.query, drawn.rows))
    return float(_from_mean(mine, others, drawn.found).mean())


@dataclass(frozen=True)
class _Drawn:
    """Some rows (Q,) with random rows of other episodes (Q, k), and which of these count (Q, k)."""

    query: np.ndarray
    rows: np.ndarray
    found: np.ndarray


def _random_rows(frames: Frames, neighbours: Neighbours, seed: int) -> _Drawn:
    generator = np.random.default_rng(seed)
    told = np.flatnonzero(neighbours.found.any(axis=1))
    told = told[np.linspace(0, len(told) - 1, min(len(told), CHUNK)).astype(int)]
    query, found = neighbours.query[told], neighbours.found[told]
    # Drawn past the end of the own episode and around, which never meets it again.
    own, start = frames.lengths[frames.episode[query]], frames.starts[frames.episode[query]]
    ahead = generator.integers(0, np.maximum(1, len(frames) - own)[:, None], found.shape)
    return _Drawn(query, ((start + own)[:, None] + ahead) % max(1, len(frames)), found)
