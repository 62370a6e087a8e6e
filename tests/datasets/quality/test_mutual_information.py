"""The estimate against the closed form for normal variables; noisy and clean demonstrators."""

import numpy as np
import pytest

from imitate.datasets.quality.frames import Frames
from imitate.datasets.quality.mutual_information import (
    action_chunks,
    contributions,
    mutual_information,
    principal_components,
)


@pytest.mark.parametrize("correlation", [0.0, 0.3, 0.6, 0.9])
@pytest.mark.parametrize("dims", [1, 2])
def test_normal_variables_have_the_information_of_the_closed_form(correlation: float, dims: int) -> None:
    generator = np.random.default_rng(0)
    state, noise = generator.normal(size=(2, 4, 1024, dims))
    action = correlation * state + np.sqrt(1 - correlation**2) * noise
    found = np.mean([contributions(s, a) for s, a in zip(state, action, strict=True)])
    exact = -0.5 * dims * np.log(1 - correlation**2)
    assert found == pytest.approx(exact, abs=0.05 + 0.07 * exact)


def demonstrations(noise: list[float], seed: int = 0) -> Frames:
    """Points driven to the origin, each with noise of its own on the action."""
    generator = np.random.default_rng(seed)
    states, actions = [], []
    for spread in noise:
        state, path, moves = generator.uniform(-1, 1, 2), [], []
        for _ in range(50):
            path.append(state)
            moves.append(-0.08 * state + spread * generator.normal(size=2))
            state = state + moves[-1]
        states.append(np.array(path))
        actions.append(np.array(moves))
    return Frames.of(states, actions)


def test_noisy_demonstrations_contribute_less() -> None:
    noise = [0.04 if i % 5 == 0 else 0.002 for i in range(60)]
    frames = demonstrations(noise)
    scores = frames.episode_means(mutual_information(frames).contribution)
    noisy = np.array(noise) > 0.01
    assert np.mean(scores[noisy][:, None] < scores[~noisy]) > 0.95


def test_contributions_are_standardised_and_repeatable() -> None:
    frames = demonstrations([0.01] * 12)
    first, second = mutual_information(frames), mutual_information(frames)
    assert np.array_equal(first.contribution, second.contribution) and first.nats == second.nats
    assert first.contribution.mean() == pytest.approx(0, abs=1e-9)
    assert first.contribution.std() == pytest.approx(1, abs=1e-6)


def test_actions_that_ignore_the_state_hold_no_information() -> None:
    generator = np.random.default_rng(0)
    frames = Frames.of(list(generator.normal(size=(40, 50, 3))), list(generator.normal(size=(40, 50, 2))))
    assert abs(mutual_information(frames).nats) < 0.05


def test_chunks_end_with_the_episode() -> None:
    state = [np.arange(5.0)[:, None], np.arange(3.0)[:, None]]
    frames = Frames.of(state, state)
    chunks = action_chunks(frames, np.arange(8))
    for row, expected in ((0, [0, 1, 2, 3]), (3, [3, 4, 4, 4]), (4, [4] * 4), (5, [5, 6, 7, 7])):
        assert np.array_equal(chunks[row], frames.action[expected, 0])


def test_principal_components_keep_the_largest_spread() -> None:
    values = np.random.default_rng(0).normal(size=(500, 4)) * [1, 10, 0.1, 3]
    kept = principal_components(values, 2)
    assert np.allclose(kept.std(axis=0), np.sort(values.std(axis=0))[:1:-1], rtol=0.02)
    assert principal_components(values, 4).shape == (500, 4)


def test_nothing_is_said_without_grounds() -> None:
    generator = np.random.default_rng(0)
    moving, still = list(generator.normal(size=(3, 9, 2))), [np.ones((9, 1))] * 3
    for frames in (Frames.of(moving, still), Frames.of(still, moving), Frames.of(moving[:1], moving[:1])):
        found = mutual_information(frames)
        enough = len(frames) > 7 and frames.state.shape[1] and frames.action.shape[1]
        assert np.isfinite(found.nats) == bool(enough)
    short = mutual_information(Frames.of([moving[0][:4]], [moving[0][:4]]))
    assert np.isnan(short.contribution).all() and np.isnan(short.nats)


def test_frames_that_stand_still_are_no_trouble() -> None:
    waiting = [
        np.concatenate([np.zeros((30, 2)), np.random.default_rng(i).normal(size=(9, 2))]) for i in range(9)
    ]
    assert np.isfinite(mutual_information(Frames.of(waiting, waiting)).contribution).all()
