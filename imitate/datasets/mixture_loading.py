"""Learning from a mixture: held-out episodes, statistics, ranges and the order of windows, store by store."""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from imitate.datasets.episode_store import ACTION, EpisodeStore
from imitate.datasets.fitting import fit_statistics
from imitate.datasets.mixture import Mixture
from imitate.datasets.rows import Rows
from imitate.errors import DataError
from imitate.normalize import ArrayStatistics, Statistics

CONSTANT = 1e-6
"""Relative spread below which float32 numbers are constant up to rounding, as in imitate.normalize."""


def store_of_episodes(store: EpisodeStore) -> np.ndarray:
    """(E,) the number of the store that each episode is from; 0 for all where `store` is no mixture."""
    return store.store_of if isinstance(store, Mixture) else np.zeros(len(store), np.int64)


def statistics_of(
    store: EpisodeStore, names: list[str], episodes: list[int]
) -> tuple[Statistics, tuple[Statistics, ...]]:
    """What the policy's normaliser is fitted on, and for a mixture the statistics of each store alone.

    Of a mixture the first covers the reference and every "shared" store by their shares. Raises DataError
    naming a store of which no episode is left, or the episode that holds a number that is not finite.
    """
    if not isinstance(store, Mixture):
        return fit_statistics(store, names, episodes), ()
    own = tuple(_part_statistics(store, number, names, episodes) for number in range(len(store.parts)))
    together = np.flatnonzero(~store.is_own)
    shares = store.shares[together] / store.shares[together].sum()
    return {name: _weighted([own[i][name] for i in together], shares) for name in names}, own


def brought_together(
    rows: dict[str, Rows], store: EpisodeStore, own: Sequence[Statistics]
) -> dict[str, Rows]:
    """`rows` with those of "own" stores brought onto the range of the reference; images stay as they are."""
    if not isinstance(store, Mixture) or not store.is_own.any():
        return rows
    ends = np.array([store.episode_ends[store.store_of == i][-1] for i in range(len(store.parts))])
    return {
        name: _brought(source, store, ends, [one[name] for one in own], name) if name in own[0] else source
        for name, source in rows.items()
    }


class BroughtRows:
    """Rows that each store's own affine map takes to the range of the reference."""

    def __init__(self, rows: Rows, ends: np.ndarray, scale: np.ndarray, offset: np.ndarray) -> None:
        """`ends` (S,) rows of the stores; `scale`, `offset` (S, D), D elements of a flattened row."""
        self._rows, self._ends = rows, ends
        self._scale, self._offset = (torch.from_numpy(v.astype(np.float32)) for v in (scale, offset))

    def take(self, rows: np.ndarray) -> Tensor:
        """Gather (B, T) -> (B, T, …) float32."""
        values = self._rows.take(rows)
        number = torch.from_numpy(np.searchsorted(self._ends, rows, side="right"))
        flat = values.reshape(*rows.shape, -1) * self._scale[number] + self._offset[number]
        return flat.view(values.shape)


class SharedOrder:
    """Draws an epoch of windows so that each store has its share, whatever its size.

    An epoch of W windows takes W × share of them from each store, rounded at random so that the expectation
    is exact, each window of a store as often as any other of it, up to one. Their order is random, so the
    expected share of a store among the windows of any batch is its share.
    """

    def __init__(self, group: np.ndarray, shares: np.ndarray, chances: np.ndarray | None) -> None:
        """`group` (W,) the store of each window; `chances` (W,) within a store, None for evenly."""
        self._members = [np.flatnonzero(group == number) for number in range(len(shares))]
        present = np.array([len(members) > 0 for members in self._members])
        self._shares = np.where(present, shares, 0.0) / shares[present].sum()
        self._last = int(np.flatnonzero(present)[-1])
        self._chances = chances

    def draw(self, rng: np.random.Generator) -> np.ndarray:
        """Indices (W,) of windows, a function of `rng` alone."""
        total = sum(map(len, self._members))
        ends = np.floor(np.cumsum(self._shares) * total + rng.random()).astype(np.int64)
        ends[self._last :] = total  # sums of shares are rounded
        counts = np.diff(np.minimum(ends, total), prepend=0)
        parts = [self._some(m, int(n), rng) for m, n in zip(self._members, counts, strict=True)]
        return np.asarray(rng.permutation(np.concatenate(parts)))

    def _some(self, members: np.ndarray, count: int, rng: np.random.Generator) -> np.ndarray:
        if not len(members):
            return members
        if self._chances is not None:
            chances = self._chances[members]
            return np.asarray(rng.choice(members, count, p=chances / chances.sum()))
        whole, rest = divmod(count, len(members))
        return np.concatenate([np.tile(members, whole), rng.permutation(members)[:rest]])


def shared_order(store: EpisodeStore, episodes: np.ndarray, chances: np.ndarray | None) -> SharedOrder | None:
    """The order of windows whose `episodes` (W,) are given; None where `store` is no mixture."""
    if not isinstance(store, Mixture):
        return None
    return SharedOrder(store.store_of[episodes], store.shares, chances)


def _part_statistics(mixture: Mixture, number: int, names: list[str], episodes: list[int]) -> Statistics:
    first = int(np.flatnonzero(mixture.store_of == number)[0])
    local = [episode - first for episode in episodes if mixture.store_of[episode] == number]
    if not local:
        raise DataError(
            f"{mixture.path}: no episode of {mixture.file.stores[number].path} is left to train on; keep "
            "some, or take it out of the mixture"
        )
    return fit_statistics(mixture.parts[number], names, local)


def _weighted(parts: Sequence[ArrayStatistics], shares: np.ndarray) -> ArrayStatistics:
    """Statistics of a mixture distribution: its variance is that within the parts and that between them."""
    mean = sum(share * part.mean for share, part in zip(shares, parts, strict=True))
    variance = sum(
        share * (part.std**2 + (part.mean - mean) ** 2) for share, part in zip(shares, parts, strict=True)
    )
    return ArrayStatistics(
        np.min([part.min for part in parts], axis=0),
        np.max([part.max for part in parts], axis=0),
        np.asarray(mean),
        np.sqrt(variance),
    )


def _brought(
    rows: Rows, store: Mixture, ends: np.ndarray, own: Sequence[ArrayStatistics], name: str
) -> BroughtRows:
    array = store.spec.action if name == ACTION else store.spec.obs[name]
    as_it_is = tuple(range(array.size)) if array.encoder else array.circular
    maps = [
        _onto(part, own[0], as_it_is) if is_own else (np.ones(array.size), np.zeros(array.size))
        for part, is_own in zip(own, store.is_own, strict=True)
    ]
    return BroughtRows(rows, ends, np.array([m[0] for m in maps]), np.array([m[1] for m in maps]))


def _onto(
    found: ArrayStatistics, reference: ArrayStatistics, as_it_is: tuple[int, ...]
) -> tuple[np.ndarray, np.ndarray]:
    """scale, offset (D,) that take the range of `found` to that of `reference`.

    An element that is constant in either is taken to the middle of the reference's range; those `as_it_is`
    (angles that wrap, sentences) are not changed.
    """
    spread, wanted = (found.max - found.min) / 2, (reference.max - reference.min) / 2
    middle, goal = (found.max + found.min) / 2, (reference.max + reference.min) / 2
    is_constant = spread <= CONSTANT * np.maximum(1.0, np.abs(middle))
    scale = np.where(is_constant, 0.0, wanted / np.where(is_constant, 1.0, spread))
    offset = goal - scale * middle
    scale[list(as_it_is)], offset[list(as_it_is)] = 1.0, 0.0
    return scale, offset
