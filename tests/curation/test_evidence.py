"""Numbers with known answers: noise of known size, a pace, a length, a detour at a known place."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from imitate.curation.consensus import Consensus
from imitate.curation.evidence import NOISE_FLOOR, Evidence, gather, running_mean
from imitate.datasets.quality.frames import Frames

STEPS, EPISODES = 50, 6
USUAL = np.full(EPISODES * STEPS, 1.0)


def frames(action: np.ndarray | None = None, pace: float = 0.1) -> Frames:
    """Six straight lines of 50 steps; `action` (300, 2) or none to speak of."""
    state = np.tile(pace * np.arange(STEPS, dtype=np.float32)[:, None], (EPISODES, 2))
    action = np.zeros((EPISODES * STEPS, 2), np.float32) if action is None else action
    return Frames(state, action, np.full(EPISODES, STEPS))


def evidence(
    of: Frames,
    residual: np.ndarray | None = None,
    to_go: np.ndarray | None = None,
    novelty: np.ndarray = USUAL,
) -> Evidence:
    residual = np.zeros_like(of.action) if residual is None else residual
    agreed = Consensus(residual, of.to_go if to_go is None else to_go)
    return gather(of, agreed, novelty, np.zeros(len(of)))


@pytest.mark.parametrize("size", [0.05, 0.5, 2.0])
def test_noise_is_that_of_white_noise_on_a_smooth_action(size: float) -> None:
    generator = np.random.default_rng(0)
    smooth = np.sin(np.linspace(0, 2 * np.pi, 2000))
    action = smooth[:, None] + generator.normal(0, size, (2000, 3))
    found = evidence(Frames(np.zeros((2000, 1)), action, np.array([2000])), novelty=np.ones(2000))
    assert found.noise[0] == pytest.approx(size + NOISE_FLOOR, rel=0.06)


def test_a_jump_is_no_noise() -> None:
    action = np.zeros((EPISODES * STEPS, 2))
    action[20:30] = 5.0
    assert evidence(frames(action)).noise == pytest.approx(NOISE_FLOOR)


def test_a_habit_stays_and_noise_cancels() -> None:
    habit, shaking = np.zeros((300, 2)), np.zeros((300, 2))
    habit[:STEPS] = 0.8
    shaking[:STEPS:2], shaking[1:STEPS:2] = 0.8, -0.8
    assert evidence(frames(), habit).deviation[:2] == pytest.approx([0.8, 0.0])
    assert evidence(frames(), shaking).deviation[0] == pytest.approx(0.0, abs=1e-6)


def test_twice_the_steps_that_others_need_is_an_excess_of_two() -> None:
    of = frames()
    to_go = of.to_go.astype(np.float64)
    to_go[:STEPS] /= 2
    excess = evidence(of, to_go=to_go).excess
    assert excess[0] == pytest.approx(2.0, rel=0.05)
    assert excess[1:] == pytest.approx(1.0, rel=0.05)


def test_half_the_pace_is_half() -> None:
    ratio = evidence(frames(pace=0.05)).pace / evidence(frames(pace=0.1)).pace
    assert ratio == pytest.approx(0.5)


def test_a_detour_is_where_surprise_novelty_and_lost_time_meet() -> None:
    of = frames()
    residual, novelty = np.zeros((300, 2)), USUAL.copy()
    residual[20:30], novelty[20:30] = 1.0, 3.0
    to_go = of.to_go.astype(np.float64)
    # Ten steps that lead nowhere: the end is as far afterwards as before.
    to_go[:30] = to_go[30] + np.r_[np.arange(20, 0, -1), np.zeros(10)]
    found = evidence(of, residual, to_go, novelty)
    assert found.window == 10 and found.detour_start[0] == 20
    assert found.detour[0] == pytest.approx(3.0)
    assert found.detour[1:] == pytest.approx(0.0)
    # Another way is as surprising and new, but loses no time.
    assert evidence(of, residual, None, novelty).detour[0] == pytest.approx(0.0)


def test_an_episode_too_short_to_tell_is_not_judged() -> None:
    lengths = np.array([40, 3, 1])
    of = Frames(np.ones((44, 1), np.float32), np.ones((44, 1), np.float32), lengths)
    found = evidence(of, novelty=np.ones(44))
    assert np.isnan(found.noise[1:]).all() and np.isnan(found.detour[1:]).all()
    assert np.isnan(found.pace[1:]).all() and np.isfinite(found.deviation).all()


def test_where_no_distance_is_known_nothing_is_new() -> None:
    found = evidence(frames(), novelty=np.full(300, np.nan))
    assert np.isfinite(found.detour).all()


@given(
    arrays(np.float64, st.tuples(st.integers(1, 30), st.just(2)), elements=st.floats(-9, 9)),
    st.integers(1, 9),
)
def test_running_means_are_those_of_numpy(values: np.ndarray, window: int) -> None:
    width = min(window, len(values))
    expected = np.lib.stride_tricks.sliding_window_view(values, width, axis=0).mean(axis=-1)
    assert running_mean(values, window) == pytest.approx(expected, abs=1e-9)
