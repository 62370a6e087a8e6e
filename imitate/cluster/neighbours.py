"""Neighbour search whose index lies in shards on the workers of a cluster: what is found is the same.

Each worker is a Ray actor that holds one shard in memory. Every block of the query goes to all of them, and
what they find is merged here as it is where all shards are in one process (NeighbourIndex). Ray Data is not
used: a shard must stay where it is while thousands of blocks pass, which rows that stream through do not.
"""

import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from types import ModuleType
from typing import Any

from imitate.cluster.answers import require_alive, taken
from imitate.cluster.config import ClusterConfig
from imitate.cluster.pulse import Pulse, pulse
from imitate.cluster.session import session
from imitate.datasets.quality.neighbour_index import HERE, Place, Shards
from imitate.datasets.quality.neighbour_shard import Shard

AT_ONCE = 3
"""Blocks that are under way, so that workers need not wait for the merging of the one before."""
LOOK_EVERY_S = 1.0


@contextmanager
def neighbour_place(config: ClusterConfig | None) -> Iterator[Place]:
    """Where an index is kept: in this process where `config` is None, otherwise on a cluster."""
    if config is None:
        yield HERE
        return
    with session(config) as ray:
        yield OnWorkers(config, ray)


@dataclass(frozen=True)
class OnWorkers:
    """A shard on each worker of a connected Ray."""

    config: ClusterConfig
    ray: ModuleType

    @property
    def shards(self) -> int:
        """As many as workers."""
        return self.config.workers

    @contextmanager
    def open(self, parts: Sequence[tuple[Any, ...]]) -> Iterator[Shards]:
        """The shards, until the end of the block; a worker that dies is replaced and builds its own anew."""
        made = self.ray.remote(Shard).options(
            num_cpus=self.config.cpus,
            num_gpus=self.config.gpus,
            max_restarts=self.config.restarts,
            max_task_retries=self.config.restarts,
        )
        # Held here until the end: what is made anew needs its arguments again.
        held = [[self.ray.put(argument) for argument in part] for part in parts]
        actors = [made.remote(*part) for part in held]
        try:
            with pulse(self.ray) as felt:
                yield _OnActors(self.config, self.ray, actors, felt)
        finally:
            for actor in actors:
                self.ray.kill(actor)


@dataclass(frozen=True)
class _OnActors:
    config: ClusterConfig
    ray: ModuleType
    actors: Sequence[Any]
    felt: Pulse

    def all(self, question: str, blocks: Iterable[tuple[Any, ...]]) -> Iterator[list[Any]]:
        return self._in_turn(question, blocks, lambda number: self.actors)

    def any(self, question: str, blocks: Iterable[tuple[Any, ...]]) -> Iterator[Any]:
        one = self._in_turn(question, blocks, lambda number: [self.actors[number % len(self.actors)]])
        return (answers[0] for answers in one)

    def _in_turn(
        self, question: str, blocks: Iterable[tuple[Any, ...]], whom: Callable[[int], Sequence[Any]]
    ) -> Iterator[list[Any]]:
        """What those that `whom` names for each block answer, in the order of the blocks."""
        waiting: deque[list[Any]] = deque()
        for number, block in enumerate(blocks):
            sent = [self.ray.put(argument) for argument in block]
            waiting.append([getattr(actor, question).remote(*sent) for actor in whom(number)])
            if len(waiting) == AT_ONCE:
                yield self._taken(waiting.popleft())
        while waiting:
            yield self._taken(waiting.popleft())

    def _taken(self, refs: list[Any]) -> list[Any]:
        began, left = time.monotonic(), refs
        while left:
            _, left = self.ray.wait(left, num_returns=len(left), timeout=LOOK_EVERY_S)
            if left:
                waiting = f"all of {self.config.workers} workers are needed at the same time"
                require_alive(self.felt, self.config, began, waiting)
        part, advice = "a part of the neighbour index", "spread it over more cluster.workers"
        return list(taken(self.ray, self.config, refs, part, advice))
