"""Spaces of gymnasium become the arrays that our reader of Minari data sets makes of the same spaces."""

import numpy as np
import pytest
from gymnasium import spaces
from hypothesis import given
from hypothesis import strategies as st

from imitate.envs.gymnasium_spaces import action_spec, observation_leaves, to_action
from imitate.errors import ConfigError

WHERE = "env.id=X"


def test_a_lone_box_is_called_observation_and_keeps_finite_bounds() -> None:
    (leaf,) = observation_leaves(spaces.Box(-2.0, np.array([1.0, 3.0]), (2,), np.float64), WHERE)
    assert leaf.name == "observation" and leaf.spec.low == (-2.0, -2.0) and leaf.spec.high == (1.0, 3.0)
    assert leaf.of([0.1, 0.2]).dtype == np.float32


@pytest.mark.parametrize("high", [np.inf, np.finfo(np.float32).max])
def test_a_bound_that_is_none_leaves_the_range_unknown(high: float) -> None:
    space = spaces.Box(np.array([0, 0], np.float32), np.array([1, high], np.float32))
    assert observation_leaves(space, WHERE)[0].spec.high == ()


def test_nested_observations_are_named_by_their_keys_in_the_order_of_the_space() -> None:
    box = spaces.Box(0, 1, (1,), np.float32)
    goals = spaces.Dict({"top burner": box, "kettle": box})
    space = spaces.Dict({"goal": goals, "both": spaces.Tuple((box, spaces.Discrete(4, start=2)))})
    leaves = {leaf.name: leaf for leaf in observation_leaves(space, WHERE)}
    assert sorted(leaves) == ["both._index_0", "both._index_1", "goal.kettle", "goal.top_burner"]
    seen = {"goal": {"kettle": [0.25], "top burner": [0.5]}, "both": ([0.75], 5)}
    assert {name: leaf.of(seen).tolist() for name, leaf in leaves.items()} == {
        "both._index_0": [0.75], "both._index_1": [5.0], "goal.kettle": [0.25], "goal.top_burner": [0.5],
    }  # fmt: skip
    assert leaves["both._index_1"].spec.low == (2.0,) and leaves["both._index_1"].spec.high == (5.0,)


@pytest.mark.parametrize("shape", [(4, 6), (4, 6, 1), (4, 6, 3)])
def test_pictures_have_three_channels(shape: tuple[int, ...]) -> None:
    (leaf,) = observation_leaves(spaces.Box(0, 255, shape, np.uint8), WHERE)
    picture = np.random.default_rng(0).integers(0, 256, shape, np.uint8)
    given_back = leaf.of(picture)
    assert leaf.spec.is_image and given_back.shape == (4, 6, 3) and given_back.flags.owndata
    assert np.array_equal(given_back[..., :1], picture.reshape(4, 6, -1)[..., :1])


@pytest.mark.parametrize(
    "space",
    [spaces.Text(4), spaces.Box(0, 255, (4, 84, 84), np.uint8), spaces.Sequence(spaces.Discrete(2))],
)
def test_what_is_no_array_is_refused_with_the_name_of_the_environment(space: spaces.Space) -> None:
    with pytest.raises(ConfigError, match=r"env\.id=X"):
        observation_leaves(space, WHERE)


def test_an_action_in_parts_is_refused() -> None:
    with pytest.raises(ConfigError, match="Dict"):
        action_spec(spaces.Dict({"a": spaces.Discrete(2)}), WHERE)


ACTIONS = [
    spaces.Box(-1, 1, (3,), np.float32),
    spaces.Box(-2, 2, (2, 3), np.float64),
    spaces.Box(0, 9, (2,), np.int64),
    spaces.Discrete(3),
    spaces.Discrete(3, start=-1),
    spaces.MultiDiscrete([2, 5]),
    spaces.MultiDiscrete([[2, 3], [4, 5]]),
    spaces.MultiBinary(4),
]


@pytest.mark.parametrize("space", ACTIONS, ids=str)
@given(share=st.floats(0, 1))
def test_every_action_in_the_range_is_one_of_the_space(space: spaces.Space, share: float) -> None:
    spec = action_spec(space, WHERE)
    low, high = np.array(spec.low), np.array(spec.high)
    assert space.contains(to_action(low + share * (high - low), space))


@pytest.mark.parametrize("space", ACTIONS, ids=str)
def test_an_action_of_the_space_survives_being_a_vector(space: spaces.Space) -> None:
    space.seed(0)
    for _ in range(20):
        action = space.sample()
        back = to_action(np.asarray(action, np.float64).reshape(-1), space)
        assert np.array_equal(back, action) and np.shape(back) == np.shape(action)
