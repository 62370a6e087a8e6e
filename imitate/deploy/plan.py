"""What the observing and the commanding half of the control loop share: the steps' times and the plan.

Time, for a control period dt: the policy observes at t0 + k dt. The action of step k is in force from
t0 + k dt + lag, for one period: an answer that comes within the lag leaves no gap, and one that takes longer
is asked for earlier.
"""

import math
import threading
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from imitate.deploy.inference import Chunk
from imitate.deploy.late_deltas import Deltas
from imitate.deploy.strategy import Strategy

EPSILON_S = 1e-6
"""A moment that is meant to be the beginning of a step may be a rounding error before it."""


@dataclass(frozen=True)
class Schedule:
    """The control steps of an attempt that began at `start_s`; times in s."""

    start_s: float
    period_s: float
    lag_s: float

    def seen(self, now_s: float) -> int:
        """The step whose observation is the newest that is due."""
        return math.floor((now_s - self.start_s + EPSILON_S) / self.period_s)

    def due(self, now_s: float) -> int:
        """The step whose action is in force; -1 before the first one."""
        return max(-1, math.floor((now_s - self.start_s - self.lag_s + EPSILON_S) / self.period_s))

    def next(self, now_s: float) -> int:
        """The first step whose action is not in force yet, or begins to be right now."""
        return max(0, math.ceil((now_s - self.start_s - self.lag_s - EPSILON_S) / self.period_s))

    def observed_s(self, step: int) -> float:
        """When `step` is observed."""
        return self.start_s + step * self.period_s

    def halfway_s(self, step: int) -> float:
        """Half a period before `step` is observed."""
        return self.observed_s(step) - self.period_s / 2

    def earlier(self, by_s: float) -> "Schedule":
        """All steps moved."""
        return replace(self, start_s=self.start_s - by_s)

    def ends_s(self, step: int) -> float:
        """When the action of `step` ceases to be in force."""
        return self.start_s + self.lag_s + (step + 1) * self.period_s

    def lead(self, latency_s: float) -> int:
        """How many steps pass before an answer that takes `latency_s` can be in force."""
        return max(0, math.ceil((latency_s - self.lag_s - EPSILON_S) / self.period_s))


class Plan:
    """The strategy of an attempt and what was executed of it, safe to use from several threads."""

    def __init__(self, make: Callable[[], Strategy], deltas: Deltas) -> None:
        self._make, self._deltas, self._lock = make, deltas, threading.Lock()
        self._executed: dict[int, np.ndarray] = {}
        self._strategy, self._is_new, self._since = make(), False, 0
        # The command rate asks many times in a step, and only a new chunk changes the answer.
        self._told: tuple[int, int, list[np.ndarray]] | None = None

    def forget(self, since: int) -> None:
        """Plan anew from nothing; a chunk that was made before step `since` is of no use any more."""
        with self._lock:
            self._strategy, self._is_new, self._since = self._make(), False, since
            self._executed.clear()
            self._told = None

    def wants(self, step: int, lead: int) -> bool:
        """See Strategy."""
        with self._lock:
            return self._strategy.wants(step, lead)

    def take(self, chunk: Chunk, now: int) -> None:
        """Add a chunk that can be in force from step `now` on.

        Where nothing was executed from its observation until now the robot stood still, and what the chunk
        says of that time is still to come.
        """
        with self._lock:
            if chunk.made_at < self._since:
                return
            missed = range(chunk.made_at, now)
            executed = [self._executed[step] for step in missed if step in self._executed]
            made_at, values = chunk.made_at, chunk.values
            if executed:
                values = self._deltas.carried(values, len(missed), np.sum(executed, axis=0))
            elif missed:
                made_at = now
            self._strategy.take(made_at, now, values)
            self._executed = {step: done for step, done in self._executed.items() if step >= now - 1}
            self._is_new, self._told = True, None

    def actions(self, step: int, at_most: int) -> list[np.ndarray]:
        """What is planned for `step` and those after it without a gap, `at_most` of them."""
        with self._lock:
            if self._told is None or self._told[:2] != (step, at_most):
                self._told = step, at_most, self._planned(step, at_most)
            found = self._told[2]
            if found:
                self._executed[step] = found[0]
        return found

    def ahead(self, step: int, at_most: int) -> list[np.ndarray]:
        """The same as `actions`, for somebody who does not execute them."""
        with self._lock:
            return self._planned(step, at_most)

    def _planned(self, step: int, at_most: int) -> list[np.ndarray]:
        found: list[np.ndarray] = []
        while len(found) < at_most:
            action = self._strategy.action(step + len(found))
            if action is None:
                break
            found.append(action)
        return found

    def is_new(self) -> bool:
        """Whether a chunk came since this was last asked."""
        with self._lock:
            found, self._is_new = self._is_new, False
        return found
