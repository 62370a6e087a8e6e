"""The nearest frames of other demonstrations: one index that every measure of neighbours shares.

Frames of the own episode are left out and every other episode gives at most its nearest frame, so that the
many almost equal frames of one slow episode cannot outvote the rest. Up to 100,000 rows the answer is exact.
Beyond that, every fourth frame goes into an inverted-file index of faiss (Johnson, Douze & Jégou, "Billion-
scale similarity search with GPUs", arXiv 1702.08734) and the frames around every hit are compared afterwards.
The index is kept in shards (neighbour_shard.py), which need not be in one process.
"""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from typing import Any, Protocol

import faiss
import numpy as np

from imitate.datasets.quality.frames import Frames
from imitate.datasets.quality.neighbour_shard import Shard, cuts, first_of_all, thinned
from imitate.datasets.quality.room import in_blocks

EXACT_ROWS = 100_000
# Rows examined by default. The exact search compares each with everything, so it gets fewer.
EXAMINED_EXACTLY, EXAMINED = 30_000, 50_000
# Rows that are asked about at once, and candidates of them.
ASKED, ASKED_ABOUT = 4_096, 1 << 19
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
    scales = [np.float32(np.sqrt(width / len(parts) / part.shape[1])) for part in parts]

    def rows(at: slice) -> np.ndarray:
        scaled = [part[at] * scale for part, scale in zip(parts, scales, strict=True)]
        return np.concatenate([*scaled, np.empty((at.stop - at.start, 0), np.float32)], axis=1)

    return in_blocks(len(frames), rows)


class Shards(Protocol):
    """Shards that are open: what they are asked, and what each answers, block by block of the query."""

    def all(self, question: str, blocks: Iterable[tuple[Any, ...]]) -> Iterator[list[Any]]:
        """What the method `question` of every shard gives for each of `blocks`, its arguments."""

    def any(self, question: str, blocks: Iterable[tuple[Any, ...]]) -> Iterator[Any]:
        """The same of whichever shard: for what is the same in each."""


class Place(Protocol):
    """Where shards are kept: in this process, or in those of a cluster."""

    @property
    def shards(self) -> int:
        """At most so many."""

    def open(self, parts: Sequence[tuple[Any, ...]]) -> AbstractContextManager[Shards]:
        """A Shard of each of `parts`, its arguments."""


@dataclass(frozen=True)
class Here:
    """In this process, one after the other."""

    shards: int = 1

    @contextmanager
    def open(self, parts: Sequence[tuple[Any, ...]]) -> Iterator[Shards]:
        """The shards, until the end of the block."""
        yield _Opened([Shard(*part) for part in parts])


@dataclass(frozen=True)
class _Opened:
    shards: Sequence[Shard]

    def all(self, question: str, blocks: Iterable[tuple[Any, ...]]) -> Iterator[list[Any]]:
        return ([getattr(shard, question)(*block) for shard in self.shards] for block in blocks)

    def any(self, question: str, blocks: Iterable[tuple[Any, ...]]) -> Iterator[Any]:
        return (getattr(self.shards[0], question)(*block) for block in blocks)


HERE = Here()


