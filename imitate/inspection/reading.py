"""Reading as much of demonstrations as is quick, whatever their format: some episodes, each as a whole."""

import itertools
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields
from typing import Any, Protocol

import numpy as np

from imitate.datasets.episode_store import ACTION, EpisodeRecord, EpisodeStore
from imitate.datasets.formats import Foreign
from imitate.datasets.stored_array import StoredArray
from imitate.errors import DataError
from imitate.types import ArraySpec, DataSpec, Episode

NARROW = 256
"""An array of more numbers per step (an image, a depth map) is looked at in a few steps only."""

KEPT_BYTES = 64_000_000
READ_BYTES = 1_000_000_000
"""What may be kept in memory, and read in all, unless the user says how many episodes."""


class Rows(Protocol):
    """The steps (T, …) of an array of one episode; rows[steps] reads those of `steps` (K,), which rise."""

    def __getitem__(self, steps: np.ndarray) -> np.ndarray:
        """(K, …) of them."""


@dataclass(frozen=True)
class Look:
    """One episode that is looked at: number `index` of all.

    arrays: {name: (T, …)} the action and every narrow observation. wide: the others, read when asked for.
    """

    index: int
    record: EpisodeRecord
    arrays: Mapping[str, np.ndarray]
    wide: Mapping[str, Rows]


@dataclass(frozen=True)
class Sample:
    """The episodes that are looked at, `indices` of all there are, rising; `looks` gives them once.

    source: what they come from. While it is held a reader does not end, and so does not count what nobody
    asked for as left out.
    """

    indices: tuple[int, ...]
    looks: Iterator[Look]
    source: object = None


def is_narrow(spec: ArraySpec) -> bool:
    """Whether an array is read whole and told number by number."""
    return not spec.is_image and spec.size <= NARROW


def all_specs(spec: DataSpec) -> dict[str, ArraySpec]:
    """The action's and every observation's, by name, the action first."""
    return {ACTION: spec.action, **spec.obs}


def sample(foreign: Foreign, limit: int | None = None) -> Sample:
    """At most `limit` episodes; None for as many as come to KEPT_BYTES of numbers and READ_BYTES in all.

    Of a store they are spread evenly. Other formats can only be read in order: of those, the first ones.
    Raises DataError where there is none, or one cannot be read.
    """
    return _of_store(foreign, limit) if isinstance(foreign, EpisodeStore) else _of_others(foreign, limit)


def _of_store(store: EpisodeStore, limit: int | None) -> Sample:
    if not len(store):
        raise DataError(f"{store.address}: holds no episodes yet")
    per_step = sum(_bytes(spec) for spec in all_specs(store.spec).values() if is_narrow(spec))
    affordable = KEPT_BYTES * len(store) // (store.steps * per_step)
    count = max(1, min(len(store), affordable if limit is None else limit))
    indices = tuple(np.linspace(0, len(store) - 1, count).round().astype(int).tolist())
    return Sample(indices, (_stored(store, index) for index in indices))


def _stored(store: EpisodeStore, index: int) -> Look:
    stop = int(store.episode_ends[index])
    start = stop - store.record(index).steps
    arrays, wide = {}, {}
    for name, spec in all_specs(store.spec).items():
        if is_narrow(spec):
            arrays[name] = store.array(name)[start:stop]
        else:
            wide[name] = _StoredRows(store.array(name), start)
    return Look(index, store.record(index), arrays, wide)


@dataclass(frozen=True)
class _StoredRows:
    array: StoredArray
    start: int

    def __getitem__(self, steps: np.ndarray) -> np.ndarray:
        return self.array[steps + self.start]


def _of_others(foreign: Foreign, limit: int | None) -> Sample:
    episodes = iter(foreign.episodes())
    first = next(episodes, None)
    if first is None:
        raise DataError(f"{foreign.source}: holds no episodes")
    specs = all_specs(foreign.spec).values()
    kept = len(first) * sum(_bytes(spec) for spec in specs if is_narrow(spec))
    read = len(first) * sum(map(_bytes, specs))
    affordable = min(KEPT_BYTES // kept, READ_BYTES // read) if limit is None else limit
    count = max(1, min(len(foreign), affordable))
    chosen = itertools.islice(itertools.chain([first], episodes), count)
    return Sample(tuple(range(count)), itertools.starmap(_held, enumerate(chosen)), episodes)


def _held(index: int, episode: Episode) -> Look:
    arrays = {ACTION: episode.action, **episode.obs}
    known = {f.name: getattr(episode, f.name) for f in fields(EpisodeRecord) if hasattr(episode, f.name)}
    record = EpisodeRecord(steps=len(episode), **known)
    narrow = {name: _is_narrow_array(array) for name, array in arrays.items()}
    return Look(
        index,
        record,
        {name: array for name, array in arrays.items() if narrow[name]},
        {name: array for name, array in arrays.items() if not narrow[name]},
    )


def _is_narrow_array(array: np.ndarray[Any, Any]) -> bool:
    return is_narrow(ArraySpec(array.shape[1:], array.dtype.name))


def _bytes(spec: ArraySpec) -> int:
    return max(1, math.prod(spec.shape) * np.dtype(spec.dtype).itemsize)
