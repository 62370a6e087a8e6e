"""Batches in parts: which windows of a batch belong to which shard, and which shards to which worker.

A batch of B windows has the same `shards` parts however many workers there are; worker r of N reads and
learns from the parts r, r + N, r + 2 N, … alone.
"""

from collections.abc import Sequence
from itertools import pairwise

import numpy as np
import torch
from torch import Tensor

from imitate.datasets.window_loader import WindowLoader
from imitate.errors import ConfigError
from imitate.types import Batch


def parts(batch_size: int, shards: int) -> list[slice]:
    """The rows of each of `shards` parts of a batch; their lengths differ by 1 at most.

    Raises ConfigError where there are fewer rows than parts.
    """
    if batch_size < shards:
        raise ConfigError(f"cluster.shards is {shards}, expected at most train.batch_size={batch_size}")
    bounds = [round(number * batch_size / shards) for number in range(shards + 1)]
    return [slice(start, stop) for start, stop in pairwise(bounds)]


def dealt(shards: int, rank: int, workers: int) -> range:
    """The shards of worker `rank` of `workers`; raises ConfigError where one would have none."""
    if workers > shards:
        raise ConfigError(
            f"cluster.shards is {shards}, expected at least cluster.workers={workers}: each needs a part"
        )
    return range(rank, shards, workers)


class Part(WindowLoader):
    """The rows `rows` of every batch of `whole`, and nothing of the others; random choices are its own."""

    def __init__(self, whole: WindowLoader, rows: slice) -> None:
        self.__dict__.update(whole.__dict__)  # what `whole` holds in memory is held once
        self._part = rows

    def indices(self, step: int) -> np.ndarray:
        """The windows of this part of batch `step`."""
        return super().indices(step)[self._part]


class WorkerWindows(WindowLoader):
    """The parts of every batch of `whole` that one worker learns from, one after the other."""

    def __init__(self, whole: WindowLoader, rows: Sequence[slice]) -> None:
        self.__dict__.update(whole.__dict__)
        self._parts = [Part(whole, part) for part in rows]

    def indices(self, step: int) -> np.ndarray:
        """The windows of this worker in batch `step`."""
        return np.concatenate([part.indices(step) for part in self._parts])

    def batch(self, step: int) -> Batch:
        """This worker's share of batch `step`; only its rows are read."""
        return joined([part.batch(step) for part in self._parts])


def joined(batches: Sequence[Batch]) -> Batch:
    """The rows of all `batches`, one after the other."""
    first, *others = batches
    if not others:
        return first
    columns = iter(list(zip(*map(_tensors, batches), strict=True)))
    return first.map(lambda _: torch.cat(next(columns)))


def _tensors(batch: Batch) -> list[Tensor]:
    found: list[Tensor] = []

    def note(tensor: Tensor) -> Tensor:
        found.append(tensor)
        return tensor

    batch.map(note)
    return found
