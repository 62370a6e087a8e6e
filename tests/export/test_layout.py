"""Layers on weights laid out beforehand give what they gave before."""

from collections.abc import Callable

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.fx import GraphModule
from torch.fx.experimental.proxy_tensor import make_fx

from imitate.export.layout import FEWEST_WEIGHTS, Precision, lay_out

LARGE, SMALL = 288, 8
TOLERANCE: dict[Precision, float] = {"fp32": 1e-5, "bf16": 2e-2}


def laid_out(layer: nn.Module, x: Tensor, precision: Precision) -> GraphModule:
    with torch.no_grad():
        graph = make_fx(layer, pre_dispatch=True)(x)
    lay_out(graph, precision)
    return graph


def operations(graph: GraphModule) -> set[str]:
    return {str(node.target) for node in graph.graph.nodes if node.op == "call_function"}


@given(
    rows=st.sampled_from([(1,), (7,), (2, 5)]),
    width=st.sampled_from([SMALL, LARGE]),
    bias=st.booleans(),
    precision=st.sampled_from(["fp32", "bf16"]),
)
@settings(max_examples=24, deadline=None)
def test_linear_layers(rows: tuple[int, ...], width: int, bias: bool, precision: Precision) -> None:
    torch.manual_seed(0)
    layer, x = nn.Linear(width, width, bias=bias), torch.randn(*rows, width)
    _same(layer, x, precision)


@given(
    rows=st.integers(1, 3),
    stride=st.integers(1, 2),
    bias=st.booleans(),
    groups=st.sampled_from([1, 2]),
    precision=st.sampled_from(["fp32", "bf16"]),
)
@settings(max_examples=16, deadline=None)
def test_convolutions(rows: int, stride: int, bias: bool, groups: int, precision: Precision) -> None:
    torch.manual_seed(0)
    layer = nn.Conv1d(LARGE, LARGE, 5, stride, padding=2, bias=bias, groups=groups)
    _same(layer, torch.randn(rows, LARGE, 8), precision)


def _same(layer: Callable[[Tensor], Tensor], x: Tensor, precision: Precision) -> None:
    assert isinstance(layer, nn.Module)
    graph = laid_out(layer, x, precision)
    with torch.inference_mode():
        torch.testing.assert_close(graph(x), layer(x), atol=TOLERANCE[precision], rtol=TOLERANCE[precision])


@pytest.mark.parametrize(("width", "is_half"), [(LARGE, True), (SMALL, False)])
def test_only_large_layers_are_multiplied_in_bfloat16(width: int, is_half: bool) -> None:
    assert (LARGE**2 >= FEWEST_WEIGHTS) and (SMALL**2 < FEWEST_WEIGHTS)
    graph = laid_out(nn.Linear(width, width), torch.randn(4, width), "bf16")
    assert ("mkldnn._linear_pointwise.default" in operations(graph)) is is_half
