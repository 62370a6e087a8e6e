"""Graphs in lower precision: what becomes of each weight, what stays, and what that does to products."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")

import onnx
import onnxruntime as ort
from onnx import TensorProto, helper, numpy_helper

from imitate.export.precision import FEWEST_HALVED, FEWEST_ROUNDED, lowered, rounded

WIDE = 96
assert WIDE * WIDE > FEWEST_ROUNDED > WIDE > 1


def model(nodes: Sequence[Any], weights: dict[str, np.ndarray], rows: int = 3) -> bytes:
    """A graph from x (rows, WIDE) to y."""
    put = helper.make_tensor_value_info
    graph = helper.make_graph(
        nodes,
        "g",
        [put("x", TensorProto.FLOAT, [rows, WIDE])],
        [put("y", TensorProto.FLOAT, None)],
        [numpy_helper.from_array(np.asarray(v), k) for k, v in weights.items()],
    )
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)
    return bytes(made.SerializeToString())


def run(content: bytes, x: np.ndarray) -> np.ndarray:
    session = ort.InferenceSession(content, providers=["CPUExecutionProvider"])
    result: np.ndarray = session.run(None, {"x": x})[0]
    return result


def random(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


def operations(content: bytes) -> list[str]:
    return [node.op_type for node in onnx.load_from_string(content).graph.node]


@given(arrays.arrays(np.float32, (5, 3), elements=st.floats(-1e3, 1e3, width=32)))
def test_a_rounded_matrix_is_the_matrix_to_half_a_scale(matrix: np.ndarray) -> None:
    whole, scale = rounded(matrix)
    assert whole.dtype == np.int8 and scale.shape == (3,) and (scale > 0).all()
    assert (np.abs(whole * scale - matrix) <= 0.5001 * scale).all()
    assert np.abs(whole).max(initial=0) <= 127


@given(seed=st.integers(0, 2**16), turned=st.booleans(), biased=st.booleans())
@settings(max_examples=12, deadline=None)
def test_a_layer_in_int8_is_off_by_no_more_than_rounding(seed: int, turned: bool, biased: bool) -> None:
    weight, bias, x = random(WIDE, 64, seed=seed), random(64, seed=seed + 1), random(3, WIDE, seed=seed + 2)
    stored = np.ascontiguousarray(weight.T) if turned else weight
    inputs = ["x", "w", "b"] if biased else ["x", "w"]
    gemm = helper.make_node("Gemm", inputs, ["y"], transB=int(turned))
    whole = model([gemm], {"w": stored, "b": bias} if biased else {"w": stored})
    small = lowered(whole, "int8")
    assert operations(small) == ["DynamicQuantizeMatMul"]
    step = (max(x.max(), 0) - min(x.min(), 0)) / 255  # of what is multiplied, for all rows together
    _, scale = rounded(weight)
    most = step * np.abs(weight).sum(axis=0) + 0.5 * scale * np.abs(x).sum(axis=1)[:, None]
    assert (np.abs(run(small, x) - run(whole, x)) <= most + 1e-4).all()
    assert np.abs(run(small, x) - run(whole, x)).max() > 0


def test_half_precision_rounds_weights_and_nothing_else() -> None:
    weight, small, x = random(WIDE, WIDE), random(WIDE, seed=1), random(3, WIDE, seed=2)
    nodes = [helper.make_node("MatMul", ["x", "w"], ["p"]), helper.make_node("Mul", ["p", "s"], ["y"])]
    half = lowered(model(nodes, {"w": weight, "s": small}), "float16")
    kinds = {w.name: w.data_type for w in onnx.load_from_string(half).graph.initializer}
    assert kinds == {"w/float16": TensorProto.FLOAT16, "s": TensorProto.FLOAT}
    rounded_by_hand = model(nodes, {"w": weight.astype(np.float16).astype(np.float32), "s": small})
    assert np.array_equal(run(half, x), run(rounded_by_hand, x))


def test_weights_that_half_precision_cannot_hold_stay() -> None:
    weight = random(WIDE, WIDE)
    weight[0, 0] = 1e6
    whole = model([helper.make_node("MatMul", ["x", "w"], ["y"])], {"w": weight})
    assert weight.size >= FEWEST_HALVED
    assert np.array_equal(run(lowered(whole, "float16"), random(3, WIDE)), run(whole, random(3, WIDE)))


def test_a_matrix_used_both_ways_and_in_a_loop_is_rounded_in_each() -> None:
    put = helper.make_tensor_value_info
    weight = random(WIDE, WIDE) / 20
    body = helper.make_graph(
        [
            helper.make_node("MatMul", ["state", "w"], ["next"]),
            helper.make_node("Identity", ["on"], ["still"]),
        ],
        "turn",
        [
            put("number", TensorProto.INT64, []),
            put("on", TensorProto.BOOL, []),
            put("state", TensorProto.FLOAT, [3, WIDE]),
        ],
        [put("still", TensorProto.BOOL, []), put("next", TensorProto.FLOAT, [3, WIDE])],
    )
    nodes = [
        helper.make_node("Gemm", ["x", "w"], ["first"], transB=1),
        helper.make_node("Loop", ["turns", "", "first"], ["y"], body=body),
    ]
    whole = model(nodes, {"w": weight, "turns": np.array(2, np.int64)})
    small, x = lowered(whole, "int8"), random(3, WIDE)
    kept = {each.name for each in onnx.load_from_string(small).graph.initializer}
    assert kept == {"turns", "w/int8", "w/scale", "w/turned_int8", "w/turned_scale"}
    expected = run(whole, x)
    assert np.abs(run(small, x) - expected).max() < 0.05 * np.abs(expected).max()


@pytest.mark.parametrize(
    ("kind", "settings", "bias"),
    [
        ("Gemm", {"alpha": 0.5}, random(64)),
        ("Gemm", {"beta": 2.0}, random(64)),
        ("Gemm", {}, random(1, 64)),
    ],
)
def test_layers_of_another_form_stay(kind: str, settings: dict[str, float], bias: np.ndarray) -> None:
    whole = model(
        [helper.make_node(kind, ["x", "w", "b"], ["y"], **settings)], {"w": random(WIDE, 64), "b": bias}
    )
    assert kind in operations(lowered(whole, "int8"))
    assert "DynamicQuantizeMatMul" not in operations(lowered(whole, "int8"))


def test_the_same_graph_gives_the_same_bytes() -> None:
    whole = model([helper.make_node("MatMul", ["x", "w"], ["y"])], {"w": random(WIDE, WIDE)})
    assert lowered(whole, "int8") == lowered(whole, "int8")
    assert len(lowered(whole, "int8")) < 0.35 * len(whole)
    assert len(lowered(whole, "float16")) < 0.6 * len(whole)
