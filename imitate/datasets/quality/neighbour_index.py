"""The nearest frames of other demonstrations: one index that every measure of neighbours shares.

Frames of the own episode are left out and every other episode gives at most its nearest frame, so that the
many almost equal frames of one slow episode cannot outvote the rest. Up to 100,000 rows the answer is exact.
Beyond that, every fourth frame goes into an inverted-file index of faiss (Johnson, Douze & Jégou, "Billion-
scale similarity search with GPUs", arXiv 1702.08734) and the frames around every hit are compared afterwards.
"""

from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from typing import Any

import faiss
import numpy as np

from imitate.datasets.quality.frames import Frames

EXACT_ROWS = 100_000
# Rows examined by default. The exact search compares each with everything, so it gets fewer.
EXAMINED_EXACTLY, EXAMINED = 30_000, 50_000
CHUNK = 1 << 24  # Distances that the exact search holds at once.
BLOCK = 2_000  # Rows compared with them at a time: what fits the processor's cache.
STRIDE = 4
PROBES = 24
# A list of the index for every so many roots of its size: both the choice of lists and their scan then cost
# the root of the size. Few rows and rounds of training will do, since several lists are searched anyway.
LISTS_PER_ROOT = 4
TRAINED_PER_LIST, ROUNDS = 40, 4
# Candidates asked for per wanted neighbour and lists searched, at first and for rows that came up short.
ATTEMPTS = ((8, 1), (64, 4))


@dataclass(frozen=True)
class Neighbours:
    """What was found for Q of N rows, nearest first.

    query: (Q,) int64 rows asked about. rows: (Q, k) int64, -1 where there are no more. distances: (Q, k)
    float32, root mean square difference over the dimensions of the features, inf where there are no more.
    """

    query: np.ndarray
    rows: np.ndarray
    distances: np.ndarray
    size: int

    @cached_property
    def found(self) -> np.ndarray:
        """(Q, k) bool."""
        return self.rows >= 0

    def nearest(self, k: int) -> "Neighbours":
        """Only the nearest `k` of each row."""
        return Neighbours(self.query, self.rows[:, :k], self.distances[:, :k], self.size)

    def per_row(self, values: np.ndarray) -> np.ndarray:
        """`values` (Q,) of the rows asked about as (N,) float64, NaN for all other rows."""
        everywhere = np.full(self.size, np.nan)
        everywhere[self.query] = values
        return everywhere


def examined_rows(size: int, limit: int | None = None, seed: int = 0) -> np.ndarray:
    """Rows to examine when all would take too long: one drawn from each of `limit` equal stretches, sorted.

    Every row is as likely as any other, and every episode gets its share. All rows where they are few: by
    default up to 30,000. Of up to 100,000 it is then 30,000, of more 50,000.
    """
    limit = limit or (EXAMINED_EXACTLY if size <= EXACT_ROWS else EXAMINED)
    if size <= limit:
        return np.arange(size)
    bounds = np.linspace(0, size, limit + 1).astype(np.int64)
    return np.random.default_rng(seed).integers(bounds[:-1], bounds[1:])


def transition_features(frames: Frames) -> np.ndarray:
    """State and action side by side, (N, F + A) float32, scaled so that both count alike.

    The mean square difference of two rows is the average of those of the states and of the actions.
    """
    parts = [part for part in (frames.state, frames.action) if part.shape[1]]
    width = sum(part.shape[1] for part in parts)
    scaled = [part * np.float32(np.sqrt(width / len(parts) / part.shape[1])) for part in parts]
    return np.concatenate([*scaled, np.empty((len(frames), 0), np.float32)], axis=1)


