"""Facts about observation histories and chunk execution."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from imitate.errors import ConfigError
from imitate.execution import ExecutionConfig, ObservationHistory, RecedingHorizon, TemporalEnsemble


def at(step: int) -> dict[str, np.ndarray]:
    return {"x": np.array([float(step)]), "image": np.full((2, 2, 3), step, np.uint8)}


@given(obs_steps=st.integers(1, 5), steps=st.integers(0, 9))
def test_history_is_the_last_steps_with_the_first_repeated(obs_steps: int, steps: int) -> None:
    history = ObservationHistory(obs_steps)
    history.reset(at(0))
    for step in range(1, steps + 1):
        history.add(at(step))
    expected = [max(0, steps - obs_steps + 1 + i) for i in range(obs_steps)]
    stacked = history.stacked()
    assert stacked["x"][:, 0].tolist() == expected
    assert stacked["image"].shape == (obs_steps, 2, 2, 3)
    assert stacked["image"].dtype == np.uint8


def test_history_forgets_the_episode_before_on_reset() -> None:
    history = ObservationHistory(3)
    history.reset(at(1))
    history.add(at(2))
    history.reset(at(7))
    assert history.stacked()["x"][:, 0].tolist() == [7, 7, 7]


def test_history_keeps_copies_since_environments_reuse_memory() -> None:
    history, obs = ObservationHistory(2), at(1)
    history.reset(obs)
    obs["x"][0] = 5
    history.add(obs)
    obs["x"][0] = 9
    assert history.stacked()["x"][:, 0].tolist() == [1, 5]


def test_receding_horizon_executes_the_first_actions() -> None:
    chunk = np.arange(12.0).reshape(6, 2)
    assert np.array_equal(RecedingHorizon(2).plan(chunk), chunk[:2])
    assert np.array_equal(RecedingHorizon().plan(chunk), chunk)


def chunks(steps: int, length: int, truth: np.ndarray) -> list[np.ndarray]:
    return [truth[step : step + length] for step in range(steps)]


@given(length=st.integers(1, 6), decay=st.floats(0, 2))
def test_ensemble_of_predictions_that_agree_is_that_prediction(length: int, decay: float) -> None:
    truth = np.random.default_rng(0).normal(size=(20, 3))
    ensemble = TemporalEnsemble(decay)
    actions = [ensemble.plan(chunk) for chunk in chunks(10, length, truth)]
    assert np.allclose(np.concatenate(actions), truth[:10])


@given(length=st.integers(1, 6), decay=st.floats(0, 2))
def test_ensemble_equals_the_formula(length: int, decay: float) -> None:
    predicted = np.random.default_rng(1).normal(size=(12, length, 2))  # [made at, steps ahead]
    ensemble = TemporalEnsemble(decay)
    for now in range(12):
        action = ensemble.plan(predicted[now])
        made_at = range(max(0, now - length + 1), now + 1)  # oldest first
        weights = [np.exp(-decay * i) for i in range(len(made_at))]
        terms = [w * predicted[made, now - made] for w, made in zip(weights, made_at, strict=True)]
        assert action.shape == (1, 2)
        assert np.allclose(action[0], np.sum(terms, axis=0) / np.sum(weights))


def test_a_large_decay_keeps_the_oldest_prediction() -> None:
    ensemble = TemporalEnsemble(100.0)
    ensemble.plan(np.array([[0.0], [1.0], [2.0]]))
    assert ensemble.plan(np.array([[9.0], [9.0], [9.0]])) == pytest.approx(1.0)


def test_each_episode_gets_its_own_state() -> None:
    config = ExecutionConfig("ensemble")
    first, second = config.build(), config.build()
    first.plan(np.array([[0.0], [100.0]]))
    assert second.plan(np.array([[1.0], [1.0]])) == pytest.approx(1.0)


@pytest.mark.parametrize(
    ("settings", "key"),
    [
        ({"strategy": "both"}, "execution.strategy"),
        ({"action_steps": 0}, "execution.action_steps"),
        ({"ensemble_decay": -0.1}, "execution.ensemble_decay"),
    ],
)
def test_wrong_settings_are_named(settings: dict, key: str) -> None:
    with pytest.raises(ConfigError, match=key):
        ExecutionConfig(**settings)
