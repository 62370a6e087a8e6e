"""The numbers of the steps since the last row of the log, kept on the device until they are asked for."""

import math
import time
from collections.abc import Iterator

import torch
from torch import Tensor

# What tells that training has gone wrong, where a step has it.
WATCHED = ("loss", "grad_norm")


class NotFiniteError(ArithmeticError):
    """The scalar `name` of step `step` is NaN or infinite."""

    def __init__(self, step: int, name: str, value: float) -> None:
        super().__init__(f"step {step}: {name} is {value}")
        self.step, self.name, self.value = step, name, value


class Meter:
    """Collects the scalars of each step; a GPU is waited for only when they are read."""

    def __init__(self) -> None:
        self._rows: list[tuple[int, dict[str, Tensor]]] = []
        self._checked = 0
        self._seconds = 0.0
        self._waited = 0.0
        self._started = time.perf_counter()

    def __len__(self) -> int:
        return len(self._rows)

    def start(self) -> None:
        """Begin to time a step."""
        self._started = time.perf_counter()

    def fed(self) -> None:
        """The batch of the step is there: until now the step waited for it."""
        self._waited += time.perf_counter() - self._started

    def add(self, step: int, scalars: dict[str, Tensor]) -> None:
        """Keep what step number `step` gave."""
        self._rows.append((step, scalars))
        self._seconds += time.perf_counter() - self._started

    def require_finite(self) -> None:
        """Raise NotFiniteError for the first step, not yet looked at, with a loss or gradient that is not."""
        began = time.perf_counter()
        unchecked, self._checked = self._rows[self._checked :], len(self._rows)
        if unchecked and not bool(torch.stack([_sum(row) for _, row in unchecked]).isfinite().all()):
            raise next(_culprits(unchecked))
        # Here a GPU is waited for: the steps took this time as well.
        self._seconds += time.perf_counter() - began

    def means(self) -> dict[str, float]:
        """The mean of every scalar as "train/<name>", and the steps per second without what lay between.

        "train/data_wait" is the share of that time in which the step waited for its batch: at most so long
        was the device idle for want of data (a GPU may still have been at work on the step before).
        """
        rows = [row for _, row in self._rows]
        means = {name: float(torch.stack([row[name] for row in rows]).float().mean()) for name in rows[0]}
        speed = {
            "train/steps_per_s": len(rows) / self._seconds,
            "train/data_wait": self._waited / self._seconds,
        }
        return {f"train/{name}": value for name, value in means.items()} | speed


def _sum(row: dict[str, Tensor]) -> Tensor:
    return torch.stack([row[name] for name in WATCHED if name in row]).sum()


def _culprits(rows: list[tuple[int, dict[str, Tensor]]]) -> Iterator[NotFiniteError]:
    for step, row in rows:
        for name in (name for name in WATCHED if name in row):
            if not math.isfinite(float(row[name])):
                yield NotFiniteError(step, name, float(row[name]))
