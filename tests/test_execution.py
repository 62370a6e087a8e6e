"""Facts about chunk execution."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from imitate.errors import ConfigError
from imitate.execution import (
    Alternatives,
    ContinuousChoice,
    ExecutionConfig,
    RecedingHorizon,
    TemporalEnsemble,
)
from imitate.types import Modes


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


LEFT, RIGHT = np.full((6, 1), -1.0, np.float32), np.full((6, 1), 1.0, np.float32)


def two_ways(left_score: float, right_score: float, scale: float = 1.0) -> Alternatives:
    score = np.log([left_score, right_score]).astype(np.float32)
    return Alternatives(np.stack([LEFT, RIGHT]), score, np.array([scale], np.float32))


def way(actions: np.ndarray) -> float:
    assert actions.shape == (3, 1)
    return float(actions[0, 0])


def test_continuity_keeps_the_way_that_was_begun() -> None:
    steady, jumpy = ContinuousChoice(10.0, 3), ContinuousChoice(0.0, 3)
    scores = [(0.6, 0.4), (0.4, 0.6), (0.45, 0.55), (0.6, 0.4)]
    assert [way(steady.plan(LEFT, two_ways(*each))) for each in scores] == [-1, -1, -1, -1]
    assert [way(jumpy.plan(LEFT, two_ways(*each))) for each in scores] == [-1, 1, 1, -1]


def test_a_certain_policy_may_change_its_mind() -> None:
    choice = ContinuousChoice(1.0, 3)
    choice.plan(LEFT, two_ways(0.9, 0.1))
    assert way(choice.plan(LEFT, two_ways(0.01, 0.99))) == 1


@given(weight=st.floats(0, 10), right=st.floats(0.01, 0.99), scale=st.floats(0.1, 10))
def test_choice_equals_the_formula(weight: float, right: float, scale: float) -> None:
    choice = ContinuousChoice(weight, 3)
    choice.plan(LEFT, two_ways(0.9, 0.1))
    gain = np.log(right) - weight * 2 / scale - np.log(1 - right)
    if abs(gain) > 1e-3:
        assert way(choice.plan(LEFT, two_ways(1 - right, right, scale))) == np.sign(gain)


def test_distance_is_to_the_tail_at_the_same_time() -> None:
    ramp = np.arange(6.0, dtype=np.float32)[:, None]
    choice = ContinuousChoice(1.0, 2)
    choice.plan(ramp, Alternatives(ramp[None], np.zeros(1), np.ones(1)))
    later = np.stack([ramp, ramp + 2, ramp + 4])
    assert np.array_equal(choice.plan(ramp, Alternatives(later, np.zeros(3), np.ones(1))), ramp[2:4])


def test_an_element_that_never_changes_has_no_say() -> None:
    choice, still = ContinuousChoice(1.0), Alternatives(np.stack([LEFT, RIGHT]), np.zeros(2), np.zeros(1))
    assert np.array_equal(choice.plan(LEFT, still), LEFT)
    assert np.array_equal(choice.plan(LEFT, still), LEFT)


def test_continuity_needs_modes() -> None:
    with pytest.raises(ConfigError, match=r"continuous.*names none"):
        ExecutionConfig("continuous").build().plan(LEFT)


def test_modes_are_taken_apart_row_by_row() -> None:
    modes = Modes(torch.arange(12.0).view(2, 3, 2, 1), torch.arange(6.0).view(2, 3), torch.ones(1))
    rows = Alternatives.rows(modes, 2)
    assert rows[1] is not None
    assert np.array_equal(rows[1].values, modes.values[1].numpy())
    assert np.array_equal(rows[1].score, [3, 4, 5])
    assert Alternatives.rows(None, 2) == [None, None]


@pytest.mark.parametrize(
    ("settings", "key"),
    [
        ({"strategy": "both"}, "execution.strategy"),
        ({"action_steps": 0}, "execution.action_steps"),
        ({"ensemble_decay": -0.1}, "execution.ensemble_decay"),
        ({"continuity": -1.0}, "execution.continuity"),
    ],
)
def test_wrong_settings_are_named(settings: dict, key: str) -> None:
    with pytest.raises(ConfigError, match=key):
        ExecutionConfig(**settings)
