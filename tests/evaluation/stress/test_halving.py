"""Levels with known answers."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.optimize import isotonic_regression

from imitate.evaluation.stress.halving import _falling, halving


def outcomes(*successes: int, seeds: int = 20) -> list[list[bool]]:
    return [[i < won for i in range(seeds)] for won in successes]


def test_the_level_is_interpolated() -> None:
    found = halving([0, 1, 2, 4], outcomes(20, 18, 14, 6))
    assert found.level == pytest.approx(3.0)  # from 0.7 at 2 to 0.3 at 4
    assert found.low is not None and found.high is not None
    assert 2 <= found.low < 3.0 < found.high <= 4


def test_half_is_half_of_the_unperturbed_rate() -> None:
    assert halving([0, 1, 2], outcomes(10, 10, 0)).level == pytest.approx(1.5)


def test_never_within_the_range() -> None:
    found = halving([0, 1, 2], outcomes(20, 20, 18))
    assert (found.level, found.low, found.high, found.largest) == (None, None, None, 2.0)


def test_the_upper_end_may_lie_beyond_the_range() -> None:
    found = halving([0, 1, 2], outcomes(20, 16, 10))
    assert found.level == pytest.approx(2.0)
    assert found.low is not None and found.high is None


def test_nothing_to_halve() -> None:
    assert not halving([0, 1], outcomes(0, 0)).is_defined


def test_an_accidental_dip_is_no_level() -> None:
    assert halving([0, 1, 2, 3], outcomes(20, 9, 20, 20)).level is None


@given(st.lists(st.lists(st.floats(0, 1), min_size=5, max_size=5), min_size=1, max_size=4))
def test_the_curve_is_isotonic_regression(rates: list[list[float]]) -> None:
    fitted = _falling(np.array(rates))
    for row, own in zip(rates, fitted, strict=True):
        assert np.allclose(own, isotonic_regression(row, increasing=False).x, atol=1e-9)


def test_the_interval_covers_the_level_as_often_as_it_says() -> None:
    rng = np.random.default_rng(0)
    sizes, chances = [0.0, 1.0, 2.0, 3.0], np.array([0.9, 0.7, 0.35, 0.1])  # 0.45 lies between 1 and 2
    true = 1.0 + 0.25 / 0.35
    hits = 0
    for _ in range(60):
        # One hardness per seed, so that outcomes at different sizes belong together.
        found = halving(sizes, (rng.random(50)[None] < chances[:, None]).tolist())
        hits += (found.low or 0.0) <= true <= (found.high or np.inf)
    assert hits >= 52
