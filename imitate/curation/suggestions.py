"""Which demonstrations to give next: where demonstrators disagree and few have been, where nobody starts."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from scipy.ndimage import uniform_filter1d
from scipy.spatial import KDTree

from imitate.datasets.quality.frames import Frames
from imitate.types import DataSpec

AROUND = 10
"""A window is a moment with this many steps before and after it."""
Arrays = Mapping[str, np.ndarray]


@dataclass(frozen=True)
class Suggestion:
    """One demonstration to give next, and the reason in words.

    A "moment" is to be brought about and demonstrated from there: step `step` of the only one of `episodes`.
    A "start" is to begin from; it lies half-way between the starts of the two `episodes`. state: {name of the
    observation: physical values}; a start's values that depend on each other (a rotation's) hold only nearly.
    """

    kind: Literal["moment", "start"]
    episodes: tuple[str, ...]
    step: int
    state: Mapping[str, list[float]]
    reason: str


def suggest(
    frames: Frames,
    divergence: np.ndarray,
    novelty: np.ndarray,
    obs: Arrays,
    spec: DataSpec,
    ids: Sequence[str],
    count: int = 6,
) -> list[Suggestion]:
    """At most `count` demonstrations to give next, the most useful first, moments and starts by turns.

    divergence, novelty: (N,) of each frame, larger where actions disagree and where fewer demonstrations
    pass; NaN where unknown. obs: {name: (N, …)} in physical units, images left out; ids (E,). Moments: where
    the product of the ranks of both, each averaged over ± 10 steps, is highest, far from one another. Starts:
    the middle between two starts, by its distance to the nearest start times the rank of their divergence.
    """
    unsure, rare = (_window_ranks(frames, values) for values in (divergence, novelty))
    starts = _starts(frames, unsure, obs, spec, ids, count // 2)
    moments = _moments(frames, unsure, rare, obs, ids, count - len(starts))
    turns = [one for pair in zip(moments, starts, strict=False) for one in pair]
    return turns + moments[len(starts) :] + starts[len(moments) :]


def _moments(
    frames: Frames, unsure: np.ndarray, rare: np.ndarray, obs: Arrays, ids: Sequence[str], count: int
) -> list[Suggestion]:
    need = unsure * rare
    rng = np.random.default_rng(0)
    pairs = frames.state[rng.integers(0, len(frames), (2, 1000))]
    radius = float(np.quantile(np.linalg.norm(pairs[0] - pairs[1], axis=1), 0.1))
    found: list[Suggestion] = []
    while len(found) < count and (need > 0).any():
        row = int(np.argmax(need))
        episode = int(frames.episode[row])
        need[np.linalg.norm(frames.state - frames.state[row], axis=1) <= radius] = 0.0
        need[max(0, row - 2 * AROUND) : row + 2 * AROUND + 1] = 0.0
        reason = (
            f"the demonstrations disagree here more than in {unsure[row]:.0%} of all steps, and fewer pass "
            f"here than in {rare[row]:.0%} of them"
        )
        state = {key: array[row].astype(np.float64).ravel().tolist() for key, array in obs.items()}
        found.append(Suggestion("moment", (ids[episode],), row - int(frames.starts[episode]), state, reason))
    return found


def _starts(
    frames: Frames, unsure: np.ndarray, obs: Arrays, spec: DataSpec, ids: Sequence[str], count: int
) -> list[Suggestion]:
    # Some hundred starts show the gaps; all pairs of thousands would cost more than they tell.
    chosen = np.unique(np.linspace(0, len(ids) - 1, min(len(ids), 200)).round().astype(int))
    first = frames.starts[chosen]
    points = frames.state[first].astype(np.float64)
    a, b = np.triu_indices(len(chosen), 1)
    middles = (points[a] + points[b]) / 2
    gap = KDTree(points).query(middles)[0]
    found: list[Suggestion] = []
    while len(found) < count and (gap > 0).any():
        best = int(np.argmax(gap * (unsure[first[a]] + unsure[first[b]])))
        names = ids[chosen[a[best]]], ids[chosen[b[best]]]
        size = gap[best] / max(1, points.shape[1]) ** 0.5
        reason = f"nobody starts here: the nearest start is {size:.2g} standard deviations away"
        state = _middle(obs, spec, first[a[best]], first[b[best]])
        found.append(Suggestion("start", names, 0, state, reason))
        gap = np.minimum(gap, np.linalg.norm(middles - middles[best], axis=1))
    return found


def _middle(obs: Arrays, spec: DataSpec, a: int, b: int) -> dict[str, list[float]]:
    """Half-way between rows a and b; angles go the shorter way round."""
    state = {}
    for key, array in obs.items():
        low, high = (array[row].astype(np.float64).ravel() for row in (a, b))
        way = high - low
        turning = list(spec.obs[key].circular)
        way[turning] = np.remainder(way[turning] + np.pi, 2 * np.pi) - np.pi
        state[key] = (low + way / 2).tolist()
    return state


def _window_ranks(frames: Frames, values: np.ndarray) -> np.ndarray:
    """The share of known values (N,) that are smaller, of equal ones half; 0 where unknown; window means."""
    known = np.isfinite(values)
    ordered = np.sort(values[known])
    rank = np.zeros(len(values))
    rank[known] = sum(np.searchsorted(ordered, values[known], side) for side in ("left", "right"))
    rank /= max(1, 2 * len(ordered))
    return np.concatenate([window_means(rank[frames.rows(i)]) for i in range(len(frames.lengths))])


def window_means(values: np.ndarray) -> np.ndarray:
    """The mean of values (T,) over AROUND steps before and after each step; the ends are continued."""
    return np.asarray(uniform_filter1d(values.astype(np.float64), 2 * AROUND + 1, mode="nearest"))
