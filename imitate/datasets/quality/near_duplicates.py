"""Demonstrations that are almost the same recording twice: copied, cut, or with a little noise added."""

from dataclasses import dataclass

import numpy as np

from imitate.datasets.quality.frames import Frames
from imitate.datasets.quality.neighbour_index import Neighbours, transition_features

# Two frames are the same within this share of the usual distance to the fourth nearest other demonstration:
# the fourth, so that sets in which everything is there two or three times do not call that usual.
SAME_SHARE = 0.25
USUAL = 4
SAME_AT_LEAST = 1e-3  # in standard deviations: rounding, or sets of nothing but copies
# Pairs looked at more closely, and pairs reported: this share of the shorter one's frames must be the same.
CANDIDATE_SHARE = 0.5
DUPLICATE_SHARE = 0.9


@dataclass(frozen=True)
class NearDuplicates:
    """Pairs of episodes, first < second, and which share of the shorter one's steps the other one repeats.

    same: the distance below which two frames counted as one, root mean square in standard deviations.
    """

    pairs: list[tuple[int, int, float]]
    same: float


def near_duplicates(frames: Frames, neighbours: Neighbours) -> NearDuplicates:
    """Episodes of which at least 90 % lies within another one, in order, in state and action.

    `neighbours` (at least four) come from NeighbourIndex.of_transitions(frames). They name the candidates,
    pairs that are the same in half of the frames examined; these are then aligned step by step. An episode
    that was cut out of a longer one is found; two long ones that share only a part are not.
    """
    same = _same(neighbours)
    features = transition_features(frames)
    pairs = []
    for one, other in _candidates(frames, neighbours, same):
        short, long = sorted((one, other), key=lambda index: frames.lengths[index])
        share = aligned_share(features[frames.rows(short)], features[frames.rows(long)], same)
        if share >= DUPLICATE_SHARE:
            pairs.append((one, other, share))
    return NearDuplicates(pairs, same)


def aligned_share(short: np.ndarray, long: np.ndarray, same: float) -> float:
    """The largest share of steps of `short` (T, D) that lie within `same` of steps of `long` (U, D) in order.

    The longest common subsequence, with several steps allowed at one of the other, as when it waits.
    """
    short, long = short.astype(np.float64), long.astype(np.float64)
    squared = (
        np.sum(short**2, axis=1)[:, None] + np.sum(long**2, axis=1) - 2 * (short @ long.T)
    ) / short.shape[1]
    best = np.zeros(len(long), np.int64)  # Steps matched so far with the last one at this or an earlier place
    for row in squared <= same**2:
        best = np.maximum.accumulate(best + row)
    return int(best[-1]) / len(short)


def _same(neighbours: Neighbours) -> float:
    column = neighbours.distances[:, min(USUAL, neighbours.distances.shape[1]) - 1]
    known = column[np.isfinite(column)]
    return max(SAME_AT_LEAST, SAME_SHARE * float(np.median(known)) if len(known) else 0.0)


def _candidates(frames: Frames, neighbours: Neighbours, same: float) -> list[tuple[int, int]]:
    """Pairs, first < second, that are the same in half of the frames examined of either one."""
    count = len(frames.lengths)
    own = frames.episode[neighbours.query].astype(np.int64)
    close = neighbours.distances <= same
    pair = own[:, None] * count + frames.episode[neighbours.rows]
    named, votes = np.unique(pair[close], return_counts=True)
    examined = np.bincount(own, minlength=count)
    named = named[votes >= CANDIDATE_SHARE * examined[named // count]]
    return sorted({(min(p, q), max(p, q)) for p, q in zip(*divmod(named, count), strict=True)})