class NeighbourIndex:
    """Finds neighbours among `features` (N, D) float32 of the episodes `episode` (N,) of each row.

    The rows of an episode lie together. Memory: 1.3 times the features beyond 100,000 rows.
    """

    def __init__(self, features: np.ndarray, episode: np.ndarray, seed: int = 0) -> None:
        if len(features) != len(episode):
            raise ValueError(f"{len(features)} rows of features, but {len(episode)} rows of episodes")
        changes = np.flatnonzero(np.diff(episode)) + 1
        self.starts = np.concatenate([[0], changes]).astype(np.int64)
        self.lengths = np.diff(np.append(self.starts, len(features)))
        if len(np.unique(episode[self.starts])) != len(self.starts):
            raise ValueError("the rows of an episode must lie together")
        self.features = np.ascontiguousarray(features, np.float32)
        self.episode = np.repeat(np.arange(len(self.starts)), self.lengths)
        self.seed = seed

    @classmethod
    def of(cls, frames: Frames, seed: int = 0) -> "NeighbourIndex":
        """Frames with similar states."""
        return cls(frames.state, frames.episode, seed)

    @classmethod
    def of_transitions(cls, frames: Frames, seed: int = 0) -> "NeighbourIndex":
        """Frames with similar states and similar actions: see transition_features."""
        return cls(transition_features(frames), frames.episode, seed)

    def neighbours(self, k: int, rows: np.ndarray | None = None) -> Neighbours:
        """The nearest frames of k other episodes for each of `rows` (Q,), by default for every row.

        Missing ones are marked: no k other episodes, features without columns, or, beyond 100,000 rows, too
        few other episodes among the candidates.
        """
        query = np.arange(len(self.features)) if rows is None else np.asarray(rows, np.int64)
        possible = min(k, len(self.starts) - 1) if self.features.shape[1] else 0
        found = np.full((len(query), k), -1, np.int64)
        distances = np.full((len(query), k), np.inf, np.float32)
        if possible and len(query):
            search = self._exact if len(self.features) <= EXACT_ROWS else self._approximate
            found[:, :possible] = search(query, possible)
            distances[:, :possible] = self._distances(query, found[:, :possible])
        return Neighbours(query, found, distances, len(self.features))

    def _distances(self, query: np.ndarray, rows: np.ndarray) -> np.ndarray:
        """Root mean square differences of rows (Q, …), summed over dimensions without cancellation."""
        out = np.empty(rows.shape, np.float32)
        step = max(1, (1 << 22) // (rows[0].size * self.features.shape[1]))
        for low in range(0, len(query), step):
            part = rows[low : low + step]
            mine = self.features[query[low : low + step]]
            gap = self.features[part] - mine.reshape(len(mine), *[1] * (part.ndim - 1), -1)
            out[low : low + step] = np.sqrt(np.einsum("...d,...d->...", gap, gap) / gap.shape[-1])
        return np.where(rows >= 0, out, np.float32(np.inf))

    # Exact: every row against every other.

    def _exact(self, query: np.ndarray, k: int) -> np.ndarray:
        squares = np.sum(self.features**2, axis=1, keepdims=True)
        others = np.ascontiguousarray(np.concatenate([self.features, squares], axis=1).T)
        step = max(1, CHUNK // len(self.features))
        chunks = range(0, len(query), step)
        return np.concatenate([self._exact_chunk(query[low : low + step], others, k) for low in chunks])

    def _exact_chunk(self, query: np.ndarray, others: np.ndarray, k: int) -> np.ndarray:
        """Rows (Q, k): the nearest row of each of the k nearest episodes."""
        mine = np.concatenate([-2 * self.features[query], np.ones((len(query), 1), np.float32)], axis=1)
        squared = np.empty((len(query), others.shape[1]), np.float32)  # less the query's own square
        nearest = np.empty((len(query), len(self.starts)), np.float32)
        for low, high in self._blocks:
            rows = slice(self.starts[low], self.starts[low] + self.lengths[low:high].sum())
            np.matmul(mine, others[:, rows], out=squared[:, rows])
            cuts = self.starts[low:high] - self.starts[low]
            nearest[:, low:high] = np.minimum.reduceat(squared[:, rows], cuts, axis=1)
        nearest[np.arange(len(query)), self.episode[query]] = np.inf
        chosen = np.argpartition(nearest, k - 1, axis=1)[:, :k]
        order = np.argsort(np.take_along_axis(nearest, chosen, axis=1), axis=1, kind="stable")
        chosen = np.take_along_axis(chosen, order, axis=1)
        return np.stack([self._nearest_within(squared, chosen[:, i]) for i in range(k)], axis=1)

    @cached_property
    def _blocks(self) -> list[tuple[int, int]]:
        """Ranges of whole episodes with about BLOCK rows each."""
        cuts = np.flatnonzero(np.diff(self.starts // BLOCK)) + 1
        bounds = [0, *cuts.tolist(), len(self.starts)]
        return list(pairwise(bounds))

    def _nearest_within(self, squared: np.ndarray, episode: np.ndarray) -> np.ndarray:
        """The row of `episode` (Q,) at which each line of `squared` (Q, N) is least."""
        steps = np.arange(self.lengths[episode].max())
        last = self.starts[episode] + self.lengths[episode] - 1
        rows = np.minimum(self.starts[episode][:, None] + steps, last[:, None])
        return self.starts[episode] + np.argmin(np.take_along_axis(squared, rows, axis=1), axis=1)

    # Approximate: candidates from every fourth frame, then the frames around them.

    @cached_property
    def _thinned(self) -> np.ndarray:
        position = np.arange(len(self.features)) - np.repeat(self.starts, self.lengths)
        offset = np.minimum(STRIDE // 2, np.repeat(self.lengths, self.lengths) - 1)
        return np.flatnonzero(position % STRIDE == offset)

    @cached_property
    def _inverted(self) -> Any:
        points = self.features[self._thinned]
        lists = int(LISTS_PER_ROOT * np.sqrt(len(points)))
        index: Any = faiss.index_factory(points.shape[1], f"IVF{lists},Flat")
        index.cp.niter, index.cp.seed = ROUNDS, self.seed
        index.cp.max_points_per_centroid = TRAINED_PER_LIST
        count = min(len(points), TRAINED_PER_LIST * lists)
        index.train(points[np.random.default_rng(self.seed).choice(len(points), count, replace=False)])
        index.add(points)
        return index

    def _approximate(self, query: np.ndarray, k: int) -> np.ndarray:
        found = np.full((len(query), k), -1, np.int64)
        short = np.arange(len(query))
        for candidates, probes in ATTEMPTS:
            self._inverted.nprobe = PROBES * probes
            step = max(1, (1 << 19) // (candidates * k))
            for low in range(0, len(short), step):
                part = short[low : low + step]
                found[part] = self._candidates(query[part], candidates * k, k)
            short = np.flatnonzero(found[:, -1] < 0)
        return found

    def _candidates(self, query: np.ndarray, count: int, k: int) -> np.ndarray:
        """Rows (Q, k) of the nearest other episodes among the `count` nearest thinned frames."""
        _, hits = self._inverted.search(self.features[query], count)
        rows = np.where(hits >= 0, self._thinned[hits], -1)
        # Half as many again, because a frame beside a hit may be nearer than the hits before it.
        rows = self._one_per_episode(query, rows, k + k // 2)
        around = rows[:, :, None] + np.arange(1 - STRIDE, STRIDE)
        first = self.starts[self.episode[rows]][:, :, None]
        last = first + self.lengths[self.episode[rows]][:, :, None] - 1
        around = np.where(rows[:, :, None] >= 0, np.clip(around, first, last), -1)
        distances = self._distances(query, around)
        best = np.argmin(distances, axis=2)[:, :, None]
        rows = np.take_along_axis(around, best, axis=2)[:, :, 0]
        order = np.argsort(np.take_along_axis(distances, best, axis=2)[:, :, 0], axis=1, kind="stable")
        return np.take_along_axis(rows, order[:, :k], axis=1)

    def _one_per_episode(self, query: np.ndarray, rows: np.ndarray, count: int) -> np.ndarray:
        """The first of each other episode among rows (Q, M), nearest first, (Q, count), -1 where missing."""
        own = self.episode[query][:, None]
        episode = np.where(rows >= 0, self.episode[rows], own)
        order = np.argsort(episode, axis=1, kind="stable")
        in_order = np.take_along_axis(episode, order, axis=1)
        new = np.ones(rows.shape, bool)
        new[:, 1:] = in_order[:, 1:] != in_order[:, :-1]
        first = np.empty(rows.shape, bool)
        np.put_along_axis(first, order, new, axis=1)
        first &= episode != own
        picked = np.argsort(~first, axis=1, kind="stable")[:, :count]
        kept = np.take_along_axis(rows, picked, axis=1)
        return np.where(np.take_along_axis(first, picked, axis=1), kept, -1)
