"""Batches of windows in the endless order of training, prepared ahead by a thread."""

import copy
import queue
import threading
from collections.abc import Generator, Iterator, Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from imitate.datasets.episode_store import ACTION, EpisodeStore
from imitate.datasets.hindsight import Hindsight
from imitate.datasets.mixture_loading import shared_order
from imitate.datasets.rows import Rows
from imitate.datasets.windows import Windows, WindowSampler
from imitate.symmetry import Mirror
from imitate.types import Batch, Outcome

PREFETCHED = 4

Weighting = Literal["loss", "sampling"]


@dataclass(frozen=True)
class EpisodeFacts:
    """What a store knows, and how much it counts.

    weights: (N,) of each step. last_rows: (E,) row of the last step of each episode. success: (E,) as Outcome
    has it.
    """

    weights: np.ndarray
    last_rows: np.ndarray
    success: np.ndarray

    @classmethod
    def of(cls, store: EpisodeStore, weights: np.ndarray) -> "EpisodeFacts":
        """What `store` knows; an episode that nobody judged was recorded because it shows the task."""
        success = [store.record(index).success is not False for index in range(len(store))]
        return cls(weights, store.episode_ends - 1, np.array(success, np.float32))


class WindowLoader:
    """Batches of windows, each a pure function of (seed, step), so that training resumes at any step.

    Every epoch visits each window once, in an order drawn from (seed, epoch); a batch that reaches the end
    of an epoch goes on with the next one, so every batch has `batch_size` windows.
    """

    def __init__(
        self,
        rows: Mapping[str, Rows],
        sampler: WindowSampler,
        facts: EpisodeFacts,
        batch_size: int,
        seed: int,
        mirror: Mirror | None = None,
        weighting: Weighting = "loss",
        store: EpisodeStore | None = None,
        hindsight: Hindsight | None = None,
    ) -> None:
        """Take windows of `sampler` from `rows` (observations and "action") of `store`.

        With `mirror` a random half of the windows of `batch` and `stream` is mirrored. With `weighting` by
        "sampling" these draw windows in proportion to their weight, in place of each once per epoch. Where
        `store` is a mixture, windows of each of its stores are drawn by its share.
        """
        self._rows = dict(rows)
        self._sampler = sampler
        self._facts = facts
        self._tells_outcome = False
        self._batch_size = batch_size
        self._seed = seed
        self._mirror = mirror
        self._hindsight = hindsight
        self._chances = self._chances_of(facts.weights) if weighting == "sampling" else None
        self._shared = None if store is None else shared_order(store, sampler.episodes, self._chances)
        self._orders: dict[int, np.ndarray] = {}

    def __len__(self) -> int:
        return len(self._sampler)

    def with_outcome(self) -> "WindowLoader":
        """The same loader, whose batches also tell what came of the actions."""
        telling = copy.copy(self)
        telling._tells_outcome = True
        return telling

    @property
    def batches_per_epoch(self) -> int:
        """Batches that it takes to see every window once."""
        return -(-len(self) // self._batch_size)

    def indices(self, step: int) -> np.ndarray:
        """The windows (B,) of batch `step`."""
        first = step * self._batch_size
        epochs = range(first // len(self), (first + self._batch_size - 1) // len(self) + 1)
        order = np.concatenate([self._order(epoch) for epoch in epochs]) if len(epochs) > 1 else None
        start = first - epochs[0] * len(self)
        chosen = self._order(epochs[0]) if order is None else order
        return chosen[start : start + self._batch_size]

    def episodes(self, step: int) -> np.ndarray:
        """The episode (B,) of the store that each window of batch `step` is cut from."""
        return self._sampler.windows(self.indices(step)).episodes

    def batch(self, step: int) -> Batch:
        """Batch number `step` of the endless training order."""
        windows, rng = self._sampler.windows(self.indices(step)), np.random.default_rng((self._seed, step))
        batch = self._assemble(windows)
        if self._hindsight is not None:
            batch = self._hindsight(batch, windows, self._facts.last_rows[windows.episodes], rng)
        return batch if self._mirror is None else self._mirror.half(batch, rng)

    def epoch_batches(self) -> Iterator[Batch]:
        """All windows once, in order; the last batch may be smaller."""
        for start in range(0, len(self), self._batch_size):
            indices = np.arange(start, min(start + self._batch_size, len(self)))
            yield self._assemble(self._sampler.windows(indices))

    def stream(self, start_step: int = 0) -> Generator[Batch, None, None]:
        """The batches from `start_step` on, without end, prepared ahead by a thread.

        Batches lie in pinned memory where there is a GPU. Close the iterator to end the thread.
        """
        ready: queue.Queue[Batch | BaseException] = queue.Queue(PREFETCHED)
        stopped = threading.Event()
        worker = threading.Thread(target=self._prepare, args=(start_step, ready, stopped), daemon=True)
        worker.start()
        try:
            while True:
                item = ready.get()
                if isinstance(item, BaseException):
                    raise item
                yield item
        finally:
            stopped.set()
            worker.join()

    def _prepare(
        self, step: int, ready: "queue.Queue[Batch | BaseException]", stopped: threading.Event
    ) -> None:
        pin = torch.cuda.is_available()
        item: Batch | BaseException
        while not stopped.is_set():
            try:
                item = self.batch(step).map(Tensor.pin_memory) if pin else self.batch(step)
            except BaseException as error:
                item = error
            while not stopped.is_set():
                try:
                    ready.put(item, timeout=0.1)
                    break
                except queue.Full:
                    continue
            step += 1

    def _assemble(self, windows: Windows) -> Batch:
        return Batch(
            obs=self._observed(windows.obs_rows),
            action=self._rows[ACTION].take(windows.action_rows),
            is_pad=torch.from_numpy(windows.is_pad),
            weight=torch.from_numpy(self._weights(windows)),
            outcome=self._outcome(windows) if self._tells_outcome else None,
        )

    def _weights(self, windows: Windows) -> np.ndarray:
        # The weight of a window is that of its step; a drawn window has had it already.
        weights = self._facts.weights[windows.obs_rows[:, -1]]
        return weights if self._chances is None else np.ones_like(weights)

    def _chances_of(self, weights: np.ndarray) -> np.ndarray:
        chances = weights[self._sampler.windows(np.arange(len(self))).obs_rows[:, -1]].astype(np.float64)
        return np.asarray(chances / chances.sum())

    def _outcome(self, windows: Windows) -> Outcome:
        last = self._facts.last_rows[windows.episodes, None]
        return Outcome(
            obs=self._observed(np.minimum(windows.action_rows + 1, last)),
            is_last=torch.from_numpy(windows.action_rows == last),
            success=torch.from_numpy(self._facts.success[windows.episodes]),
        )

    def _observed(self, rows: np.ndarray) -> dict[str, Tensor]:
        return {key: source.take(rows) for key, source in self._rows.items() if key != ACTION}

    def _order(self, epoch: int) -> np.ndarray:
        # Asked for by the prefetching thread and by others: replaced in one step, never changed in place.
        orders = self._orders
        if epoch not in orders:
            drawn = self._drawn(np.random.default_rng((self._seed, epoch)))
            orders = {number: order for number, order in orders.items() if number == epoch - 1}
            orders[epoch] = drawn
            self._orders = orders
        return orders[epoch]

    def _drawn(self, rng: np.random.Generator) -> np.ndarray:
        if self._shared is not None:
            return self._shared.draw(rng)
        if self._chances is not None:
            return rng.choice(len(self), len(self), p=self._chances)
        return rng.permutation(len(self))
