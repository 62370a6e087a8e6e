"""Faults by known chances: what Benjamini and Hochberg choose, what counts as ordinary, which name wins."""

from dataclasses import fields, replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import false_discovery_control, norm

from imitate.curation.evidence import Evidence
from imitate.curation.faults import (
    DETOUR,
    EPISODES_PER_DEGREE,
    EXTRANEOUS,
    FALSE_SHARE,
    FAULTS,
    NOISY,
    SLOW,
    WRONG_STYLE,
    _beyond_chance,
    _larger,
    _Score,
    _standard,
    judge,
)

# The example of Benjamini and Hochberg (1995), section 4: at a share of 0.05, the first four are chosen.
THEIRS = (
    0.0001, 0.0004, 0.0019, 0.0095, 0.0201, 0.0278, 0.0298, 0.0344, 0.0459, 0.3240, 0.4262, 0.5719, 0.6528,
    0.7590, 1.0000,
)  # fmt: skip


def ordinary(seed: int, episodes: int = 60, spread: float = 0.25) -> Evidence:
    """Evidence as its null hypothesis has it: each number lognormal, and nobody strays."""
    generator = np.random.default_rng(seed)
    drawn = {field.name: np.exp(generator.normal(0.0, spread, episodes)) for field in fields(Evidence)}
    stays: dict[str, Any] = {
        "detour": np.full(episodes, 0.5 * DETOUR),
        "detour_start": np.zeros(episodes, int),
        "window": 10,
    }
    return Evidence(**{**drawn, **stays})


def changed(evidence: Evidence, episode: int, **factors: float) -> Evidence:
    """`evidence` with some numbers of one episode multiplied."""
    columns = {name: getattr(evidence, name).copy() for name in factors}
    for name, factor in factors.items():
        # From the middle, so that what the episode drew does not matter.
        columns[name][episode] = np.median(columns[name]) * factor
    return replace(evidence, **columns)


def test_the_example_of_the_paper() -> None:
    for order in (slice(None), slice(None, None, -1)):
        chance = np.array(THEIRS)[order]
        assert sorted(chance[_beyond_chance(chance, 0.05)]) == list(THEIRS[:4])


@given(st.lists(st.floats(1e-9, 1.0), min_size=1, max_size=40), st.floats(0.001, 0.3))
def test_the_choice_is_that_of_scipy(chances: list[float], share: float) -> None:
    adjusted = false_discovery_control(chances)
    clear = np.abs(adjusted - share) > 1e-9
    assert np.array_equal(_beyond_chance(np.array(chances), share)[clear], (adjusted <= share)[clear])


def test_many_of_one_kind_make_those_of_another_likelier() -> None:
    chances = np.full((2, 100), 0.5)
    chances[1, 0] = 0.002
    assert not _beyond_chance(chances, 0.05).any()
    chances[0, :20] = 1e-6
    assert _beyond_chance(chances, 0.05).sum(axis=1).tolist() == [20, 1]


def test_what_cannot_be_told_is_never_singled_out() -> None:
    known = _Score(np.array([9.0, np.nan, 0.0]), np.inf)
    assert _beyond_chance(known.chance, 0.05).tolist() == [True, False, False]
    assert not _beyond_chance(_Score(np.full(4, np.nan), 5.0).chance, 0.05).any()


def test_the_spread_is_as_uncertain_as_its_degrees_of_freedom_say() -> None:
    generator = np.random.default_rng(0)
    draws = generator.normal(size=(4000, 60))
    # The first value of each draw is not among those that count.
    counts = np.arange(61) > 0
    spread = [1.0 / np.ptp(_standard(np.append([1.0], one), counts, 1e-6).values[[0, 1]]) for one in draws]
    shown = np.array(spread) * np.abs(1.0 - draws[:, 0])
    assert shown.std() / shown.mean() == pytest.approx((EPISODES_PER_DEGREE / (2 * 60)) ** 0.5, rel=0.1)


def test_a_spread_of_few_makes_far_ones_likelier() -> None:
    few, many, fixed = (_Score(np.array([4.0]), degrees).chance[0] for degrees in (5.0, 50.0, np.inf))
    assert few > 10 * many > 10 * fixed == 10 * norm.sf(4.0)


