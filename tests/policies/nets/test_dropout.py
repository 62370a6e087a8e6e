"""Dropout: its share, its scale, its independence, and nothing of it when acting."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from imitate.policies.nets.dropout import Dropout


@given(st.integers(0, 255), st.integers(0, 2**31))
def test_a_share_is_zero_and_the_mean_stays(dropped: int, seed: int) -> None:
    torch.manual_seed(seed)
    share, x = dropped / 256, torch.ones(173, 211)
    seen = Dropout(share)(x)
    kept = seen[seen != 0]
    assert (seen == 0).float().mean() == pytest.approx(share, abs=0.02)
    torch.testing.assert_close(kept, torch.full_like(kept, 1 / (1 - share)))


def test_features_fall_independently() -> None:
    torch.manual_seed(0)
    fallen = (Dropout(0.5)(torch.ones(20000, 16)) == 0).float()
    correlation = torch.corrcoef(fallen.T) - torch.eye(16)
    assert correlation.abs().max() < 0.04


def test_the_gradient_passes_where_features_stay() -> None:
    x = torch.randn(64, 8, requires_grad=True)
    seen = Dropout(0.25)(x)
    seen.sum().backward()
    assert x.grad is not None
    torch.testing.assert_close(x.grad, (seen != 0) / 0.75)


def test_acting_drops_nothing() -> None:
    x = torch.randn(5, 5)
    assert torch.equal(Dropout(0.9).eval()(x), x)
    assert torch.equal(Dropout(0.0)(x), x)


def test_it_follows_torch_s_seed() -> None:
    def draw() -> torch.Tensor:
        torch.manual_seed(3)
        return Dropout(0.5)(torch.ones(100))

    assert torch.equal(draw(), draw())
