"""Figures over runs and tasks against answers worked out by hand, and by simulation."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from imitate.evaluation.aggregates import (
    improvement,
    improvement_interval,
    interquartile_mean,
    interval_of,
    mean,
    value_of,
)

VALUES = st.lists(st.floats(-10, 10), min_size=1, max_size=12)


def iqm(*tasks: list[float]) -> float:
    return value_of(interquartile_mean, tasks)


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([3.0], 3.0),
        ([1.0, 2.0, 6.0], 3.0),  # floor(3 / 4) = 0 are cut
        ([0.0, 1.0, 2.0, 100.0], 1.5),
        ([9.0, 0.0, 1.0, 2.0, 3.0, 4.0, 5.0, -50.0], 2.5),  # -50, 0 and 5, 9 are cut
    ],
)
def test_the_interquartile_mean_of_values_that_one_can_check(values: list[float], expected: float) -> None:
    assert iqm(values) == pytest.approx(expected)
    assert iqm(values[:1], values[1:]) == pytest.approx(expected) if len(values) > 1 else True


@given(VALUES, st.floats(0.1, 3), st.floats(-5, 5))
def test_it_moves_and_scales_with_its_values_and_stays_between_them(
    values: list[float], scale: float, shift: float
) -> None:
    found = iqm(values)
    assert min(values) - 1e-9 <= found <= max(values) + 1e-9
    assert iqm([scale * v + shift for v in values]) == pytest.approx(scale * found + shift, abs=1e-6)
    assert iqm(values[::-1]) == pytest.approx(found, abs=1e-9)


def test_one_wild_run_moves_the_mean_and_not_the_interquartile_mean() -> None:
    calm = [0.4, 0.45, 0.5, 0.55, 0.6]
    wild = [*calm[:-1], 100.0]
    assert iqm(wild) == pytest.approx(iqm(calm))
    assert value_of(mean, [wild]) > value_of(mean, [calm]) + 10


def test_probability_of_improvement_by_counting() -> None:
    a, b = [np.array([1.0, 2.0]), np.array([5.0])], [np.array([1.0, 0.0]), np.array([6.0])]
    # Task 1: 1>1 is a tie, 1>0, 2>1, 2>0: 3.5 of 4. Task 2: 0 of 1.
    assert float(improvement(a, b)) == pytest.approx((3.5 / 4 + 0) / 2)
    assert float(improvement(b, a)) == pytest.approx(1 - (3.5 / 4) / 2)


@given(VALUES, VALUES)
def test_one_of_two_is_better_or_they_tie(a: list[float], b: list[float]) -> None:
    first, second = [np.array(a)], [np.array(b)]
    assert float(improvement(first, second) + improvement(second, first)) == pytest.approx(1.0)
    assert float(improvement(first, first)) == pytest.approx(0.5)


def test_intervals_are_the_same_every_time_and_hold_their_figure() -> None:
    runs = [[0.2, 0.5, 0.3, 0.4], [0.9, 0.8, 0.85]]
    found = interval_of(interquartile_mean, runs)
    assert found == interval_of(interquartile_mean, runs)
    assert found[0] < value_of(interquartile_mean, runs) < found[1]
    low, high = improvement_interval(runs, [[0.1, 0.2, 0.1], [0.7, 0.6]])
    assert 0.5 < low <= high <= 1.0


def test_figures_are_those_of_rliable() -> None:
    """The package of Agarwal et al., rliable 1.2.0, on the same seven tasks of five runs each, 2026-11-22.

    Its intervals come from other draws: 10,000 (interquartile mean) and 2,000 (improvement) resamples.
    """
    random = np.random.default_rng(3)
    a = random.uniform(0, 1, (5, 7))
    b = np.round(np.clip(0.9 * a + random.normal(0, 0.1, (5, 7)), 0, 1), 1)
    ours, others = np.round(a, 1).T, b.T
    assert value_of(interquartile_mean, ours) == pytest.approx(0.4736842105263157)
    assert value_of(mean, ours) == pytest.approx(0.47428571428571425)
    assert float(improvement(list(ours), list(others))) == pytest.approx(0.5828571428571429)
    assert interval_of(interquartile_mean, ours) == pytest.approx((0.35789474, 0.58421053), abs=0.008)
    assert improvement_interval(ours, others) == pytest.approx((0.4485, 0.71435714), abs=0.008)


def test_each_task_is_resampled_by_itself() -> None:
    # Were runs drawn across tasks, the mean of two constant tasks would vary.
    assert interval_of(mean, [[0.0, 0.0, 0.0], [1.0, 1.0, 1.0]]) == (0.5, 0.5)


def test_one_run_per_task_has_no_interval() -> None:
    assert interval_of(interquartile_mean, [[0.5], [0.7]]) is None
    assert improvement_interval([[0.5]], [[0.7]]) is None
    assert improvement_interval([[0.5, 0.6]], [[0.7]]) is not None


def test_the_bootstrap_has_the_known_spread_of_a_mean() -> None:
    values = np.random.default_rng(0).normal(size=400)
    low, high = interval_of(mean, [values.tolist()])
    assert (high - low) / 2 == pytest.approx(1.96 * values.std() / 20, rel=0.03)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("tasks", "runs", "covered"), [(1, 3, 0.77), (1, 5, 0.89), (1, 10, 0.95), (10, 3, 0.88), (10, 5, 0.93)]
)
def test_how_often_intervals_hold_the_truth(tasks: int, runs: int, covered: float) -> None:
    """Runs are normal about a centre of their task; the truth is the figure of very many of them.

    The documentation gives these figures: three runs of one task are too few to resample.
    """
    random = np.random.default_rng(1)
    centres = random.uniform(0.2, 0.8, tasks)

    def draw(count: int) -> list[list[float]]:
        return [random.normal(centre, 0.1, count).tolist() for centre in centres]

    truth = iqm(*draw(200_000 // tasks))
    found = [interval_of(interquartile_mean, draw(runs)) for _ in range(200)]
    assert np.mean([low <= truth <= high for low, high in found]) == pytest.approx(covered, abs=0.06)
