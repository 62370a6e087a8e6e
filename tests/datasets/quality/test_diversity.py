"""Transition diversity and sensor noise of a simulated system in which both are known."""

import numpy as np
import pytest

from imitate.datasets.quality.diversity import TransitionDiversity, displacements, transition_diversity
from imitate.datasets.quality.frames import Frames
from imitate.datasets.quality.neighbour_index import NeighbourIndex


def simulated(system: float = 0.0, sensor: float = 0.0, still: int = 10, episodes: int = 150) -> Frames:
    """Points driven to the origin at a speed of up to 0.1, which wait at both ends."""
    generator = np.random.default_rng(0)
    states, actions = [], []
    for _ in range(episodes):
        state, path, moves = generator.uniform(-1, 1, 2), [], []
        for t in range(40 + 2 * still):
            waits = t < still or t >= 40 + still
            move = np.zeros(2) if waits else -0.1 * state / max(0.3, float(np.linalg.norm(state)))
            path.append(state + sensor * generator.normal(size=2))
            moves.append(move)
            state = state + move + (0 if waits else system) * generator.normal(size=2)
        states.append(np.array(path))
        actions.append(np.array(moves))
    return Frames.of(states, actions)


def measured(frames: Frames) -> TransitionDiversity:
    return transition_diversity(frames, NeighbourIndex.of_transitions(frames).neighbours(16))


def step_of(frames: Frames) -> np.ndarray:
    return np.arange(len(frames)) - np.repeat(frames.starts, frames.lengths)


def moving(frames: Frames, found: TransitionDiversity) -> float:
    """Mean while the point moves, but for the first steps, where there are too few neighbours."""
    return float(np.nanmean(found.spread[(step_of(frames) >= 18) & (step_of(frames) < 50)]))


def test_a_certain_system_has_no_diversity() -> None:
    frames = simulated()
    found = measured(frames)
    assert found.noise < 0.001
    assert moving(frames, found) < 0.03


@pytest.mark.parametrize("system", [0.02, 0.04])
def test_diversity_is_the_variance_of_the_system(system: float) -> None:
    frames = simulated(system=system)
    found = measured(frames)
    steps = displacements(frames)[step_of(frames) == 45]  # near the goal, where the drive is weak
    assert moving(frames, found) == pytest.approx(np.var(steps, axis=0).mean(), rel=0.2)
    assert not found.noise > 0.1 * moving(frames, found)


def test_sensor_noise_is_taken_off_where_the_robot_stands_still() -> None:
    sharp, blurred = simulated(system=0.01), simulated(system=0.01, sensor=0.01)
    found = measured(blurred)
    assert found.noise == pytest.approx(sensor_share(blurred), rel=0.15)
    assert abs(moving(blurred, found) - moving(sharp, measured(sharp))) < 0.5 * found.noise


def sensor_share(frames: Frames) -> float:
    """The variance of the readings of s in the units of the answer, from steps that only noise moves."""
    waiting = (step_of(frames) >= 1) & (step_of(frames) < 8)
    return float(np.var(displacements(frames)[waiting], axis=0).mean()) / 2


def test_without_still_moments_nothing_is_taken_off() -> None:
    generator = np.random.default_rng(0)
    paths = [np.cumsum(0.2 + 0.01 * generator.normal(size=(40, 2)), axis=0) for _ in range(20)]
    found = measured(Frames.of(paths, paths))
    assert np.isnan(found.noise) and np.nanmin(found.spread) >= 0


def test_last_steps_and_lonely_episodes_are_not_told() -> None:
    frames = simulated(episodes=20)
    found = measured(frames)
    assert np.isnan(found.spread[frames.to_go == 0]).all()
    assert np.isfinite(found.spread[frames.to_go > 0]).mean() > 0.99
    assert np.isnan(measured(simulated(episodes=3)).spread).all()
    assert np.isnan(measured(Frames.of([np.ones((5, 1))] * 6, [np.ones((5, 1))] * 6)).spread).all()


def test_displacements_lead_to_the_next_state_and_clocks_are_left_out() -> None:
    generator = np.random.default_rng(0)
    states = [np.column_stack([generator.normal(size=9), np.arange(9.0)]) for _ in range(4)]
    frames = Frames.of(states, [s[:, :1] for s in states])
    steps = displacements(frames)
    assert steps.shape == (36, 1) and np.isnan(steps[8::9]).all()
    inner = np.delete(np.arange(36), np.arange(8, 36, 9))
    gap = frames.state[inner + 1, 0] - frames.state[inner, 0]
    assert np.allclose(steps[inner, 0], gap / gap.std(), rtol=1e-4)
