"""Mirrors: their own inverse, half of the windows, and never a window half mirrored."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from imitate.errors import ConfigError
from imitate.symmetry import Mirror, Reflection
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


def test_an_observation_without_reflection_is_named() -> None:
    MIRROR.require(["state"])
    with pytest.raises(ConfigError, match=r"does not say how 'img' looks in the mirror \(known: state\)"):
        MIRROR.require(["state", "img"])
