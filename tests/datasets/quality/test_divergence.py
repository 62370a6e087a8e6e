"""Action divergence on demonstrators whose consistency, noise and number of habits are known."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from straight_walks import Act, straight_walks

from imitate.datasets.quality.divergence import ActionDivergence, action_divergence, two_modes
from imitate.datasets.quality.frames import Frames
from imitate.datasets.quality.neighbour_index import NeighbourIndex


def measured(act: Act, episodes: int = 60, steps: int = 60) -> tuple[ActionDivergence, Frames]:
    states, actions = straight_walks(act, episodes, steps)
    frames = Frames.of(states, actions)
    return action_divergence(frames, NeighbourIndex.of(frames).neighbours(16)), frames


def test_a_function_of_the_state_does_not_diverge() -> None:
    found, _ = measured(lambda state, generator, i: -2.0 * state)
    assert np.median(found.plain) < 0.01 and found.plain.mean() < 0.05


def test_noise_that_ignores_the_state_diverges_like_random_frames() -> None:
    found, _ = measured(lambda state, generator, i: generator.normal(size=state.shape))
    assert found.plain.mean() == pytest.approx(1.0, abs=0.05)
    assert found.within_modes.mean() > 0.9
    assert (found.modes == 1).mean() > 0.9


@pytest.mark.parametrize("noise", [0.0, 0.05, 0.1])
def test_two_habits_diverge_but_not_within_modes(noise: float) -> None:
    def act(state: np.ndarray, generator: np.random.Generator, i: int) -> np.ndarray:
        side = np.where(i % 2, 1.0, -1.0)
        return side + noise * generator.normal(size=state.shape)

    found, _ = measured(act)
    assert found.plain.mean() > 0.8
    assert found.within_modes.mean() < 0.1
    assert (found.modes == 2).mean() > 0.85


def test_noise_within_two_habits_is_still_seen() -> None:
    def act(state: np.ndarray, generator: np.random.Generator, i: int) -> np.ndarray:
        noise = 0.4 if i % 10 == 0 else 0.02
        return np.where(i % 2, 1.0, -1.0) + noise * generator.normal(size=state.shape)

    found, frames = measured(act)
    scores = frames.episode_means(found.within_modes)
    noisy = np.arange(60) % 10 == 0
    assert scores[noisy].min() > np.median(scores[~noisy])


def test_one_of_forty_is_no_habit() -> None:
    found, frames = measured(lambda state, generator, i: state * (-1.0 if i == 7 else 1.0), episodes=40)
    per_episode = frames.episode_means(found.within_modes)
    assert int(np.argmax(per_episode)) == 7
    assert per_episode[7] > 5 * np.median(per_episode)


@given(st.integers(0, 10_000), st.integers(1, 6), st.floats(8, 100))
def test_clear_modes_are_told_apart_exactly(seed: int, dims: int, gap: float) -> None:
    generator = np.random.default_rng(seed)
    second = np.arange(16) < generator.integers(4, 13)
    generator.shuffle(second)
    direction = generator.normal(size=dims)
    values = 0.3 * generator.normal(size=(16, dims)) + gap * second[:, None] * direction / np.linalg.norm(
        direction
    )
    found = two_modes(values[None], np.ones((1, 16), bool))[0]
    assert (found == second).all() or (found == ~second).all()


@pytest.mark.parametrize(("dims", "most"), [(1, 0.06), (2, 0.04), (7, 0.02)])
def test_one_mode_is_seldom_taken_for_two(dims: int, most: float) -> None:
    generator = np.random.default_rng(0)
    known = np.ones((3000, 16), bool)
    for values in (generator.normal(size=(3000, 16, dims)), generator.uniform(size=(3000, 16, dims))):
        assert two_modes(values, known).any(axis=1).mean() < most


def test_missing_neighbours_are_left_out() -> None:
    values = np.zeros((1, 20, 1))
    values[0, 4:14] = 1.0
    values[0, 14:] = 1e6
    known = np.arange(20)[None] < 14
    assert two_modes(values, known)[0].sum() in (4, 10)
    assert not two_modes(values, np.arange(20)[None] < 7).any()


def test_what_cannot_be_told_is_nan() -> None:
    generator = np.random.default_rng(0)
    state = list(generator.normal(size=(3, 9, 2)))
    for frames in (Frames.of(state[:1], state[:1]), Frames.of(state, [np.ones((9, 1))] * 3)):
        found = action_divergence(frames, NeighbourIndex.of(frames).neighbours(4))
        assert np.isnan(found.plain).all() and np.isnan(found.within_modes).all()
    frames = Frames.of(state, state)
    some = action_divergence(frames, NeighbourIndex.of(frames).neighbours(4, np.array([1, 20])))
    assert np.flatnonzero(np.isfinite(some.plain)).tolist() == [1, 20]


def test_the_same_numbers_every_time() -> None:
    first, second = (measured(lambda s, g, i: s + g.normal(size=s.shape), 20)[0] for _ in range(2))
    assert np.array_equal(first.within_modes, second.within_modes) and first.baseline == second.baseline


@pytest.mark.parametrize("episodes", [3, 6])
def test_the_baseline_has_as_many_frames_as_there_are_neighbours(episodes: int) -> None:
    found, _ = measured(lambda s, g, i: g.normal(size=s.shape), episodes, 200)
    assert found.baseline == pytest.approx(1 + 1 / (episodes - 1), rel=0.1)