def test_the_larger_of_two_is_larger_by_chance() -> None:
    draws = np.random.default_rng(0).normal(size=(2, 100_000))
    larger = _larger(*(_Score(one, np.inf) for one in draws))
    for share in (0.01, 0.1, 0.5):
        assert np.mean(larger.chance <= share) == pytest.approx(share, rel=0.3)
        assert np.mean(larger.chance <= share) <= share * 1.1
    assert larger.chance.max() == 1.0
    known = _larger(_Score(np.array([np.nan, np.nan]), 9.0), _Score(np.array([2.0, np.nan]), 5.0))
    assert known.values[0] == 2.0 and np.isnan(known.values[1]) and known.degrees == 5.0


def test_a_quarter_of_faults_does_not_hide_what_is_ordinary() -> None:
    values = np.random.default_rng(0).normal(5.0, 2.0, 4000)
    values[:1000] += 30.0
    score = _standard(values, np.ones(4000, bool), 0.01).values
    assert np.median(score[:1000]) > 8
    # The ordinary are shifted a little, since the faults stand among those that are counted.
    assert score[1000:].mean() == pytest.approx(0.0, abs=0.5)
    known = _standard(values, np.arange(4000) >= 1000, 0.01).values
    assert known[1000:].mean() == pytest.approx(0.0, abs=0.1)
    assert known[1000:].std() == pytest.approx(1.0, abs=0.1)


def test_small_differences_are_never_told_apart() -> None:
    values = np.log(np.linspace(1.0, 1.05, 50))
    assert np.abs(_standard(values, np.ones(50, bool), 0.2).values).max() < 0.5


@pytest.mark.parametrize(("episodes", "most"), [(15, 5 * FALSE_SHARE), (20, FALSE_SHARE), (60, FALSE_SHARE)])
def test_of_ordinary_sets_few_have_anyone_named(episodes: int, most: float) -> None:
    # Of fifteen more than is promised, since scores are sums of several with few degrees of freedom.
    named = [any(judge(ordinary(seed, episodes)).faults) for seed in range(60)]
    assert np.mean(named) <= most


@pytest.mark.parametrize(
    ("factors", "fault"),
    [
        ({"noise": 6.0}, NOISY),
        ({"deviation": 6.0}, WRONG_STYLE),
        ({"turning": 6.0}, WRONG_STYLE),
        # Who turns less than the others may only be slower, or better.
        ({"turning": 0.1}, ""),
        ({"peak": 6.0, "detour": 4.0}, EXTRANEOUS),
        # A surprising stretch that loses no time is another way to do it, and only its deviation can tell.
        ({"peak": 6.0}, ""),
        ({"excess": 3.0, "pace": 0.3}, SLOW),
        # Taking long at the usual pace is not slow.
        ({"excess": 3.0, "pace": 1.1}, ""),
        # The longer way of another style, which loses a little pace.
        ({"excess": 2.0, "pace": 0.9, "deviation": 20.0, "turning": 4.0}, WRONG_STYLE),
        # At half the pace everything is unlike the others.
        ({"excess": 2.0, "pace": 0.5, "deviation": 3.0}, SLOW),
        # Long because of a detour, at nearly the usual pace.
        ({"excess": 4.0, "pace": 0.8, "peak": 6.0, "detour": 4.0}, EXTRANEOUS),
        ({"noise": 6.0, "deviation": 6.0, "peak": 6.0, "detour": 4.0}, NOISY),
    ],
)
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_each_way_to_differ_has_its_name(factors: dict[str, float], fault: str, seed: int) -> None:
    judgement = judge(changed(ordinary(seed, spread=0.15), 17, **factors))
    assert judgement.faults[17] == fault
    if fault:
        assert judgement.badness[17] == judgement.badness.max() > 3
        assert judgement.scores[fault][17] > 3


def test_scores_do_not_depend_on_the_scale_of_the_numbers() -> None:
    one = ordinary(0)
    other = replace(one, noise=7 * one.noise, deviation=0.1 * one.deviation, pace=3 * one.pace)
    other = replace(other, turning=5 * one.turning)
    for fault in FAULTS:
        assert judge(one).scores[fault] == pytest.approx(judge(other).scores[fault])


def test_unknown_evidence_is_no_fault() -> None:
    evidence = ordinary(0)
    for name in vars(evidence).keys() - {"detour_start", "window"}:
        getattr(evidence, name)[3] = np.nan
    judgement = judge(evidence)
    assert judgement.faults[3] == "" and judgement.badness[3] == 0.0
    assert np.isfinite(judgement.badness).all()
