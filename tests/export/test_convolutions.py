"""Convolutions as products of matrices: the same results, whatever kernel, stride and padding."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")

import onnx
import onnxruntime as ort
from onnx import TensorProto, helper, numpy_helper

from imitate.export.convolutions import as_products
from imitate.export.precision import lowered


def random(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


def model(weight: np.ndarray, bias: np.ndarray | None, steps: int, **said: object) -> onnx.ModelProto:
    """A graph from x (1, C, steps) to y by one convolution."""
    put = helper.make_tensor_value_info
    constants = {"w": weight} if bias is None else {"w": weight, "b": bias}
    node = helper.make_node("Conv", ["x", *constants], ["y"], kernel_shape=[weight.shape[2]], **said)
    graph = helper.make_graph(
        [node],
        "g",
        [put("x", TensorProto.FLOAT, [1, weight.shape[1], steps])],
        [put("y", TensorProto.FLOAT, None)],
        [numpy_helper.from_array(value, name) for name, value in constants.items()],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)


def run(made: onnx.ModelProto, x: np.ndarray) -> np.ndarray:
    session = ort.InferenceSession(made.SerializeToString(), providers=["CPUExecutionProvider"])
    result: np.ndarray = session.run(None, {"x": x})[0]
    return result


def operations(made: onnx.ModelProto) -> list[str]:
    return [node.op_type for node in made.graph.node]


def replaced(made: onnx.ModelProto, fewest: int = 1) -> onnx.ModelProto:
    constants: dict[str, onnx.TensorProto] = {}
    weights = {each.name: each for each in made.graph.initializer}
    as_products(onnx, made.graph, weights, fewest, constants)
    made.graph.initializer.extend(constants.values())
    return made


@given(
    kernel=st.integers(1, 5),
    stride=st.integers(1, 3),
    pads=st.tuples(st.integers(0, 3), st.integers(0, 3)),
    steps=st.integers(5, 9),
    biased=st.booleans(),
)
@settings(max_examples=60, deadline=None)
def test_the_product_is_the_convolution(
    kernel: int, stride: int, pads: tuple[int, int], steps: int, biased: bool
) -> None:
    weight, bias = random(4, 3, kernel), random(4, seed=1) if biased else None
    said = {"strides": [stride], "pads": list(pads)}
    x = random(1, 3, steps, seed=2)
    made = replaced(model(weight, bias, steps, **said))
    assert "Conv" not in operations(made)
    np.testing.assert_allclose(run(made, x), run(model(weight, bias, steps, **said), x), atol=1e-5)


@pytest.mark.parametrize("said", [{"group": 3}, {"dilations": [2]}, {"auto_pad": "SAME_UPPER"}])
def test_other_convolutions_stay(said: dict[str, object]) -> None:
    channels = 1 if "group" in said else 3
    assert operations(replaced(model(random(3, channels, 3), None, 8, **said))) == ["Conv"]


def test_small_ones_stay() -> None:
    assert operations(replaced(model(random(4, 3, 3), None, 8), fewest=37)) == ["Conv"]


def test_in_int8_it_is_a_product_of_whole_numbers() -> None:
    whole = model(random(64, 64, 5), random(64, seed=1), 8, pads=[2, 2])
    small = onnx.load_from_string(lowered(whole.SerializeToString(), "int8"))
    assert "DynamicQuantizeMatMul" in operations(small) and "Conv" not in operations(small)
    x = random(1, 64, 8, seed=2)
    error = np.abs(run(small, x) - run(whole, x))
    assert 0 < error.max() < 0.02 * np.abs(run(whole, x)).max()
    assert len(small.SerializeToString()) < 0.35 * len(whole.SerializeToString())
