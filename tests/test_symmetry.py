"""Mirrors: their own inverse, half of the windows, and never a window half mirrored."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from imitate.errors import ConfigError
from imitate.symmetry import Mirror, Reflection, across_the_diagonal
from imitate.types import Batch, Outcome

SWAP = Reflection(order=(1, 0), signs=(-1.0, -1.0), offsets=(5.0, 5.0))
NEGATE = Reflection(order=(0,), signs=(-1.0,), offsets=(0.0,))
MIRROR = Mirror({"state": SWAP}, NEGATE)


@given(st.tuples(st.floats(-1e3, 1e3), st.floats(-1e3, 1e3)))
def test_a_reflection_undoes_itself(values: tuple[float, float]) -> None:
    point = torch.tensor([values], dtype=torch.float64)
    assert SWAP(point).tolist() == [[5 - values[1], 5 - values[0]]]
    torch.testing.assert_close(SWAP(SWAP(point)), point)


@given(st.integers(0, 2**32 - 1))
def test_windows_are_mirrored_whole_or_not_at_all(seed: int) -> None:
    batch = Batch(
        {"state": torch.tensor([1.0, 2.0]).expand(400, 2, 2)},
        torch.full((400, 4, 1), 7.0),
        torch.zeros(400, 4, dtype=torch.bool),
        torch.ones(400),
        Outcome(
            {"state": torch.tensor([3.0, 0.0]).expand(400, 4, 2)},
            torch.zeros(400, 4, dtype=torch.bool),
            torch.ones(400),
        ),
    )
    seen = MIRROR.half(batch, np.random.default_rng(seed))
    mirrored = seen.action[:, 0, 0] == -7.0
    assert 100 < mirrored.sum() < 300
    assert (seen.action == torch.where(mirrored, -7.0, 7.0)[:, None, None]).all()
    wanted = torch.where(mirrored[:, None], torch.tensor([3.0, 4.0]), torch.tensor([1.0, 2.0]))
    assert (seen.obs["state"] == wanted[:, None]).all()
    assert seen.outcome is not None
    after = torch.where(mirrored[:, None], torch.tensor([5.0, 2.0]), torch.tensor([3.0, 0.0]))
    assert (seen.outcome.obs["state"] == after[:, None]).all()
    again = MIRROR.half(batch, np.random.default_rng(seed))
    assert torch.equal(again.action, seen.action)


@given(st.integers(0, 7), st.integers(0, 7))
def test_a_picture_shows_a_point_where_its_mirror_image_lies(x: int, y: int) -> None:
    picture = torch.zeros(8, 8, 3, dtype=torch.uint8)
    picture[y, x] = 255
    mirrored = across_the_diagonal(picture)
    assert mirrored.nonzero()[:, :2].unique(dim=0).tolist() == [[7 - x, 7 - y]]
    assert torch.equal(across_the_diagonal(mirrored), picture)


@given(st.integers(0, 2**32 - 1))
def test_pictures_are_mirrored_with_what_else_is_seen(seed: int) -> None:
    mirror = Mirror({"state": SWAP, "img": across_the_diagonal}, NEGATE)
    pictures = torch.arange(30 * 2 * 4 * 4 * 3, dtype=torch.float32).view(30, 2, 4, 4, 3)
    obs = {"state": torch.zeros(30, 2, 2), "img": pictures}
    batch = Batch(obs, torch.ones(30, 4, 1), torch.zeros(30, 4, dtype=torch.bool), torch.ones(30))
    seen = mirror.half(batch, np.random.default_rng(seed))
    for i, action in enumerate(seen.action[:, 0, 0]):
        wanted = pictures[i] if action > 0 else across_the_diagonal(pictures[i])
        assert torch.equal(seen.obs["img"][i], wanted)
        assert (seen.obs["state"][i] == (0.0 if action > 0 else 5.0)).all()


def test_an_observation_without_reflection_is_named() -> None:
    MIRROR.require(["state"])
    with pytest.raises(ConfigError, match=r"does not say how 'img' looks in the mirror \(known: state\)"):
        MIRROR.require(["state", "img"])
