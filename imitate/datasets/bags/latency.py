"""How much later one signal moves than another, by cross-correlation of their velocities."""

import math
from collections.abc import Sequence

import numpy as np

LONGEST_S = 2.0
MOST_LAGS = 400
LEAST_CORRELATION = 0.3
LEAST_DEVIATIONS = 4.0
"""Standard deviations of a correlation by chance (1 / sqrt(n)): the best of many lags is looked at."""
FEWEST_STEPS = 8


def motion_lag(
    seen: Sequence[np.ndarray], done: Sequence[np.ndarray], rate_hz: float
) -> tuple[float, float] | None:
    """How much later `seen` moves than `done`, in s, and the correlation there; None where it is not clear.

    seen, done: a pair (T, D), (T, d) per episode, at rate_hz. Element by element where D = d, else by the
    speed over all elements. Within a step by a parabola through the three best lags.
    """
    pairs = [_velocities(s, d) for s, d in zip(seen, done, strict=True) if len(s) > FEWEST_STEPS]
    if not pairs:
        return None
    limit = min(int(LONGEST_S * rate_hz), MOST_LAGS // 2, max(len(s) for s, _ in pairs) // 3)
    lags = np.arange(-limit, limit + 1)
    scores = np.array([_correlation(pairs, int(lag)) for lag in lags])
    best = int(np.argmax(scores))
    steps = sum(len(s) for s, _ in pairs)
    if not scores[best] >= max(LEAST_CORRELATION, LEAST_DEVIATIONS / math.sqrt(steps)):
        return None
    return (lags[best] + _between(scores, best)) / rate_hz, float(scores[best])


def _velocities(seen: np.ndarray, done: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Both (T - 1, n), each element with mean 0 and norm 1."""
    changes = [np.diff(values, axis=0) for values in (seen, done)]
    if seen.shape != done.shape:
        changes = [
            np.linalg.norm(change / (change.std(axis=0) + 1e-12), axis=1)[:, None] for change in changes
        ]
    first, second = ((change - change.mean(axis=0)) for change in changes)
    return _normed(first), _normed(second)


def _normed(values: np.ndarray) -> np.ndarray:
    norms = np.linalg.norm(values, axis=0)
    return np.where(norms > 1e-12, values / np.where(norms > 1e-12, norms, 1.0), 0.0)


def _correlation(pairs: Sequence[tuple[np.ndarray, np.ndarray]], lag: int) -> float:
    """Mean over episodes and moving elements, of what was done and what is seen `lag` steps later."""
    total = count = 0.0
    for seen, done in pairs:
        steps = len(seen) - abs(lag)
        if steps < FEWEST_STEPS:
            continue
        first, second = seen[max(lag, 0) :][:steps], done[max(-lag, 0) :][:steps]
        total += float((first * second).sum())
        count += float((seen.any(axis=0) & done.any(axis=0)).sum())
    return total / count if count else 0.0


def _between(scores: np.ndarray, best: int) -> float:
    if not 0 < best < len(scores) - 1:
        return 0.0
    left, middle, right = scores[best - 1 : best + 2]
    bend = left - 2.0 * middle + right
    return float(np.clip(0.5 * (left - right) / bend, -0.5, 0.5)) if bend < 0 else 0.0
