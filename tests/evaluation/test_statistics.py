"""Facts about the intervals and tests."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from imitate.evaluation.statistics import PairedRates, mean_interval, wilson

counts = st.integers(1, 400).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n)))
tables = st.tuples(*[st.integers(0, 40)] * 4).filter(any).map(lambda cells: PairedRates(*cells))


@given(counts)
def test_wilson_agrees_with_scipy(count: tuple[int, int]) -> None:
    expected = stats.binomtest(*count).proportion_ci(0.95, "wilson")
    assert wilson(*count) == pytest.approx((expected.low, expected.high), abs=1e-12)


@given(counts)
def test_wilson_holds_the_rate_and_mirrors(count: tuple[int, int]) -> None:
    wins, trials = count
    low, high = wilson(wins, trials)
    assert 0 <= low <= wins / trials <= high <= 1
    assert low < high
    assert wilson(trials - wins, trials) == pytest.approx((1 - high, 1 - low))


def test_wilson_covers_the_true_rate_about_95_of_100_times() -> None:
    trials, rate = 50, 0.9
    chances = stats.binom.pmf(range(trials + 1), trials, rate)
    covered = [wilson(wins, trials)[0] <= rate <= wilson(wins, trials)[1] for wins in range(trials + 1)]
    assert 0.93 < chances @ covered < 0.98


def test_bootstrap_agrees_with_the_normal_interval_of_a_large_sample() -> None:
    values = np.random.default_rng(3).normal(2.0, 1.0, 400)
    half = 1.96 * values.std() / 20
    assert mean_interval(values) == pytest.approx((values.mean() - half, values.mean() + half), abs=0.01)


def test_bootstrap_repeats_and_is_a_point_for_equal_values() -> None:
    assert mean_interval([0.1, 0.5, 0.9]) == mean_interval([0.1, 0.5, 0.9])
    assert mean_interval([0.25] * 7) == (0.25, 0.25)


def test_pairs_are_counted_by_kind() -> None:
    a, b = [True, True, True, False, False], [True, False, False, True, False]
    assert PairedRates.count(a, b) == PairedRates(both=1, only_a=2, only_b=1, neither=1)


def test_paired_interval_of_the_published_example() -> None:
    # Newcombe 1998, cells 36, 12, 2, 0: method 10 gives 0.0569 to 0.3404 for the first rate minus the second.
    low, high = PairedRates(both=36, only_a=2, only_b=12, neither=0).interval()
    assert (low, high) == pytest.approx((0.0569, 0.3404), abs=5e-5)


@given(tables)
def test_paired_interval_holds_the_difference_and_mirrors(rates: PairedRates) -> None:
    low, high = rates.interval()
    assert -1 <= low <= rates.difference <= high <= 1
    swapped = PairedRates(rates.both, rates.only_b, rates.only_a, rates.neither)
    assert swapped.interval() == pytest.approx((-high, -low), abs=1e-9)
    assert swapped.p_value() == rates.p_value()


@given(tables)
def test_mcnemar_is_the_binomial_test_of_the_pairs_that_differ(rates: PairedRates) -> None:
    differing = rates.only_a + rates.only_b
    expected = stats.binomtest(rates.only_a, differing).pvalue if differing else 1.0
    assert rates.p_value() == pytest.approx(expected)


@pytest.mark.parametrize("only_a", [0, 5])
def test_an_interval_far_from_zero_goes_with_a_small_p(only_a: int) -> None:
    rates = PairedRates(both=20, only_a=only_a, only_b=only_a + 25, neither=10)
    assert rates.interval()[0] > 0
    assert rates.p_value() < 0.001
