"""Convolutions as products of matrices: the results, gradients and names of weights of torch's own."""

from collections.abc import Callable

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from imitate.policies.nets import convolution
from imitate.policies.nets.convolution import FEWEST, SHORT, Conv1d, Doubling

STEPS = st.integers(1, SHORT + 4)
ROWS = st.sampled_from([1, 3, FEWEST // 2, FEWEST])


def of(layer: nn.Module, x: Tensor, forward: Callable[[Tensor], Tensor]) -> list[Tensor]:
    """The result, and the gradients of everything."""
    x = x.clone().requires_grad_()
    y = forward(x)
    weights = torch.randn(y.shape, generator=torch.Generator().manual_seed(1))
    return [y.detach(), *torch.autograd.grad((y * weights).sum(), [x, *layer.parameters()])]


@given(rows=ROWS, steps=STEPS, kernel=st.sampled_from([1, 3, 5]), stride=st.sampled_from([1, 2]))
@settings(max_examples=60, deadline=None)
def test_convolutions(rows: int, steps: int, kernel: int, stride: int) -> None:
    torch.manual_seed(0)
    layer = Conv1d(6, 4, kernel, stride=stride, padding=kernel // 2)
    x = torch.randn(rows, 6, steps)
    for found, expected in zip(
        of(layer, x, layer), of(layer, x, lambda x: nn.Conv1d.forward(layer, x)), strict=True
    ):
        torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-4)


@given(rows=ROWS, steps=STEPS)
@settings(max_examples=30, deadline=None)
def test_doublings(rows: int, steps: int) -> None:
    torch.manual_seed(0)
    layer, x = Doubling(5), torch.randn(rows, 5, steps)
    assert layer(x).shape == (rows, 5, 2 * steps)
    for found, expected in zip(
        of(layer, x, layer), of(layer, x, lambda x: nn.ConvTranspose1d.forward(layer, x)), strict=True
    ):
        torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-4)


def test_short_and_long_chunks_take_their_own_way(monkeypatch: pytest.MonkeyPatch) -> None:
    used: list[int] = []
    monkeypatch.setattr(nn.Conv1d, "forward", lambda self, x: used.append(x.shape[2]))
    layer = Conv1d(2, 2, 3, padding=1)
    for rows, steps in ((FEWEST, SHORT), (FEWEST, SHORT + 1), (1, SHORT)):
        layer(torch.zeros(rows, 2, steps))
    assert used == [SHORT + 1, SHORT]


def test_weights_are_named_as_torch_names_them() -> None:
    ours = {name: w.shape for name, w in Conv1d(3, 4, 5).state_dict().items()}
    assert ours == {name: w.shape for name, w in nn.Conv1d(3, 4, 5).state_dict().items()}
    doubling = {name: w.shape for name, w in Doubling(3).state_dict().items()}
    assert doubling == {n: w.shape for n, w in nn.ConvTranspose1d(3, 3, 4).state_dict().items()}
    assert convolution.SHORT == SHORT
