"""Which demonstrations differ from the rest beyond chance, and in what way.

What is ordinary is learnt from the data itself: the logarithm of a number that most episodes share is taken
as normal, with the mean and spread that its lower, undisturbed part shows (an empirical null: Efron, "Large-
Scale Simultaneous Hypothesis Testing", J. Am. Stat. Assoc. 99, 2004). Episodes are then singled out so that
only a small share of those singled out is expected to be ordinary (Benjamini & Hochberg, J. R. Stat. Soc. B
57, 1995). In a set of uniformly good demonstrations nothing is, except with that small probability.
"""

from dataclasses import dataclass

import numpy as np
from scipy.stats import norm

from imitate.curation.evidence import Evidence

NOISY, SLOW, EXTRANEOUS, WRONG_STYLE = "noisy", "slow", "extraneous segment", "wrong style"
FAULTS = (NOISY, SLOW, EXTRANEOUS, WRONG_STYLE)
"""The most specific first: noise disturbs everything, and what is slow or strays is also of another style."""

FALSE_SHARE = 0.05
"""Expected share of ordinary episodes among those singled out, over all four kinds together."""
LOW, MIDDLE = 0.16, 0.5
"""Quantiles between which the ordinary shows: what is not yet known as faulty lies above."""
LEAST_SPREAD, LEAST_SPREAD_OF_TIME = 0.2, 0.1
"""Of logarithms: differences of less than about a fifth are never told apart, of times a tenth."""
ROUNDS = 4
FEW, FAR = 0.05, 6.0
"""Up to this share of odd episodes is what nearly normal numbers give by themselves: then only those as many
standard deviations away are named."""
DETOUR = 1.7
"""Of Evidence.detour, from which a surprising stretch is an excursion and not another way to do it."""


@dataclass(frozen=True)
class Judgement:
    """scores: {fault: (E,)} standard deviations from the ordinary, NaN where it cannot be told; faults: of
    each episode the name of one, "" for none; badness: (E,) the largest score, at least 0.
    """

    scores: dict[str, np.ndarray]
    faults: tuple[str, ...]
    badness: np.ndarray


def judge(evidence: Evidence) -> Judgement:
    """Score every episode in the four ways and name the faults that are beyond chance."""
    faults = np.full(len(evidence.noise), "", dtype=object)
    scores: dict[str, np.ndarray] = {}
    # What is already known to be faulty no longer tells what is ordinary.
    for _ in range(ROUNDS):
        measured = _Measured.of(evidence, faults == "")
        scores = measured.scores
        faults = _named(evidence, measured)
    worst = np.nanmax(np.vstack([np.zeros(len(faults)), *scores.values()]), axis=0)
    if np.mean(faults != "") <= FEW:
        faults[worst < FAR] = ""
    return Judgement(scores, tuple(str(name) for name in faults), worst)


@dataclass(frozen=True)
class _Measured:
    """Standard deviations from the ordinary, all (E,); long: of its length, sluggish: of its lack of pace."""

    long: np.ndarray
    sluggish: np.ndarray
    scores: dict[str, np.ndarray]

    @classmethod
    def of(cls, evidence: Evidence, ordinary: np.ndarray) -> "_Measured":
        def score(values: np.ndarray, least_spread: float = LEAST_SPREAD) -> np.ndarray:
            return _standard(np.log(np.maximum(values, 1e-9)), ordinary, least_spread)

        long = score(evidence.excess, LEAST_SPREAD_OF_TIME)
        sluggish = score(1.0 / np.maximum(evidence.pace, 1e-6), LEAST_SPREAD_OF_TIME)
        least = np.minimum(long, sluggish)
        scores = {
            NOISY: score(evidence.noise),
            # Who takes long and moves slowly; taking long alone may come from a detour.
            SLOW: np.where(least > 0, (long + sluggish) / np.sqrt(2.0), least),
            EXTRANEOUS: score(evidence.peak),
            # Two views of the same: by networks that generalise, and by the nearest demonstrations.
            WRONG_STYLE: _standard(score(evidence.deviation) + score(evidence.divergence), ordinary, 1.0),
        }
        return cls(long, sluggish, scores)


def _named(evidence: Evidence, measured: _Measured) -> np.ndarray:
    beyond = {
        fault: _beyond_chance(score, FALSE_SHARE / len(FAULTS)) for fault, score in measured.scores.items()
    }
    strays = beyond[EXTRANEOUS] & (evidence.detour >= DETOUR)
    # Of an episode that is long because of a detour, the pace is nearly the usual one.
    creeps = beyond[SLOW] & ~(strays & (measured.sluggish < measured.long))
    faults = np.full(len(evidence.noise), "", dtype=object)
    faults[beyond[WRONG_STYLE]] = WRONG_STYLE
    faults[strays] = EXTRANEOUS
    faults[creeps] = SLOW
    faults[beyond[NOISY]] = NOISY
    return faults


def _standard(values: np.ndarray, ordinary: np.ndarray, least_spread: float) -> np.ndarray:
    known = values[ordinary & np.isfinite(values)]
    if len(known) < 3:
        return np.full(len(values), np.nan)
    low, middle = np.quantile(known, (LOW, MIDDLE))
    spread = max(least_spread, float(middle - low) / float(norm.ppf(MIDDLE) - norm.ppf(LOW)))
    centre = middle - spread * norm.ppf(MIDDLE)
    return np.asarray((values - centre) / spread)


def _beyond_chance(score: np.ndarray, share: float) -> np.ndarray:
    """Which of `score` (E,), standard normal where ordinary, to single out: (E,) bool."""
    chance = np.where(np.isfinite(score), norm.sf(score), 1.0)
    order = np.argsort(chance, kind="stable")
    passing = np.flatnonzero(chance[order] <= share * np.arange(1, len(score) + 1) / len(score))
    chosen = np.zeros(len(score), bool)
    if len(passing):
        chosen[order[: passing[-1] + 1]] = True
    return chosen
