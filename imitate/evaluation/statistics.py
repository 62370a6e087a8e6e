"""Intervals and tests for the outcomes of rollouts. Every interval is at the 95 % level."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

Interval = tuple[float, float]

Z = 1.959963984540054
"""The 97.5 % quantile of the standard normal distribution."""

RESAMPLES = 10_000


def wilson(successes: int, trials: int) -> Interval:
    """The score interval of a success rate (Wilson 1927), which stays right near 0 and 1."""
    rate, shrink = successes / trials, 1 + Z**2 / trials
    centre = (rate + Z**2 / (2 * trials)) / shrink
    half = Z * math.sqrt(rate * (1 - rate) / trials + Z**2 / (4 * trials**2)) / shrink
    # The bounds at 0 and n successes are exactly 0 and 1; rounding must not exclude the rate itself.
    return max(0.0, min(rate, centre - half)), min(1.0, max(rate, centre + half))


def mean_interval(values: Sequence[float]) -> Interval:
    """The percentile bootstrap interval of a mean (Efron 1979), the same for the same values."""
    array = np.asarray(values, dtype=np.float64)
    random = np.random.default_rng(0)
    means = np.empty(RESAMPLES)
    for start in range(0, RESAMPLES, 1000):
        drawn = random.integers(0, len(array), size=(1000, len(array)))
        means[start : start + 1000] = array[drawn].mean(axis=1)
    low, high = np.quantile(means, (0.025, 0.975))
    return float(low), float(high)


@dataclass(frozen=True)
class PairedRates:
    """Success of two policies on the same seeds, as counts of pairs."""

    both: int
    only_a: int
    only_b: int
    neither: int

    @classmethod
    def count(cls, a: Sequence[bool], b: Sequence[bool]) -> "PairedRates":
        """Count the pairs of two equally long lists of outcomes."""
        pairs = list(zip(a, b, strict=True))
        kinds = [(True, True), (True, False), (False, True), (False, False)]
        return cls(*(pairs.count(kind) for kind in kinds))

    @property
    def pairs(self) -> int:
        """How many seeds there are."""
        return self.both + self.only_a + self.only_b + self.neither

    @property
    def difference(self) -> float:
        """Success rate of b minus that of a."""
        return (self.only_b - self.only_a) / self.pairs

    def interval(self) -> Interval:
        """The interval of `difference`: method 10 of Newcombe (1998), Statistics in Medicine 17:2635-2650.

        It joins the two Wilson intervals, taking account of the correlation phi between the outcomes.
        """
        a_wins, b_wins = self.both + self.only_a, self.both + self.only_b
        rate_a, rate_b = a_wins / self.pairs, b_wins / self.pairs
        (low_a, high_a), (low_b, high_b) = wilson(a_wins, self.pairs), wilson(b_wins, self.pairs)
        phi = self._correlation()
        below = _joined(rate_b - low_b, high_a - rate_a, phi)
        above = _joined(high_b - rate_b, rate_a - low_a, phi)
        return self.difference - below, self.difference + above

    def _correlation(self) -> float:
        wins_a, wins_b = self.both + self.only_a, self.both + self.only_b
        scale = math.sqrt(wins_a * (self.pairs - wins_a) * wins_b * (self.pairs - wins_b))
        product: float = self.both * self.neither - self.only_a * self.only_b
        if product > 0:
            product = max(0.0, product - self.pairs / 2)  # Newcombe's continuity correction
        return product / scale if scale else 0.0

    def p_value(self) -> float:
        """McNemar's exact test (McNemar 1947), two-sided.

        How likely so uneven a split of the pairs that differ is by chance: when both policies are equally
        good, either wins such a pair with probability 1/2.
        """
        differing = self.only_a + self.only_b
        tail = sum(math.comb(differing, wins) for wins in range(min(self.only_a, self.only_b) + 1))
        return min(1.0, 2 * tail / 2**differing)


def _joined(x: float, y: float, phi: float) -> float:
    # Rounding can make the square of an equal pair slightly negative.
    return math.sqrt(max(0.0, x * x - 2 * phi * x * y + y * y))
