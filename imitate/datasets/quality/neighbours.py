"""Whether similar states were answered with similar actions.

The action variance of Belkhale, Cui & Sadigh, "Data Quality in Imitation Learning" (arXiv 2306.02437), with
neighbours chosen so that the frames of one episode cannot outvote the rest: for every examined frame the
nearest frame of each *other* episode is found, and the k nearest of those are its neighbours. High values
come from inconsistency, but just as well from several good ways to act, from noise, or from states that do
not show what the demonstrator reacted to.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from imitate.datasets.quality.features import standardize

MAX_REFERENCE = 20_000
MAX_EXAMINED = 10_000
EXAMINED_PER_EPISODE = 20
CHUNK = 256


@dataclass(frozen=True)
class NeighbourAgreement:
    """Mean squared difference between an action and its neighbours' mean, per standardised dimension.

    near: with neighbours as described above. random: with frames of k random other episodes, what knowing
    nothing about the state would give. own: with the k nearest frames of the same episode, what mere
    continuity gives. near_distance, random_distance: median distances in standardised states (root mean
    square over dimensions); where they are alike, the data is too sparse to speak of neighbours.
    per_episode: (E,) near over random of each episode's frames.
    """

    near: float
    random: float
    own: float
    near_distance: float
    random_distance: float
    per_episode: np.ndarray
    neighbours: int

    @property
    def ratio(self) -> float:
        """near / random: 0 where neighbours act alike, 1 where they tell nothing about the action."""
        return self.near / self.random


def neighbour_agreement(
    states: Sequence[np.ndarray], actions: Sequence[np.ndarray], k: int = 5, seed: int = 0
) -> NeighbourAgreement | None:
    """Agreement over episodes of `states` (T, F) and `actions` (T, Da), all finite.

    None where it cannot be told: fewer than three episodes, or states or actions that never change. At most
    10,000 frames are examined against 20,000, drawn evenly within episodes; `seed` draws the random ones.
    """
    lengths = [len(action) for action in actions]
    if len(lengths) < 3:
        return None
    state, action = standardize(np.concatenate(states)), standardize(np.concatenate(actions))
    if not state.shape[1] or not action.shape[1]:
        return None
    starts = np.concatenate([[0], np.cumsum(lengths)[:-1]])
    reference, bounds = _spread(starts, lengths, max(1, MAX_REFERENCE // len(lengths)))
    share = max(1, min(EXAMINED_PER_EPISODE, MAX_EXAMINED // len(lengths)))
    examined, examined_bounds = _spread(starts, lengths, share)
    episode = np.repeat(np.arange(len(lengths)), np.diff(examined_bounds))
    finder = _Finder(state.astype(np.float32), reference, bounds, min(k, len(lengths) - 1), seed)
    found = [
        finder.find(examined[i : i + CHUNK], episode[i : i + CHUNK]) for i in range(0, len(examined), CHUNK)
    ]
    near, random, own = (np.concatenate([part[name] for part in found]) for name in ("near", "random", "own"))
    per_frame = _deviation(action, examined, near)
    baseline = float(_deviation(action, examined, random).mean())
    sums = np.bincount(episode, per_frame, minlength=len(lengths))
    return NeighbourAgreement(
        near=float(per_frame.mean()),
        random=baseline,
        own=float(_deviation(action, examined, own).mean()),
        near_distance=_distance(state, examined, near),
        random_distance=_distance(state, examined, random),
        per_episode=sums / np.bincount(episode, minlength=len(lengths)) / baseline,
        neighbours=finder.k,
    )


def _spread(starts: np.ndarray, lengths: Sequence[int], share: int) -> tuple[np.ndarray, np.ndarray]:
    """At most `share` frames of each episode, evenly spaced, and where each episode's begin in the list."""
    picked = [
        start + np.unique(np.linspace(0, length - 1, min(share, length)).round().astype(int))
        for start, length in zip(starts, lengths, strict=True)
    ]
    return np.concatenate(picked), np.concatenate([[0], np.cumsum([len(p) for p in picked])])


class _Finder:
    """Neighbours of frames among `reference` frames, which lie episode by episode between `bounds`."""

    def __init__(
        self, state: np.ndarray, reference: np.ndarray, bounds: np.ndarray, k: int, seed: int
    ) -> None:
        self.state, self.reference, self.bounds, self.k = state, reference, bounds, k
        self.points = state[reference]
        self.squares = np.sum(self.points**2, axis=1)
        self.generator = np.random.default_rng(seed)

    def find(self, frames: np.ndarray, episode: np.ndarray) -> dict[str, np.ndarray]:
        """Frame indices of the neighbours of `frames` (Q,), each (Q, k)."""
        query = self.state[frames]
        squared = self.squares - 2 * query @ self.points.T + np.sum(query**2, axis=1)[:, None]
        nearest = np.minimum.reduceat(squared, self.bounds[:-1], axis=1)  # (Q, E)
        nearest[np.arange(len(frames)), episode] = np.inf
        chosen = np.argpartition(nearest, self.k - 1, axis=1)[:, : self.k]
        near = [[self._closest(row, e) for e in others] for row, others in zip(squared, chosen, strict=True)]
        own = [self._own(row, e, frame) for row, e, frame in zip(squared, episode, frames, strict=True)]
        random = [self._random(e) for e in episode]
        return {"near": np.array(near), "random": np.array(random), "own": np.array(own)}

    def _closest(self, squared: np.ndarray, episode: int) -> int:
        low, high = self.bounds[episode], self.bounds[episode + 1]
        return int(self.reference[low + np.argmin(squared[low:high])])

    def _own(self, squared: np.ndarray, episode: int, frame: int) -> np.ndarray:
        low, high = self.bounds[episode], self.bounds[episode + 1]
        order = self.reference[low + np.argsort(squared[low:high])[: self.k + 1]]
        others = order[order != frame][: self.k]
        return np.resize(others if len(others) else order, self.k)

    def _random(self, episode: int) -> np.ndarray:
        others = self.generator.choice(len(self.bounds) - 2, self.k, replace=False)
        others = others + (others >= episode)
        low, high = self.bounds[others], self.bounds[others + 1]
        return self.reference[self.generator.integers(low, high)]


def _deviation(action: np.ndarray, frames: np.ndarray, neighbours: np.ndarray) -> np.ndarray:
    """Squared difference of each frame's action from its neighbours' mean, averaged over dimensions, (Q,)."""
    return np.mean((action[frames] - action[neighbours].mean(axis=1)) ** 2, axis=1)


def _distance(state: np.ndarray, frames: np.ndarray, neighbours: np.ndarray) -> float:
    gap = state[frames][:, None] - state[neighbours]
    return float(np.median(np.sqrt(np.mean(gap**2, axis=2))))
