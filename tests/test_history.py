"""Facts about observation histories."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from imitate.history import ObservationHistory, ahead


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


@given(known=st.integers(0, 6), steps=st.integers(1, 4))
def test_what_is_ahead_has_a_fixed_length(known: int, steps: int) -> None:
    planned = np.arange(2.0 * known).reshape(known, 2)
    found = ahead(planned, steps, 2)
    there = min(known, steps)
    assert found.shape == (steps, 2) and found.dtype == np.float32
    assert np.array_equal(found[:there], planned[:there]) and np.isnan(found[there:]).all()
