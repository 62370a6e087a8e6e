"""Convolutions along the steps of a chunk, in an exported graph, as products with one matrix each.

onnxruntime multiplies matrices in whole numbers faster than it convolves at all:
see imitate.export.precision.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np

LAST = np.iinfo(np.int64).max


def as_products(onnx: Any, graph: Any, weights: Mapping[str, Any], fewest: int, made: dict[str, Any]) -> None:
    """Replace the convolutions of `graph` whose weights are constants of `fewest` numbers or more, in place.

    A convolution (B, C, T) to (B, C', T') becomes, with the steps before the channels, a product of the k
    steps that each result sees and a matrix (k C, C'). `made` takes in the constants that it needs, by name.
    """
    nodes = []
    for node in graph.node:
        weight = weights.get(node.input[1]) if node.op_type == "Conv" else None
        if weight is not None and np.prod(weight.dims) >= fewest and _is_plain(node, len(weight.dims)):
            nodes += _Product(onnx, node, weight, made).nodes()
        else:
            nodes.append(node)
    del graph.node[:]
    graph.node.extend(nodes)


def _is_plain(node: Any, rank: int) -> bool:
    """Whether it goes along one axis, in one group, without gaps, with padding that is said."""
    said = _said(node)
    one = said.get("group", 1) == 1 and said.get("dilations", [1]) == [1]
    return rank == 3 and one and said.get("auto_pad", b"NOTSET") == b"NOTSET"


def _said(node: Any) -> dict[str, Any]:
    """The attributes of `node`: whole numbers, texts and lists of whole numbers."""
    return {each.name: list(each.ints) or each.s or each.i for each in node.attribute}


class _Product:
    """What stands for the convolution `node`."""

    def __init__(self, onnx: Any, node: Any, weight: Any, made: dict[str, Any]) -> None:
        self._onnx, self._node, self._made = onnx, node, made
        self._stem = f"{node.output[0]}/product"
        values = onnx.numpy_helper.to_array(weight)
        self._kernel = values.shape[2]
        self._matrix = f"{weight.name}/matrix"
        if self._matrix not in made:
            flat = np.ascontiguousarray(values.transpose(2, 1, 0).reshape(-1, len(values)))
            made[self._matrix] = onnx.numpy_helper.from_array(flat, self._matrix)

    def nodes(self) -> list[Any]:
        """Steps first, padded; every step with its k - 1 neighbours; the product; channels first again."""
        said = _said(self._node)
        before, behind = said.get("pads", [0, 0])
        (stride,) = said.get("strides", [1])
        nodes = [self._make("Transpose", [self._node.input[0]], "turned", perm=[0, 2, 1])]
        if before or behind:
            pads = self._constant(f"pads_{before}_{behind}", [0, before, 0, 0, behind, 0])
            nodes.append(self._make("Pad", [nodes[-1].output[0], pads], "padded"))
        wide = nodes[-1].output[0]
        shares = [self._every(wide, at, stride) for at in range(self._kernel)]
        nodes += [*shares, self._make("Concat", [each.output[0] for each in shares], "seen", axis=2)]
        bias = list(self._node.input[2:])
        product = self._make("MatMul", [nodes[-1].output[0], self._matrix], "multiplied")
        nodes.append(product)
        if bias:
            nodes.append(self._make("Add", [product.output[0], *bias], "shifted"))
        last = self._make("Transpose", [nodes[-1].output[0]], "", perm=[0, 2, 1])
        last.output[0] = self._node.output[0]
        return [*nodes, last]

    def _every(self, wide: str, at: int, stride: int) -> Any:
        """What weight number `at` sees of each result."""
        left_out = self._kernel - 1 - at
        limits = [
            self._constant(f"slice_{number}", [number])
            for number in (at, -left_out if left_out else LAST, 1, stride)
        ]
        return self._make("Slice", [wide, *limits], f"share_{at}")

    def _make(self, kind: str, inputs: list[str], name: str, **settings: Any) -> Any:
        made = f"{self._stem}/{name}"
        return self._onnx.helper.make_node(kind, inputs, [made], made, **settings)

    def _constant(self, name: str, values: list[int]) -> str:
        name = f"product/{name}"
        if name not in self._made:
            self._made[name] = self._onnx.numpy_helper.from_array(np.array(values, np.int64), name)
        return name
