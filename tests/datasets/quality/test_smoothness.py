"""Spectral arc length on movements whose smoothness is known (jerk: see test_measures)."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from imitate.datasets.quality.smoothness import spectral_arc_length, speed_profile


def reach(rate_hz: float, seconds: float = 1.0) -> np.ndarray:
    """The speed of a minimum-jerk reach (Flash & Hogan 1985)."""
    time = np.arange(round(rate_hz * seconds) + 1) / (rate_hz * seconds)
    return 30 * time**2 - 60 * time**3 + 30 * time**4


def test_a_minimum_jerk_reach_scores_what_the_definition_says() -> None:
    # Directly: V(f) by integration in continuous time, the arc by a fine polygon up to V(f) = 0.05 V(0).
    time = np.linspace(0, 1, 20_001)
    speed = 30 * time**2 - 60 * time**3 + 30 * time**4
    frequency = np.linspace(0, 10, 2001)
    spectrum = np.array([abs(np.mean(speed * np.exp(-2j * np.pi * f * time))) for f in frequency])
    last = np.flatnonzero(spectrum / spectrum[0] >= 0.05)[-1]
    expected = -np.sum(np.hypot(1 / last, np.diff(spectrum[: last + 1] / spectrum[0])))
    assert spectral_arc_length(reach(100.0), 100.0) == pytest.approx(expected, abs=0.02)


@given(st.floats(0.01, 100), st.sampled_from([50.0, 100.0, 200.0]))
def test_amplitude_and_rate_of_recording_do_not_matter(scale: float, rate_hz: float) -> None:
    plain = spectral_arc_length(reach(100.0), 100.0)
    assert spectral_arc_length(scale * reach(100.0), 100.0) == pytest.approx(plain)
    assert spectral_arc_length(reach(rate_hz), rate_hz) == pytest.approx(plain, abs=0.03)


def test_stops_on_the_way_and_noise_cost_smoothness() -> None:
    one = spectral_arc_length(reach(50.0, 2.0), 50.0)
    two = spectral_arc_length(np.concatenate([reach(50.0), reach(50.0)]), 50.0)
    four = spectral_arc_length(np.concatenate([reach(50.0, 0.5)] * 4), 50.0)
    noise = np.abs(np.random.default_rng(0).normal(0, 0.5, 101))
    noisy = spectral_arc_length(reach(50.0, 2.0) + noise, 50.0)
    assert 0 > one > two > four and one > noisy


def test_nothing_above_ten_hertz_counts() -> None:
    tremor = 1 + np.sin(2 * np.pi * 20.0 * np.arange(400) / 100.0)
    assert spectral_arc_length(tremor, 100.0) > spectral_arc_length(tremor) + 0.3


def test_unknown_for_stillness_and_for_few_steps() -> None:
    assert np.isnan(spectral_arc_length(np.zeros(50), 10.0))
    assert np.isnan(spectral_arc_length(np.ones(3), 10.0))
    assert np.isnan(spectral_arc_length(np.array([1.0, np.nan, 1.0, 1.0]), 10.0))


def test_speed_is_the_length_of_each_step() -> None:
    assert speed_profile(np.array([[0.0, 0.0], [3.0, 4.0], [3.0, 4.0]])).tolist() == [5.0, 0.0]