class NeighbourIndex:
    """Finds neighbours among `features` (N, D) float32 of the episodes `episode` (N,) of each row.

    The rows of an episode lie together. `place` keeps the shards of the index; how many has no influence on
    what is found. Memory: 1.3 times the features beyond 100,000 rows.
    """

    def __init__(self, features: np.ndarray, episode: np.ndarray, seed: int = 0, place: Place = HERE) -> None:
        if len(features) != len(episode):
            raise ValueError(f"{len(features)} rows of features, but {len(episode)} rows of episodes")
        changes = np.flatnonzero(np.diff(episode)) + 1
        self.starts = np.concatenate([[0], changes]).astype(np.int64)
        self.lengths = np.diff(np.append(self.starts, len(features)))
        if len(np.unique(episode[self.starts])) != len(self.starts):
            raise ValueError("the rows of an episode must lie together")
        self.features = np.ascontiguousarray(features, np.float32)
        self.start_of_own = np.repeat(self.starts, self.lengths)
        self.seed, self.place = seed, place

    @classmethod
    def of(cls, frames: Frames, seed: int = 0, place: Place = HERE) -> "NeighbourIndex":
        """Frames with similar states."""
        return cls(frames.state, frames.episode, seed, place)

    @classmethod
    def of_transitions(cls, frames: Frames, seed: int = 0, place: Place = HERE) -> "NeighbourIndex":
        """Frames with similar states and similar actions: see transition_features."""
        return cls(transition_features(frames), frames.episode, seed, place)

    def neighbours(self, k: int, rows: np.ndarray | None = None) -> Neighbours:
        """The nearest frames of k other episodes for each of `rows` (Q,), by default for every row.

        Of equally near frames those that come first count. Missing ones are marked: no k other episodes,
        features without columns, or, beyond 100,000 rows, too few other episodes among the candidates.
        """
        query = np.arange(len(self.features)) if rows is None else np.asarray(rows, np.int64)
        possible = min(k, len(self.starts) - 1) if self.features.shape[1] else 0
        found = np.full((len(query), k), -1, np.int64)
        distances = np.full((len(query), k), np.inf, np.float32)
        if possible and len(query):
            exact = len(self.features) <= EXACT_ROWS
            with self.place.open(self.parts(None if exact else self._centroids())) as shards:
                search = self._exact if exact else self._approximate
                distances[:, :possible], found[:, :possible] = search(shards, query, possible)
        return Neighbours(query, found, distances, len(self.features))

    def parts(self, centroids: np.ndarray | None = None) -> list[tuple[Any, ...]]:
        """Arguments of each Shard: whole episodes, and about as many rows for each."""
        ends = np.linspace(0, len(self.features), min(self.place.shards, len(self.starts)) + 1)
        bounds = np.unique(np.searchsorted(self.starts, ends))
        parts = []
        for low, high in pairwise(bounds.tolist()):
            first, lengths = int(self.starts[low]), self.lengths[low:high]
            parts.append((self.features[first : first + lengths.sum()], lengths, first, centroids))
        return parts

    # Exact: every row against every other.

    def _exact(self, shards: Shards, query: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
        blocks = ((self.features[part], self.start_of_own[part], k) for part in _blocks(query))
        return _stacked([_merged(answers, k) for answers in shards.all("nearest", blocks)])

    # Approximate: candidates from every fourth frame, then the frames around them.

    def _centroids(self) -> np.ndarray:
        """The middles of the lists of an inverted file, (lists, D)."""
        rows = thinned(self.lengths)
        lists = int(LISTS_PER_ROOT * np.sqrt(len(rows)))
        index: Any = faiss.index_factory(self.features.shape[1], f"IVF{lists},Flat")
        index.cp.niter, index.cp.seed = ROUNDS, self.seed
        index.cp.max_points_per_centroid = TRAINED_PER_LIST
        count = min(len(rows), TRAINED_PER_LIST * lists)
        chosen = np.random.default_rng(self.seed).choice(len(rows), count, replace=False)
        index.train(self.features[rows[chosen]])
        return np.asarray(index.quantizer.reconstruct_n(0, lists))

    def _approximate(self, shards: Shards, query: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
        distances = np.full((len(query), k), np.inf, np.float32)
        found = np.full((len(query), k), -1, np.int64)
        short = np.arange(len(query))
        for candidates, probes in ATTEMPTS:
            if len(short):
                distances[short], found[short] = self._attempt(
                    shards, query[short], candidates * k, PROBES * probes, k
                )
            short = np.flatnonzero(found[:, -1] < 0)
        return distances, found

    def _attempt(
        self, shards: Shards, query: np.ndarray, count: int, probes: int, k: int
    ) -> tuple[np.ndarray, np.ndarray]:
        """Distances and rows (Q, k) of the nearest other episodes among the `count` nearest thinned frames.

        Each stage takes what the one before gives as it comes.
        """
        parts = _blocks(query, ASKED_ABOUT // count)
        mine = [self.features[part] for part in parts]
        lists = shards.any("lists", ((one, probes) for one in mine))
        asked = ((one, near, count) for one, near in zip(mine, lists, strict=True))
        hits = (_merged(answers, count)[1] for answers in shards.all("candidates", asked))
        # Half as many again, because a frame beside a hit may be nearer than the hits before it.
        chosen = (
            self._one_per_episode(part, rows, k + k // 2) for part, rows in zip(parts, hits, strict=True)
        )
        found = shards.all("around", zip(mine, chosen, strict=True))
        return _stacked([_merged(answers, k) for answers in found])

    def _one_per_episode(self, query: np.ndarray, rows: np.ndarray, count: int) -> np.ndarray:
        """The first of each other episode among rows (Q, M), nearest first, (Q, count), -1 where missing."""
        own = self.start_of_own[query][:, None]
        episode = np.where(rows >= 0, self.start_of_own[rows], own)
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


def _blocks(query: np.ndarray, size: int = ASKED) -> list[np.ndarray]:
    return [query[at] for at in cuts(len(query), size)]


def _merged(answers: Sequence[tuple[np.ndarray, np.ndarray]], count: int) -> tuple[np.ndarray, np.ndarray]:
    """The first `count` of what all shards found, (Q, count) of values and rows."""
    values, rows = (np.concatenate(part, axis=1) for part in zip(*answers, strict=True))
    return first_of_all(values, rows, count)


def _stacked(parts: Sequence[tuple[np.ndarray, np.ndarray]]) -> tuple[np.ndarray, np.ndarray]:
    values, rows = (np.concatenate(part) for part in zip(*parts, strict=True))
    return values, rows
