"""Weights of a recorded graph, laid out in memory as they are multiplied.

A CPU multiplies the few rows of one chunk by a matrix whose transpose is stored (PyTorch's nn.Linear) up to
twice as slowly as by the matrix itself, and lays out the weights of a convolution anew at every call. In a
recorded graph they are constants, so that this can be done once.
"""

from typing import Any, Literal

import torch
from torch import Tensor
from torch.fx import GraphModule, Node

Precision = Literal["fp32", "bf16"]

FEWEST_WEIGHTS = 2**16
"""Layers of fewer weights, output heads above all, stay in float32: bfloat16 saves no time there."""

aten, onednn = torch.ops.aten, torch.ops.mkldnn
NO_POINTWISE: tuple[Any, ...] = ("none", [], "")


def lay_out(graph: GraphModule, precision: Precision) -> None:
    """Change linear layers and convolutions of `graph` in place; with "bf16" large ones read half as much."""
    for node in list(graph.graph.nodes):
        replace = {aten.linear.default: _linear, aten.conv1d.default: _convolution}.get(node.target)
        weight = _constant(graph, node.args[1]) if replace else None
        if replace is None or weight is None:
            continue
        dtype = torch.bfloat16 if precision == "bf16" and weight.numel() >= FEWEST_WEIGHTS else torch.float32
        with graph.graph.inserting_before(node):
            made = replace(_Maker(graph, dtype), node, weight)
        if made is not None:
            made.meta = node.meta
            node.replace_all_uses_with(made)
    graph.graph.eliminate_dead_code()
    graph.recompile()


class _Maker:
    """Adds operations and constants to a graph; those of a layer work in `dtype`."""

    def __init__(self, graph: GraphModule, dtype: torch.dtype) -> None:
        self.graph, self.dtype = graph, dtype

    def call(self, operation: Any, *arguments: Any) -> Node:
        return self.graph.graph.call_function(operation, arguments)

    def keep(self, constant: Tensor) -> Node:
        count = len(self.graph._buffers)
        self.graph.register_buffer(f"laid_out_{count}", constant)
        return self.graph.graph.get_attr(f"laid_out_{count}")

    def to(self, x: Any, dtype: torch.dtype) -> Any:
        return x if self.dtype == torch.float32 else self.call(aten.to.dtype, x, dtype)

    def bias(self, node: Node) -> Any:
        found = _constant(self.graph, node.args[2]) if len(node.args) > 2 else None
        return None if found is None else self.keep(found.to(self.dtype))


def _linear(maker: _Maker, node: Node, weight: Tensor) -> Node | None:
    x: Any = node.args[0]
    rows = x.meta["val"].numel() // weight.shape[1]
    if maker.dtype == torch.bfloat16:
        packed = maker.keep(onednn._reorder_linear_weight(weight.bfloat16(), rows))
        half = maker.to(x, torch.bfloat16)
        made = maker.call(onednn._linear_pointwise.default, half, packed, maker.bias(node), *NO_POINTWISE)
        return maker.to(made, torch.float32)
    if rows == 1 or len(node.args) < 3:  # a single row is read at the same speed either way
        return None
    flat = maker.call(aten.reshape.default, x, [rows, weight.shape[1]])
    made = maker.call(aten.addmm.default, maker.bias(node), flat, maker.keep(weight.T.contiguous()))
    return maker.call(aten.view.default, made, list(node.meta["val"].shape))


def _convolution(maker: _Maker, node: Node, weight: Tensor) -> Node | None:
    """Along one axis, as one along the second of two, which is what can be laid out beforehand."""
    x: Any = node.args[0]
    stride, padding, dilation, groups = _settings(node)
    if groups != 1 or weight.numel() < FEWEST_WEIGHTS:
        return None
    shape = list(x.meta["val"].shape)
    where = [0, padding], [1, stride], [1, dilation], 1
    packed = onednn._reorder_convolution_weight(
        weight[:, :, None].to(maker.dtype), *where, [shape[0], shape[1], 1, shape[2]]
    )
    wide = maker.to(maker.call(aten.unsqueeze.default, x, 2), torch.bfloat16)
    arguments = (wide, maker.keep(packed), maker.bias(node), *where, *NO_POINTWISE)
    made = maker.to(maker.call(onednn._convolution_pointwise.default, *arguments), torch.float32)
    return maker.call(aten.squeeze.dim, made, 2)


def _settings(node: Node) -> tuple[int, int, int, int]:
    """Stride, padding, dilation and groups of a convolution along one axis."""
    given: list[Any] = [*node.args[3:], *([1], [0], [1], 1)[len(node.args) - 3 :]]
    stride, padding, dilation, groups = (x[0] if isinstance(x, list | tuple) else x for x in given)
    return stride, padding, dilation, groups


def _constant(graph: GraphModule, node: Any) -> Tensor | None:
    """The tensor that `node` stands for, where no input takes part in it."""
    if not isinstance(node, Node) or node.op != "get_attr":
        return None
    found: Any = graph
    for name in str(node.target).split("."):
        found = getattr(found, name)
    return found.detach()
