"""An exported graph with smaller weights: half the bytes, or a quarter and layers that multiply in int8.

"float16" keeps every large weight in half precision; it is widened when the graph is loaded, so that all is
computed in float32, as fast as before. "int8" also turns layers whose matrix is a constant, and convolutions
along the chunk (imitate.export.convolutions), into products of whole numbers: the matrix is rounded column by
column, what it is multiplied by anew in every call (onnxruntime's DynamicQuantizeMatMul). Other large weights
are kept as for "float16".
"""

from collections.abc import Iterator
from typing import Any, Literal

import numpy as np

from imitate.errors import import_extra
from imitate.export.convolutions import as_products

Lowered = Literal["float16", "int8"]
Precision = Literal["float32", Lowered]

FEWEST_HALVED = 2**10
"""Weights: what is smaller says scales, offsets and noise levels, and weighs nothing."""
FEWEST_ROUNDED = 2**12
"""Weights of a matrix: what is smaller, output heads above all, saves no time as whole numbers."""
LARGEST_WHOLE = 127
MICROSOFT, MICROSOFT_OPSET = "com.microsoft", 1


def lowered(model: bytes, precision: Lowered) -> bytes:
    """The ONNX file `model` in another precision; the same file gives the same bytes."""
    onnx = import_extra("onnx", "export")
    found = onnx.load_from_string(model)
    if precision == "int8":
        _round(onnx, found)
    _halve(onnx, found.graph)
    return bytes(found.SerializeToString(deterministic=True))


def _round(onnx: Any, model: Any) -> None:
    """Layers with a constant matrix multiply in int8, convolutions along the chunk among them."""
    weights = {each.name: each for each in model.graph.initializer}
    unrolled: dict[str, Any] = {}
    for graph in _graphs(model.graph):
        as_products(onnx, graph, weights, FEWEST_ROUNDED, unrolled)
    model.graph.initializer.extend(unrolled.values())
    weights |= unrolled
    matrices = {name: each for name, each in weights.items() if _is_matrix(onnx, each)}
    vectors = {"", *(name for name, each in weights.items() if len(each.dims) == 1)}
    made: dict[str, Any] = {}
    for graph in _graphs(model.graph):
        for node in graph.node:
            if node.op_type not in ("MatMul", "Gemm") or node.input[1] not in matrices:
                continue
            if _is_plain(node) and vectors.issuperset(node.input[2:]):
                _replace(onnx, node, matrices[node.input[1]], made)
    used = {name for graph in _graphs(model.graph) for node in graph.node for name in node.input}
    kept = [each for each in model.graph.initializer if each.name in used]
    del model.graph.initializer[:]
    model.graph.initializer.extend([*kept, *made.values()])
    if made and all(each.domain != MICROSOFT for each in model.opset_import):
        model.opset_import.append(onnx.helper.make_opsetid(MICROSOFT, MICROSOFT_OPSET))


def _replace(onnx: Any, node: Any, matrix: Any, made: dict[str, Any]) -> None:
    """Change `node` in place; `made` are the rounded matrices so far, and their scales."""
    turned = any(each.name == "transB" and each.i for each in node.attribute)
    name, scale = f"{matrix.name}/{'turned_' * turned}int8", f"{matrix.name}/{'turned_' * turned}scale"
    if name not in made:
        values = onnx.numpy_helper.to_array(matrix)
        for key, array in zip((name, scale), rounded(values.T if turned else values), strict=True):
            made[key] = onnx.numpy_helper.from_array(array, key)
    bias = ["", node.input[2]] if len(node.input) > 2 and node.input[2] else []
    replacement = onnx.helper.make_node(
        "DynamicQuantizeMatMul", [node.input[0], name, scale, *bias], node.output, node.name, domain=MICROSOFT
    )
    node.CopyFrom(replacement)


def rounded(matrix: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Whole numbers (K, N) int8 and scales (N,), whose product is `matrix` to half a scale."""
    scale = np.abs(matrix).max(axis=0).astype(np.float32) / np.float32(LARGEST_WHOLE)
    scale[scale == 0] = 1.0
    return np.ascontiguousarray(np.rint(matrix / scale).astype(np.int8)), scale


def _is_matrix(onnx: Any, weight: Any) -> bool:
    is_float = weight.data_type == onnx.TensorProto.FLOAT
    return is_float and len(weight.dims) == 2 and _size(weight) >= FEWEST_ROUNDED


def _is_plain(node: Any) -> bool:
    """Whether a Gemm multiplies as a MatMul does, and adds its bias once."""
    usual = {"alpha": 1.0, "beta": 1.0, "transA": 0}
    return all(
        (each.f if isinstance(usual[each.name], float) else each.i) == usual[each.name]
        for each in node.attribute
        if each.name in usual
    )


def _halve(onnx: Any, graph: Any) -> None:
    """Keep large weights in float16, and widen each before it is used."""
    kept, casts = [], []
    for weight in graph.initializer:
        values = onnx.numpy_helper.to_array(weight)
        with np.errstate(over="ignore"):
            half = values.astype(np.float16) if _is_large(onnx, weight) else None
        if half is None or not np.isfinite(half).all():
            kept.append(weight)
            continue
        name = f"{weight.name}/float16"
        kept.append(onnx.numpy_helper.from_array(half, name))
        wide = onnx.TensorProto.FLOAT
        casts.append(onnx.helper.make_node("Cast", [name], [weight.name], f"{name}/widened", to=wide))
    nodes = [*casts, *graph.node]
    del graph.initializer[:], graph.node[:]
    graph.initializer.extend(kept)
    graph.node.extend(nodes)


def _is_large(onnx: Any, weight: Any) -> bool:
    return bool(weight.data_type == onnx.TensorProto.FLOAT and _size(weight) >= FEWEST_HALVED)


def _size(weight: Any) -> int:
    return int(np.prod(weight.dims, dtype=np.int64))


def _graphs(graph: Any) -> Iterator[Any]:
    """`graph`, and those of the loops in it."""
    yield graph
    for node in graph.node:
        for attribute in node.attribute:
            if attribute.HasField("g"):
                yield from _graphs(attribute.g)
