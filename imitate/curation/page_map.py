"""The states of a data set as hexagons of a plane, each holding the steps that were there."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from imitate.datasets.quality.room import blocks, in_blocks

WIDTH, HEIGHT = 400.0, 280.0
COLUMNS = 26
# A place needs this many steps, from this many episodes, before its mean says anything.
PLACE_STEPS, PLACE_EPISODES = 8, 3
SHRINK = 30
EDGE = 0.005


@dataclass(frozen=True)
class Window:
    """The part of the plane that is drawn: `low` and `high` (2,) in units of the projection."""

    low: np.ndarray
    high: np.ndarray

    @classmethod
    def around(cls, projections: Sequence[np.ndarray]) -> "Window":
        """Around all points (N, 2) but the outermost; those are drawn at the edge."""
        points = np.concatenate(projections).astype(np.float64)
        points = points[np.isfinite(points).all(axis=1)]
        if not len(points):
            return cls(np.zeros(2), np.ones(2))
        low, high = np.quantile(points, (EDGE, 1 - EDGE), axis=0)
        return cls(low, np.where(high > low, high, low + 1))


@dataclass(frozen=True)
class HexMap:
    """Hexagons in drawing units, x to the right in [0, WIDTH], y downwards in [0, HEIGHT].

    centres: (B, 2). radius: from the centre to a corner. bins: (N,) int64, the hexagon of each step, -1 where
    its projection is not finite. episode: (N,) the episode of each step.
    """

    centres: np.ndarray
    radius: float
    bins: np.ndarray
    episode: np.ndarray

    @classmethod
    def of(cls, projection: np.ndarray, episode: np.ndarray, window: Window) -> "HexMap":
        """Gather `projection` (N, 2) with the `episode` (N,) of each row; empty hexagons are left out."""
        wide = WIDTH / COLUMNS
        radius = wide / np.sqrt(3)
        margin = np.array([wide / 2, radius])

        def nearest(at: slice) -> np.ndarray:
            """Centres as x + iy, which sort like pairs."""
            finite = np.isfinite(projection[at]).all(axis=1)
            points = (projection[at][finite].astype(np.float64) - window.low) / (window.high - window.low)
            spots = margin + np.clip(points, 0, 1) * (np.array([WIDTH, HEIGHT]) - 2 * margin)
            spots[:, 1] = HEIGHT - spots[:, 1]
            found = np.full(len(finite), np.nan, np.complex128)
            found[finite] = _nearest_centres(spots, wide, radius) @ [1, 1j]
            return found

        spots = in_blocks(len(projection), nearest)
        some = [np.unique(spots[at][np.isfinite(spots[at])]) for at in blocks(len(spots))]
        places = np.unique(np.concatenate(some))

        def numbered(at: slice) -> np.ndarray:
            return np.where(np.isfinite(spots[at]), np.searchsorted(places, spots[at]), -1)

        centres, bins = np.stack([places.real, places.imag], axis=1), in_blocks(len(spots), numbered)
        return cls(centres, radius, bins, episode)

    @cached_property
    def counts(self) -> np.ndarray:
        """Steps in each hexagon, (B,)."""
        return np.bincount(self.bins[self.bins >= 0], minlength=len(self.centres))

    @cached_property
    def episodes(self) -> np.ndarray:
        """Different episodes in each hexagon, (B,)."""
        inside = self.bins >= 0
        count = int(self.episode.max(initial=0)) + 1
        pairs = np.unique(self.bins[inside] * count + self.episode[inside])
        return np.bincount(pairs // count, minlength=len(self.centres))

    def means(self, values: np.ndarray) -> np.ndarray:
        """The mean of `values` (N,) in each hexagon, (B,) float64; NaN where none is known."""
        known = np.isfinite(values) & (self.bins >= 0)
        sums = np.bincount(self.bins[known], values[known].astype(np.float64), len(self.centres))
        counts = np.bincount(self.bins[known], minlength=len(self.centres))
        return np.divide(sums, counts, out=np.full(len(sums), np.nan), where=counts > 0)

    def places(self, values: np.ndarray, count: int = 5) -> list[int]:
        """The hexagons with the highest mean of `values` (N,), no two of them touching.

        Only hexagons with enough steps of enough episodes are considered, and each mean counts as if
        SHRINK ordinary steps were there besides, so that a few wild steps do not outrank a crowd.
        """
        means = self.means(values)
        fair = (self.counts >= PLACE_STEPS) & (self.episodes >= PLACE_EPISODES) & np.isfinite(means)
        excess = (means - np.mean(values[np.isfinite(values)])) * self.counts / (self.counts + SHRINK)
        chosen: list[int] = []
        for place in np.argsort(np.where(fair, -excess, np.inf), kind="stable")[: fair.sum()]:
            gaps = np.linalg.norm(self.centres[chosen] - self.centres[place], axis=1)
            if len(chosen) < count and (gaps > 2.5 * self.radius).all():
                chosen.append(int(place))
        return chosen

    def visits(self, starts: np.ndarray) -> np.ndarray:
        """Every uninterrupted stay, (V, 4) int64: hexagon, episode, first step, step after the last.

        `starts` (E,) is the first row of each episode. Sorted by hexagon, then episode, then step.
        """
        rows = np.flatnonzero(self.bins >= 0)
        if not len(rows):
            return np.empty((0, 4), np.int64)
        bins, episode = self.bins[rows], self.episode[rows]
        new = (np.diff(bins) != 0) | (np.diff(episode) != 0) | (np.diff(rows) != 1)
        first = np.concatenate([[0], np.flatnonzero(new) + 1])
        last = np.concatenate([first[1:], [len(rows)]]) - 1
        whose = episode[first]
        stays = np.stack([bins[first], whose, rows[first] - starts[whose], rows[last] + 1 - starts[whose]], 1)
        return stays[np.lexsort((stays[:, 2], stays[:, 1], stays[:, 0]))]


def _nearest_centres(spots: np.ndarray, wide: float, radius: float) -> np.ndarray:
    """The centre of the hexagon around each of `spots` (N, 2): the nearer of two shifted lattices."""
    step = np.array([wide, 3 * radius])
    shift = step / 2
    even = np.round(spots / step) * step
    odd = np.round((spots - shift) / step) * step + shift
    nearer = np.sum((spots - even) ** 2, axis=1) <= np.sum((spots - odd) ** 2, axis=1)
    return np.round(np.where(nearer[:, None], even, odd), 3)
