"""One shard of an index of neighbours: some episodes whole, and what is nearest among them.

Everything is ordered by (distance, row), distances being sums of squared differences in float32. That does
not depend on how rows are spread over shards, so the best of all shards, merged, are the best of one index,
equal distances included. Matrix products, which round as their shape likes, only pre-select.
"""

from collections.abc import Iterator
from functools import cached_property
from itertools import pairwise
from typing import Any

import faiss
import numpy as np

CHUNK = 1 << 24  # Distances that the exact search holds at once.
BLOCK = 2_000  # Rows compared with them at a time: what fits the processor's cache.
STRIDE = 4
GATHERED = 1 << 22  # Numbers that are gathered at once to be compared.
ADDED = 1 << 14  # Rows that are put into lists at once.
SPARE = 8  # Lists more than wanted, of which the nearest are then found without rounding of products.


class Shard:
    """`features` (n, D) float32 of whole episodes of `lengths` (E,), of which `first` is the first row.

    centroids: (lists, D) of the inverted file where candidates are wanted, None where all is compared.
    """

    def __init__(
        self, features: np.ndarray, lengths: np.ndarray, first: int = 0, centroids: np.ndarray | None = None
    ) -> None:
        self.features, self.lengths, self.first, self.centroids = features, lengths, first, centroids
        self.starts = np.cumsum(lengths) - lengths

    # Every row of the query against every row here.

    def nearest(self, mine: np.ndarray, own: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
        """Distances and rows (Q, k) of the nearest row of each of the k nearest episodes.

        mine: (Q, D) the query; own: (Q,) the first row of its own episode, which does not count. Where there
        are no more: inf and -1.
        """
        step = max(1, CHUNK // len(self.features))
        parts = [self._nearest(mine[at], own[at], k) for at in cuts(len(mine), step)]
        return _joined(parts, k)

    def _nearest(self, mine: np.ndarray, own: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
        squared, least = self._products(mine)
        least[own[:, None] == self.starts + self.first] = np.inf
        kth = np.partition(least, min(k, least.shape[1]) - 1, axis=1)[:, min(k, least.shape[1]) - 1]
        slack = _slack(mine, self._others[-1].max())
        query, episode = np.nonzero(np.isfinite(least) & (least <= (kth + slack)[:, None]))
        pair, rows = _ranges(self.starts[episode], self.lengths[episode])
        close = squared[query[pair], rows] <= (least[query, episode] + slack[query])[pair]
        pair, rows = pair[close], rows[close]
        distances = _distances(mine, query[pair], self.features, rows)
        best = first_of_each(pair, distances)  # rows rise, so the first of equals has the lowest
        return _ragged(query[pair[best]], distances[best], rows[best] + self.first, (len(mine), k))

    def _products(self, mine: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Squared distances (Q, n) less the query's own square, and the least of each episode (Q, E)."""
        mine = np.concatenate([-2 * mine, np.ones((len(mine), 1), np.float32)], axis=1)
        squared = np.empty((len(mine), len(self.features)), np.float32)
        least = np.empty((len(mine), len(self.starts)), np.float32)
        for low, high in self._blocks:
            rows = slice(self.starts[low], self.starts[low] + self.lengths[low:high].sum())
            np.matmul(mine, self._others[:, rows], out=squared[:, rows])
            bounds = self.starts[low:high] - self.starts[low]
            least[:, low:high] = np.minimum.reduceat(squared[:, rows], bounds, axis=1)
        return squared, least

    @cached_property
    def _others(self) -> np.ndarray:
        squares = np.sum(self.features**2, axis=1, keepdims=True)
        return np.ascontiguousarray(np.concatenate([self.features, squares], axis=1).T)

    @cached_property
    def _blocks(self) -> list[tuple[int, int]]:
        """Ranges of whole episodes with about BLOCK rows each."""
        bounds = np.flatnonzero(np.diff(self.starts // BLOCK)) + 1
        return list(pairwise([0, *bounds.tolist(), len(self.starts)]))

    # Candidates from every fourth frame, then the frames around them.

    def lists(self, mine: np.ndarray, count: int) -> np.ndarray:
        """The `count` lists (Q, count) of the inverted file that are nearest to `mine` (Q, D)."""
        assert self.centroids is not None
        count = min(count, len(self.centroids))
        apart, near = self._quantizer.search(mine, min(count + 1, len(self.centroids)))
        if near.shape[1] > count:
            slack = _slack(mine, self._widest)
            unsure = np.flatnonzero(apart[:, count] - apart[:, count - 1] <= slack)
            near[unsure, :count] = self._surely_nearest(mine[unsure], count)
        return np.sort(near[:, :count], axis=1)

    def _surely_nearest(self, mine: np.ndarray, count: int) -> np.ndarray:
        """The same (Q, count), however products round, where two are about equally near."""
        assert self.centroids is not None
        _, near = self._quantizer.search(mine, min(count + SPARE, len(self.centroids)))
        query = np.repeat(np.arange(len(mine)), near.shape[1])
        apart = _distances(mine, query, self.centroids, near.ravel()).reshape(near.shape)
        return first_of_all(apart, near, count)[1]

    def candidates(self, mine: np.ndarray, lists: np.ndarray, count: int) -> tuple[np.ndarray, np.ndarray]:
        """Squared distances and rows (Q, count) of the nearest thinned rows in `lists` (Q, …)."""
        self._inverted.nprobe = lists.shape[1]
        apart = np.zeros(lists.shape, np.float32)  # to the lists; nobody asks
        squared, rows = self._inverted.search_preassigned(mine, count + 1, lists, apart)
        squared = np.where(rows >= 0, squared, np.float32(np.inf))
        # Of equals at the end faiss keeps any: all of them are looked at.
        tied = np.flatnonzero((rows[:, -1] >= 0) & (squared[:, -1] == squared[:, -2]))
        squared, rows = squared[:, :count], rows[:, :count]
        for line in tied:
            squared[line], rows[line] = self._within(
                mine[line : line + 1], lists[line : line + 1], squared[line]
            )
        return first_of_all(squared, rows, count)

    def _within(
        self, mine: np.ndarray, lists: np.ndarray, squared: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        apart = np.zeros(lists.shape, np.float32)
        radius = float(np.nextafter(squared[-1], np.float32(np.inf)))
        _, found, rows = self._inverted.range_search_preassigned(mine, radius, lists, apart)
        order = np.lexsort((rows, found))[: len(squared)]
        return found[order], rows[order]

    @cached_property
    def _widest(self) -> float:
        """The largest square of a centroid."""
        assert self.centroids is not None
        return float(np.square(self.centroids).sum(axis=1).max())

    @cached_property
    def _quantizer(self) -> Any:
        assert self.centroids is not None
        index = faiss.IndexFlatL2(self.features.shape[1])
        index.add(self.centroids)
        return index

    @cached_property
    def _inverted(self) -> Any:
        assert self.centroids is not None
        index: Any = faiss.IndexIVFFlat(self._quantizer, self.features.shape[1], len(self.centroids))
        index.is_trained = True
        rows = thinned(self.lengths)
        for at in cuts(len(rows), ADDED):
            points, names = self.features[rows[at]], rows[at] + self.first
            places = np.ascontiguousarray(self.lists(points, 1)[:, 0])
            index.add_core(len(points), *map(faiss.swig_ptr, (points, names, places)))
        return index

    def around(self, mine: np.ndarray, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Of each of `rows` (Q, M) the nearest of the frames around it: distances and rows (Q, M).

        Rows of other shards, and -1, are not looked at: inf and -1.
        """
        distances, nearest = np.full(rows.shape, np.inf, np.float32), np.full(rows.shape, -1, np.int64)
        here = (rows >= self.first) & (rows < self.first + len(self.features))
        query, _ = np.nonzero(here)
        middle = rows[here] - self.first
        episode = np.searchsorted(self.starts, middle, side="right") - 1
        last = self.starts[episode] + self.lengths[episode] - 1
        steps = middle[:, None] + np.arange(1 - STRIDE, STRIDE)
        steps = np.clip(steps, self.starts[episode][:, None], last[:, None])
        again = np.repeat(query, steps.shape[1])
        apart = _distances(mine, again, self.features, steps.ravel()).reshape(steps.shape)
        best = np.argmin(apart, axis=1)[:, None]
        distances[here] = np.take_along_axis(apart, best, axis=1)[:, 0]
        nearest[here] = np.take_along_axis(steps, best, axis=1)[:, 0] + self.first
        return distances, nearest


def cuts(size: int, step: int) -> Iterator[slice]:
    """Slices of at most `step` that make up `size`."""
    return (slice(low, low + step) for low in range(0, size, step))


def thinned(lengths: np.ndarray) -> np.ndarray:
    """Every fourth row of each episode of `lengths` (E,), at least one, rising."""
    position = np.arange(lengths.sum()) - np.repeat(np.cumsum(lengths) - lengths, lengths)
    offset = np.minimum(STRIDE // 2, np.repeat(lengths, lengths) - 1)
    return np.flatnonzero(position % STRIDE == offset)


def first_of_all(values: np.ndarray, rows: np.ndarray, count: int) -> tuple[np.ndarray, np.ndarray]:
    """The first `count` of each line of (Q, M) in the order of (value, row), of both."""
    if values.shape[1] > count:
        chosen = np.argpartition(values, count - 1, axis=1)[:, :count]
        largest = np.take_along_axis(values, chosen, axis=1).max(axis=1, keepdims=True)
        tied = np.flatnonzero(np.sum(values <= largest, axis=1) > count)
        chosen[tied] = np.lexsort((rows[tied], values[tied]), axis=1)[:, :count]
        values, rows = (np.take_along_axis(part, chosen, axis=1) for part in (values, rows))
    order = np.argsort(values, axis=1, kind="stable")
    values, rows = (np.take_along_axis(part, order, axis=1) for part in (values, rows))
    # Equals are rare, and sorting by two keys is slow.
    tied = np.flatnonzero((values[:, 1:] == values[:, :-1]).any(axis=1))
    order = np.lexsort((rows[tied], values[tied]), axis=1)
    rows[tied] = np.take_along_axis(rows[tied], order, axis=1)
    return values, rows


def first_of_each(group: np.ndarray, values: np.ndarray) -> np.ndarray:
    """Where each group of `group` (P,), whose members lie together, has its least value first, rising."""
    starts = np.flatnonzero(np.diff(group, prepend=-1))
    if not len(starts):
        return starts
    least = np.repeat(np.minimum.reduceat(values, starts), np.diff(np.append(starts, len(group))))
    places = np.flatnonzero(values == least)
    return places[np.diff(group[places], prepend=-1) > 0]


def _slack(mine: np.ndarray, square: float) -> np.ndarray:
    """By how much squared distances (Q,) from `mine` (Q, D) to rows of at most `square` may be wrong.

    Generously, as products give them, or the root of a sum of squares.
    """
    reach = np.sqrt(np.sum(mine**2, axis=1)) + np.sqrt(square)
    slack: np.ndarray = 4 * (mine.shape[1] + 2) * np.finfo(np.float32).eps * reach**2
    return slack


def _distances(mine: np.ndarray, query: np.ndarray, others: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """Root mean square differences (P,) of mine[query] and others[rows], summed without cancellation."""
    out = np.empty(len(rows), np.float32)
    for at in cuts(len(rows), max(1, GATHERED // mine.shape[1])):
        gap = others[rows[at]] - mine[query[at]]
        out[at] = np.sqrt(np.einsum("pd,pd->p", gap, gap) / np.float32(gap.shape[1]))
    return out


def _ranges(starts: np.ndarray, lengths: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """All numbers from each start on for its length, with the number of the range that each is of."""
    group = np.repeat(np.arange(len(starts)), lengths)
    return group, np.arange(len(group)) + np.repeat(starts - (np.cumsum(lengths) - lengths), lengths)


def _ragged(
    query: np.ndarray, distances: np.ndarray, rows: np.ndarray, shape: tuple[int, int]
) -> tuple[np.ndarray, np.ndarray]:
    """Lists of unequal length, of which `query` (P,) names the line, as (Q, k): the first k of each."""
    order = np.lexsort((rows, distances, query))
    query, distances, rows = query[order], distances[order], rows[order]
    rank = np.arange(len(query)) - np.searchsorted(query, query)
    kept = rank < shape[1]
    values, places = np.full(shape, np.inf, np.float32), np.full(shape, -1, np.int64)
    values[query[kept], rank[kept]], places[query[kept], rank[kept]] = distances[kept], rows[kept]
    return values, places


def _joined(parts: list[tuple[np.ndarray, np.ndarray]], k: int) -> tuple[np.ndarray, np.ndarray]:
    empty = np.empty((0, k), np.float32), np.empty((0, k), np.int64)
    first, second = zip(empty, *parts, strict=True)
    return np.concatenate(first), np.concatenate(second)
