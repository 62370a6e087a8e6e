"""Moving demonstrations so that they end at the goal."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from imitate.alignment import Alignment
from imitate.errors import ConfigError

GOAL = (5.0, -2.0, 0.5)
ALIGNMENT = Alignment(
    points={"state": ((0, 1), (2, 3)), "action": ((0, 1),), "light": ()},
    angles={"state": (4,)},
    anchor=("state", 2, 3, 4),
    goal=GOAL,
)
PLACE = st.floats(-100, 100)


def ends(count: int, seed: int) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return np.concatenate([rng.uniform(-50, 50, (count, 4)), rng.uniform(0, 2 * np.pi, (count, 1))], axis=1)


@given(st.integers(1, 20), st.integers(0, 99))
def test_every_end_lies_on_the_goal(count: int, seed: int) -> None:
    last = ends(count, seed)
    moved = ALIGNMENT.moved("state", last, ALIGNMENT.motions(last), np.arange(count))
    assert np.allclose(moved[:, 2:], GOAL)


@given(st.integers(0, 99))
def test_what_is_moved_keeps_its_shape(seed: int) -> None:
    rng = np.random.default_rng(seed)
    motions, episode = ALIGNMENT.motions(ends(1, seed)), np.zeros(6, np.int64)
    state, action = rng.uniform(-50, 50, (6, 5)), rng.uniform(-50, 50, (6, 2))
    new_state = ALIGNMENT.moved("state", state, motions, episode)
    new_action = ALIGNMENT.moved("action", action, motions, episode)
    before, after = (
        np.concatenate([s[:, :2], s[:, 2:4], a]) for s, a in ((state, action), (new_state, new_action))
    )
    distances = [np.linalg.norm(p[:, None] - p[None], axis=-1) for p in (before, after)]
    assert np.allclose(*distances)
    # A direction of the scene turns as an angle does.
    along = state[0, :2] + 7 * np.array([np.cos(state[0, 4]), np.sin(state[0, 4])])
    moved = ALIGNMENT.moved("action", np.stack([state[0, :2], along]), motions, episode[:2])
    direction = np.subtract(*moved[::-1]) / 7
    assert np.allclose(direction, [np.cos(new_state[0, 4]), np.sin(new_state[0, 4])])


def test_what_ends_at_the_goal_stays() -> None:
    state = np.array([[1.0, 2.0, *GOAL]])
    assert np.allclose(
        ALIGNMENT.moved("state", state, ALIGNMENT.motions(state), np.zeros(1, np.int64)), state
    )


def test_the_shorter_way_round_is_taken() -> None:
    last = np.array([[0, 0, 0, 0, 2 * np.pi - 0.1]])
    assert ALIGNMENT.motions(last).angle == pytest.approx(0.6)


def test_arrays_that_do_not_move_stay_and_unknown_ones_are_refused() -> None:
    light = np.random.default_rng(0).random((3, 2))
    last = ends(1, 0)
    moved = ALIGNMENT.moved("light", light, ALIGNMENT.motions(last), np.zeros(3, np.int64))
    assert np.array_equal(moved, light)
    with pytest.raises(ConfigError, match="'img' moves with the scene"):
        ALIGNMENT.require(["state", "img"])
