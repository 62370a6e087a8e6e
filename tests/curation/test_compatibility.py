"""Compatibility where it is known who contradicts whom."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from imitate.curation.compatibility import BaseModel, Scaling, Thresholds, compatibility, episode_features
from imitate.datasets.quality.frames import Frames
from imitate.errors import DataError, SpecError
from imitate.types import ArraySpec, DataSpec, Episode

pytestmark = pytest.mark.usefixtures("one_thread")

EPISODES, STEPS = 30, 40
OPPOSED = [3, 11, 19, 27]


def demonstrations() -> tuple[list[np.ndarray], list[np.ndarray]]:
    """Walks through a square; all go to its middle, in units of their own, but four that go away from it."""
    rng = np.random.default_rng(0)
    states = [rng.uniform(-100, 100, (STEPS, 2)) for _ in range(EPISODES)]
    signs = [1.0 if i in OPPOSED else -1.0 for i in range(EPISODES)]
    return states, [s * 0.01 * state for s, state in zip(signs, states, strict=True)]


@pytest.fixture(scope="module")
def base() -> BaseModel:
    states, actions = demonstrations()
    good = [i for i in range(EPISODES) if i not in OPPOSED]
    return BaseModel.fit([states[i] for i in good], [actions[i] for i in good])[0]


@pytest.mark.slow
def test_within_a_set_those_who_contradict_come_last() -> None:
    found = compatibility(Frames.of(*demonstrations()))
    assert found is not None
    per_episode = found.per_frame.reshape(EPISODES, STEPS).mean(axis=1)
    assert sorted(np.argsort(per_episode)[: len(OPPOSED)]) == OPPOSED
    assert found.per_frame.min() >= 0 and found.per_frame.max() <= 1


def test_base_demonstrations_set_the_thresholds_where_one_in_twenty_is_beyond(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("imitate.curation.ensemble.STEPS", 10)
    states, actions = demonstrations()
    model, own = BaseModel.fit(states, actions)
    assert np.mean(own.error > model.thresholds.error) == pytest.approx(0.05, abs=0.01)
    assert np.mean(own.is_new) == pytest.approx(0.05, abs=0.01)


def test_the_known_and_agreed_the_known_and_opposed_and_the_new(base: BaseModel) -> None:
    rng = np.random.default_rng(5)
    known, new = rng.uniform(-60, 60, (200, 2)), rng.uniform(400, 600, (200, 2))
    assert base.score(known, -0.01 * known).per_frame.mean() > 0.6
    assert base.score(known, 0.01 * known).per_frame.mean() < 0.25
    assert base.score(new, 0.01 * new).per_frame.mean() == 1.0


def test_tensors_hold_all_of_it(base: BaseModel) -> None:
    states, actions = demonstrations()
    again = BaseModel.of_tensors(base.tensors()).score(states[0], actions[0])
    assert np.array_equal(again.per_frame, base.score(states[0], actions[0]).per_frame)


@given(st.floats(0.01, 10), st.floats(0.01, 10), st.integers(0, 1000))
def test_the_formula(error: float, novelty: float, seed: int) -> None:
    rng = np.random.default_rng(seed)
    e, n = rng.exponential(error, 50), rng.exponential(novelty, 50)
    found = Thresholds(error, novelty).judge(e, n)
    expected = [1.0 if n_ >= novelty else 1.0 - min(e_ / error, 1.0) for e_, n_ in zip(e, n, strict=True)]
    assert found.per_frame == pytest.approx(expected, abs=1e-6)
    assert found.is_opposed.tolist() == [
        bool(n_ < novelty and e_ > error) for e_, n_ in zip(e, n, strict=True)
    ]


def test_scaling_is_that_of_frames() -> None:
    values = np.random.default_rng(0).normal([5, 0, 1], [2, 0, 3], (100, 3))
    assert np.array_equal(Scaling.of(values)(values), Frames.of([values], [values]).state)


def test_too_little_is_said_to_be_too_little() -> None:
    states, actions = demonstrations()
    still = [np.ones_like(one) for one in actions]
    for few in ((states[:1], actions[:1]), (states, still), (still, actions)):
        assert compatibility(Frames.of(*few)) is None
        with pytest.raises(DataError, match="too little"):
            BaseModel.fit(*few)


def test_an_episode_that_does_not_fit_is_refused() -> None:
    spec = DataSpec(
        {"x": ArraySpec((2,), circular=(1,)), "eye": ArraySpec((4, 4, 3), "uint8")}, ArraySpec((1,))
    )
    ones = np.ones((5, 1), np.float32)
    state, action = episode_features(Episode("a", {"x": np.ones((5, 2))}, ones), spec)
    assert state.shape == (5, 3) and action.shape == (5, 1)
    with pytest.raises(SpecError, match="'x'"):
        episode_features(Episode("a", {"x": np.ones((5, 3))}, ones), spec)
    with pytest.raises(SpecError, match="action"):
        episode_features(Episode("a", {"x": np.ones((5, 2))}, np.ones((5, 2))), spec)
    with pytest.raises(DataError, match="finite"):
        episode_features(Episode("a", {"x": np.full((5, 2), np.nan)}, ones), spec)
