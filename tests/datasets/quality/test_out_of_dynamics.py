"""Transitions that lead elsewhere stand out; ordinary ones, noise and sparse places do not."""

import numpy as np

from imitate.datasets.quality.frames import Frames
from imitate.datasets.quality.neighbour_index import NeighbourIndex
from imitate.datasets.quality.out_of_dynamics import out_of_dynamics


def driven(gains: list[float], noise: float = 0.003) -> Frames:
    """Points driven to the origin; the actions are the same, but what they do is `gains` times as much."""
    generator = np.random.default_rng(0)
    states, actions = [], []
    for gain in gains:
        state, path, moves = generator.uniform(-1, 1, 2), [], []
        for _ in range(40):
            path.append(state)
            moves.append(-0.08 * state + 0.02 * generator.normal(size=2))
            state = state + gain * moves[-1] + noise * generator.normal(size=2)
        states.append(np.array(path))
        actions.append(np.array(moves))
    return Frames.of(states, actions)


def scores(frames: Frames) -> np.ndarray:
    return out_of_dynamics(frames, NeighbourIndex.of_transitions(frames).neighbours(16))


def test_demonstrations_of_another_robot_stand_out() -> None:
    gains = [0.4 if i % 8 == 3 else 1.0 for i in range(80)]
    frames = driven(gains)
    per_episode = frames.episode_means(scores(frames))
    other = np.array(gains) < 1
    assert per_episode[other].min() > per_episode[~other].max()


def test_one_push_is_found_where_it_happened() -> None:
    frames = driven([1.0] * 60)
    state = frames.state.copy()
    state[frames.starts[7] + 15 : frames.starts[8]] += 0.8
    found = scores(Frames(state, frames.action, frames.lengths))
    assert int(np.nanargmax(found)) == frames.starts[7] + 14
    assert np.nanmax(found) > 5


def test_ordinary_transitions_score_about_one_whatever_the_noise() -> None:
    for noise in (0.001, 0.02):
        found = scores(driven([1.0] * 60, noise))
        assert 0.9 < np.nanmedian(found) < 1.1
        assert np.nanquantile(found, 0.99) < 6


def test_what_cannot_be_told_is_nan() -> None:
    frames = driven([1.0] * 20)
    assert np.isnan(scores(frames)[frames.to_go == 0]).all()
    assert np.isfinite(scores(frames)[frames.to_go > 0]).mean() > 0.99
    assert np.isnan(scores(driven([1.0] * 3))).all()
    assert np.isnan(scores(Frames.of([np.ones((5, 2))] * 6, [np.ones((5, 1))] * 6))).all()
