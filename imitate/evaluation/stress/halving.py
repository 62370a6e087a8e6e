"""The level of a perturbation at which success halves, with its interval.

Success is taken to fall with the size: the curve is the monotone one nearest to the rates (isotonic
regression, Barlow et al. 1972), straight between the sizes played. The interval is the percentile bootstrap
over seeds (Efron 1979); a seed is drawn with its outcomes at all sizes, since those belong together.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from imitate.evaluation.statistics import RESAMPLES

HALF = 0.5


@dataclass(frozen=True)
class Halving:
    """Where success is half of what it is without the perturbation; None stands for beyond `largest`.

    low and high are the 95 % interval of the level. Where the unperturbed policy never succeeds there is
    nothing to halve, and `is_defined` is False.
    """

    level: float | None
    low: float | None
    high: float | None
    largest: float
    is_defined: bool = True

    def to_json(self) -> dict[str, Any]:
        """Plain JSON values; None stands for beyond the largest size, or for undefined."""
        return {
            "level": self.level,
            "interval": [self.low, self.high],
            "largest": self.largest,
            "is_defined": self.is_defined,
        }


def halving(sizes: Sequence[float], outcomes: Sequence[Sequence[bool]]) -> Halving:
    """The level for `sizes` (S,), from 0 upwards, and `outcomes` (S, N) of the same N seeds at each."""
    won = np.asarray(outcomes, dtype=np.float64)
    at = np.asarray(sizes, dtype=np.float64)
    if not won[0].any():
        return Halving(None, None, None, float(at[-1]), is_defined=False)
    random = np.random.default_rng(0)
    rows = random.integers(0, won.shape[1], size=(RESAMPLES, won.shape[1]))
    rates = np.stack([row[rows].mean(axis=1) for row in won], axis=1)
    levels = np.sort(_levels(at, rates[rates[:, 0] > 0]))
    # Levels beyond the range are infinite, so quantiles are taken as levels that occurred.
    low, high = (levels[round(share * (len(levels) - 1))] for share in (0.025, 0.975))
    (level,) = _levels(at, won.mean(axis=1)[None])
    return Halving(_finite(level), _finite(low), _finite(high), float(at[-1]))


def _levels(sizes: np.ndarray, rates: np.ndarray) -> np.ndarray:
    """Where the curve of each row of rates (R, S) is at half of its first rate, (R,); infinite: nowhere."""
    falling = _falling(rates)
    half = HALF * rates[:, :1]
    below = falling <= half
    reached = below.any(axis=1)
    right = np.maximum(below.argmax(axis=1), 1)
    row = np.arange(len(rates))
    before, after = falling[row, right - 1], falling[row, right]
    # The curve is above half at the left end of this piece, so that it falls.
    share = (before - half[:, 0]) / np.where(reached, before - after, 1.0)
    between = sizes[right - 1] + share * (sizes[right] - sizes[right - 1])
    return np.where(reached, between, np.inf)


def _falling(rates: np.ndarray) -> np.ndarray:
    """The monotone falling rows nearest to `rates` (R, S) in squares.

    By the min-max formula: at place i the least, over starts a <= i, of the greatest, over ends b >= i, mean
    of the rates from a to b.
    """
    count = rates.shape[1]
    sums = np.concatenate([np.zeros((len(rates), 1)), np.cumsum(rates, axis=1)], axis=1)
    means = np.full((count, count, len(rates)), -np.inf)
    for a in range(count):
        for b in range(a, count):
            means[a, b] = (sums[:, b + 1] - sums[:, a]) / (b + 1 - a)
    fitted = [means[: i + 1, i:].max(axis=1).min(axis=0) for i in range(count)]
    return np.stack(fitted, axis=1)


def _finite(level: float) -> float | None:
    return float(level) if np.isfinite(level) else None
