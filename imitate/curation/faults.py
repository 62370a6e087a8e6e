"""Which demonstrations differ from the rest beyond chance, and in what way.

What is ordinary is learnt from the data itself: the logarithm of a number that most episodes share is taken
as normal, with the mean and spread that its lower, undisturbed part shows (an empirical null: Efron, "Large-
Scale Simultaneous Hypothesis Testing", J. Am. Stat. Assoc. 99, 2004). The spread that few episodes show is
uncertain itself, so that chances are Student's. Episodes are then singled out so that only a small share of
those singled out is expected to be ordinary (Benjamini & Hochberg, J. R. Stat. Soc. B 57, 1995). In a set of
uniformly good demonstrations nothing is, except with that small probability.
"""

from dataclasses import dataclass

import numpy as np
from scipy.stats import norm
from scipy.stats import t as student

from imitate.curation.evidence import Evidence

NOISY, SLOW, EXTRANEOUS, WRONG_STYLE = "noisy", "slow", "extraneous segment", "wrong style"
FAULTS = (NOISY, SLOW, EXTRANEOUS, WRONG_STYLE)
"""The most specific first: noise disturbs everything, and what is slow or strays is also of another style."""

FALSE_SHARE = 0.03
"""Expected share of ordinary episodes among those singled out, over all four kinds together."""
LOW, MIDDLE = 0.16, 0.5
"""Quantiles between which the ordinary shows: what is not yet known as faulty lies above."""
EPISODES_PER_DEGREE = 4.43
"""Episodes for each degree of freedom of a spread taken from these two quantiles, p and q, of N values.

With f the normal density, its relative variance is 2.22 / N (Mosteller, Ann. Math. Stat. 17, 1946), from
[p(1-p)/f(p)² + q(1-q)/f(q)² - 2p(1-q)/(f(p)f(q))] / (z(q) - z(p))² / N.
With d degrees of freedom it is 1 / 2d.
"""
LEAST_SPREAD, LEAST_SPREAD_OF_TIME = 0.2, 0.1
"""Of logarithms: differences of less than about a fifth are never told apart, of times a tenth."""
ROUNDS = 4
FEW, FAR = 0.05, 6.0
"""Up to this share of odd episodes is what nearly normal numbers give by themselves: then only those as many
standard deviations away are named."""
BENT = 3.0
"""Times as odd a way as it is slow: from there on an episode is of another style, which takes longer."""
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
        scores = {fault: score.values for fault, score in measured.scores.items()}
        faults = _named(evidence, measured)
    worst = np.nanmax(np.vstack([np.zeros(len(faults)), *scores.values()]), axis=0)
    if np.mean(faults != "") <= FEW:
        faults[worst < FAR] = ""
    return Judgement(scores, tuple(str(name) for name in faults), worst)


@dataclass(frozen=True)
class _Score:
    """Standard deviations from the ordinary, (E,), and how many degrees of freedom that deviation has.

    tests: of how many such numbers these are the largest.
    """

    values: np.ndarray
    degrees: float
    tests: int = 1

    @property
    def chance(self) -> np.ndarray:
        """How likely an ordinary episode is to have so large a score, (E,); 1 where it cannot be told."""
        law = student(self.degrees) if np.isfinite(self.degrees) else norm
        # By chance the largest of several is so large at most as many times as often (Bonferroni).
        chance = np.minimum(1.0, self.tests * law.sf(self.values))
        return np.where(np.isfinite(self.values), chance, 1.0)


@dataclass(frozen=True)
class _Measured:
    """long: how far its length is from the ordinary, sluggish: its lack of pace."""

    long: _Score
    sluggish: _Score
    scores: dict[str, _Score]

    @classmethod
    def of(cls, evidence: Evidence, ordinary: np.ndarray) -> "_Measured":
        def score(values: np.ndarray, least_spread: float = LEAST_SPREAD) -> _Score:
            return _standard(np.log(np.maximum(values, 1e-9)), ordinary, least_spread)

        long = score(evidence.excess, LEAST_SPREAD_OF_TIME)
        sluggish = score(1.0 / np.maximum(evidence.pace, 1e-6), LEAST_SPREAD_OF_TIME)
        least = np.minimum(long.values, sluggish.values)
        # Who takes long and moves slowly; taking long alone may come from a detour.
        both = np.where(least > 0, (long.values + sluggish.values) / np.sqrt(2.0), least)
        # Two views of the same: by networks that generalise, and by the nearest demonstrations.
        views = score(evidence.deviation).values + score(evidence.divergence).values
        acts, turns = _standard(views, ordinary, 1.0), score(evidence.turning)
        scores = {
            NOISY: score(evidence.noise),
            SLOW: _Score(both, _degrees_of_sum(long.degrees, sluggish.degrees)),
            EXTRANEOUS: score(evidence.peak),
            WRONG_STYLE: _larger(acts, turns),
        }
        return cls(long, sluggish, scores)


def _named(evidence: Evidence, measured: _Measured) -> np.ndarray:
    chances = np.stack([score.chance for score in measured.scores.values()])
    beyond = dict(zip(measured.scores, _beyond_chance(chances, FALSE_SHARE), strict=True))
    strays = beyond[EXTRANEOUS] & (evidence.detour >= DETOUR)
    # Of an episode that is long because of a detour, the pace is nearly the usual one.
    creeps = beyond[SLOW] & ~(strays & (measured.sluggish.values < measured.long.values))
    creeps &= BENT * measured.scores[SLOW].values > measured.scores[WRONG_STYLE].values
    faults = np.full(len(evidence.noise), "", dtype=object)
    faults[beyond[WRONG_STYLE]] = WRONG_STYLE
    faults[strays] = EXTRANEOUS
    faults[creeps] = SLOW
    faults[beyond[NOISY]] = NOISY
    return faults


def _standard(values: np.ndarray, ordinary: np.ndarray, least_spread: float) -> _Score:
    known = values[ordinary & np.isfinite(values)]
    if len(known) < 3:
        return _Score(np.full(len(values), np.nan), np.inf)
    low, middle = np.quantile(known, (LOW, MIDDLE))
    shown = float(middle - low) / float(norm.ppf(MIDDLE) - norm.ppf(LOW))
    spread = max(least_spread, shown)
    centre = middle - spread * norm.ppf(MIDDLE)
    # A spread that is set, because the data shows less, is not uncertain.
    degrees = len(known) / EPISODES_PER_DEGREE if shown > least_spread else np.inf
    return _Score(np.asarray((values - centre) / spread), max(1.0, degrees))


def _larger(a: _Score, b: _Score) -> _Score:
    return _Score(np.fmax(a.values, b.values), min(a.degrees, b.degrees), tests=2)


def _degrees_of_sum(a: float, b: float) -> float:
    """Degrees of freedom of the sum of two scores of about the same size: errors add up (Welch 1947)."""
    inverse = (1.0 / a + 1.0 / b) / 4.0
    return 1.0 / inverse if inverse else np.inf


def _beyond_chance(chances: np.ndarray, share: float) -> np.ndarray:
    """Which to single out of the `chances` that they are ordinary, of any shape: bool of that shape."""
    known = np.sort(chances, axis=None)
    passing = np.flatnonzero(known <= share * np.arange(1, known.size + 1) / known.size)
    least = known[passing[-1]] if len(passing) else -1.0
    return np.asarray(chances <= least)
