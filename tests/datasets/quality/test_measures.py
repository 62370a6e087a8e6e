"""Facts that every measure must satisfy, on signals whose answer is known."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from imitate.datasets.quality.duplicates import exact_duplicates
from imitate.datasets.quality.features import standardize, state_features, vector_features
from imitate.datasets.quality.idle import idle_ends, step_speeds, still_threshold
from imitate.datasets.quality.ranges import dimension_ranges
from imitate.datasets.quality.smoothness import mean_squared_jerk
from imitate.types import ArraySpec


@given(st.lists(st.floats(-3, 3), min_size=4, max_size=4), st.floats(1, 100))
def test_jerk_of_a_cubic_is_its_third_derivative(coefficients: list[float], rate_hz: float) -> None:
    time = np.arange(50) / rate_hz
    values = np.polyval(coefficients, time)[:, None]
    expected = (6 * coefficients[0]) ** 2
    tolerance = 1e-6 * (1 + np.abs(values).max()) * rate_hz**3  # rounding, amplified by the differences
    assert mean_squared_jerk(values, rate_hz)[0] == pytest.approx(expected, rel=1e-3, abs=tolerance**2)


def test_jerk_of_white_noise_is_as_documented() -> None:
    noise = np.random.default_rng(0).normal(0, 0.1, (200_000, 1))
    assert mean_squared_jerk(noise, 10.0)[0] == pytest.approx(20 * 0.01 * 10**6, rel=0.03)


def test_jerk_needs_four_steps() -> None:
    assert np.isnan(mean_squared_jerk(np.zeros((3, 2)))).all()
    assert (mean_squared_jerk(np.zeros((4, 2))) == 0).all()


@given(st.integers(0, 20), st.integers(1, 20), st.integers(0, 20))
def test_idle_ends_are_found_exactly(before: int, moving: int, after: int) -> None:
    steps = np.concatenate([np.zeros(before), np.ones(moving), np.zeros(after)])
    positions = np.concatenate([[0.0], np.cumsum(steps)])[:, None]
    assert idle_ends(step_speeds(positions), 0.05) == (before, after)


def test_idle_throughout_counts_once() -> None:
    assert idle_ends(step_speeds(np.zeros((10, 3))), 0.05) == (9, 0)
    assert idle_ends(step_speeds(np.zeros((1, 3))), 0.05) == (0, 0)


def test_threshold_of_nothing_and_of_known_speeds() -> None:
    assert still_threshold([]) == 0.0
    assert still_threshold([np.full(50, 2.0), np.full(50, 2.0)]) == pytest.approx(0.1)


def test_ranges_tell_constant_switch_saturated_and_outside() -> None:
    generator = np.random.default_rng(0)
    free = generator.uniform(-1, 1, 1000)
    columns = [np.full(1000, 7.0), np.where(free > 0, 1.0, 0.0), np.clip(2 * free, -1, 1), free, 3 * free]
    spec = ArraySpec((5,), names=tuple("abcde"), units=("m",) * 5, low=(0,) * 5, high=(10, 1, 1, 1, 1))
    a, b, c, d, e = dimension_ranges(np.stack(columns, axis=1).astype(np.float32), spec, "action")
    assert a.is_constant and not a.is_saturated and not a.leaves_range
    assert b.is_two_valued and not b.is_saturated
    assert c.is_saturated and c.at_max == pytest.approx(0.25, abs=0.05)
    assert not (d.is_constant or d.is_two_valued or d.is_saturated)
    assert e.leaves_range and e.name == "e" and e.unit == "m"


def test_ranges_leave_out_what_is_not_finite() -> None:
    values = np.array([[1.0, np.nan], [3.0, np.nan], [np.inf, np.nan]])
    known, unknown = dimension_ranges(values, ArraySpec((2,)), "state")
    assert (known.min, known.max, known.mean, known.name) == (1.0, 3.0, 2.0, "state[0]")
    assert np.isnan(unknown.min) and not unknown.is_saturated


def test_float32_rounding_counts_as_constant() -> None:
    values = np.full((1000, 1), 512.0, np.float32)
    values[::2] = np.nextafter(np.float32(512), np.float32(513))
    assert dimension_ranges(values, ArraySpec((1,)), "x")[0].is_constant


@given(st.lists(st.sampled_from("abcd"), max_size=12))
def test_duplicates_point_at_the_first_and_leave_each_content_once(digests: list[str]) -> None:
    repeated = exact_duplicates(digests)
    for later, first in repeated.items():
        assert first < later and digests[first] == digests[later] and first not in repeated
    left = [d for i, d in enumerate(digests) if i not in repeated]
    assert sorted(left) == sorted(set(digests))


def test_features_join_both_ends_of_a_wrapping_angle() -> None:
    spec = ArraySpec((2,), circular=(1,))
    low, high = vector_features(np.array([[1.0, 1e-4], [1.0, 2 * np.pi - 1e-4]]), spec)
    assert np.allclose(low, high, atol=1e-3)
    image = ArraySpec((4, 4, 3), "uint8")
    obs = {"image": np.zeros((2, 4, 4, 3), np.uint8), "x": np.ones((2, 2))}
    assert state_features(obs, {"image": image, "x": spec}).shape == (2, 3)


def test_standardized_columns_have_unit_spread_and_constants_go() -> None:
    values = np.random.default_rng(0).normal([5, 0, 1], [2, 0, 1e-9], (500, 3))
    result = standardize(values)
    assert result.shape == (500, 1)
    assert result.mean() == pytest.approx(0, abs=1e-12) and result.std() == pytest.approx(1)
