"""Steps at the start and the end of a demonstration in which nothing moves."""

from collections.abc import Sequence

import numpy as np

# Slower than this share of fast motion counts as standing still.
STILL_SHARE = 0.05
FAST_QUANTILE = 0.9


def step_speeds(features: np.ndarray) -> np.ndarray:
    """Root mean square change of standardised features (T, F) from each step to the next, (T - 1,)."""
    if features.shape[1] == 0:
        return np.zeros(max(0, len(features) - 1))
    return np.sqrt(np.mean(np.diff(features, axis=0) ** 2, axis=1))


def still_threshold(speeds: Sequence[np.ndarray]) -> float:
    """The speed below which a step is idle: 5 % of the 90th percentile of all speeds of the data set."""
    everything = np.concatenate([np.empty(0), *speeds])
    return STILL_SHARE * float(np.quantile(everything, FAST_QUANTILE)) if len(everything) else 0.0


def idle_ends(speeds: np.ndarray, threshold: float) -> tuple[int, int]:
    """Numbers of idle steps before the first and after the last motion of one episode's `speeds` (T - 1,).

    An episode in which nothing ever moves is idle at the start throughout: (T - 1, 0).
    """
    moving = np.flatnonzero(speeds > threshold)
    if not len(moving):
        return len(speeds), 0
    return int(moving[0]), int(len(speeds) - 1 - moving[-1])
