"""How long a training step of a given length waits for its batch: the idle share of its device."""

import time
from collections.abc import Iterator
from itertools import islice

from imitate.datasets.window_loader import WindowLoader
from imitate.types import Batch

STEPS_MS = (20, 50, 100, 200, 400)
"""Lengths of a step: of a small network on a large GPU to a ResNet-18 on a small one."""


def shares(source: WindowLoader, seconds: float) -> Iterator[tuple[int, float]]:
    """Length of the step in ms, and the share of the time in which it waited.

    The step only sleeps: like a GPU's it leaves the processor to those who prepare the next batch.
    """
    for step_ms in STEPS_MS:
        stream = source.stream()
        try:
            yield step_ms, _share(stream, step_ms / 1e3, seconds)
        finally:
            stream.close()


def _share(stream: Iterator[Batch], step_s: float, seconds: float) -> float:
    # The first batches are prepared while nothing learns yet; a run has thousands of others.
    for _ in islice(stream, 3):
        time.sleep(step_s)
    waited, began = 0.0, time.perf_counter()
    while time.perf_counter() - began < seconds:
        asked = time.perf_counter()
        next(stream)
        waited += time.perf_counter() - asked
        time.sleep(step_s)
    return waited / (time.perf_counter() - began)
