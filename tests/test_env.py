"""The spaces that a DataSpec describes."""

import numpy as np
from gymnasium import spaces

from imitate.env import box, spaces_of
from imitate.types import ArraySpec, DataSpec


def test_range_shape_and_type_come_from_the_spec() -> None:
    space = box(ArraySpec((2,), low=(-1.0, 0.0), high=(1.0, 2.0)))
    assert space == spaces.Box(np.float32([-1, 0]), np.float32([1, 2]), dtype=np.float32)


def test_an_unknown_range_is_unbounded() -> None:
    assert not box(ArraySpec((3,))).is_bounded("both")


def test_images_are_bytes() -> None:
    space = box(ArraySpec((8, 6, 3), dtype="uint8"))
    assert space.dtype == np.uint8 and space.low.min() == 0 and space.high.max() == 255


def test_every_observation_has_its_space() -> None:
    spec = DataSpec({"x": ArraySpec((3,)), "camera": ArraySpec((8, 6, 3), "uint8")}, ArraySpec((2,)))
    observations, action = spaces_of(spec)
    assert {key: space.shape for key, space in observations.items()} == {"x": (3,), "camera": (8, 6, 3)}
    assert action.shape == (2,)
