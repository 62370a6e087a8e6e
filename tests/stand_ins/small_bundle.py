"""An exported policy written by hand: a linear map of the newest observation, plus noise."""

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from imitate.export.card import model_card
from imitate.export.writing import arrays, write_bundle
from imitate.runtime.manifest import CARD, GOLDEN, MODEL, Horizons, Image, Manifest, SeenRange
from imitate.types import ArraySpec, DataSpec

SPEC = DataSpec(
    {
        "arm.joints": ArraySpec((2,), names=("a", "b"), units=("rad", "rad")),
        "cam": ArraySpec((2, 2, 3), "uint8"),
    },
    ArraySpec((2,), names=("x", "y"), units=("m", "m"), low=(-5.0, -5.0), high=(5.0, 5.0)),
    10.0,
)
HORIZONS = Horizons(2, 4, 3)
NOISE_SIZE = 6
GAIN = np.array([[0.5, -1.0], [2.0, 0.25]], np.float32)


def graph() -> bytes:
    """action (1, 3, 2) = clip(newest joints · GAIN + mean of the image / 255 + 0.01 noise)."""
    weights = {
        "gain": GAIN,
        "newest": np.array([1]),
        "shape": np.array([1, 3, 2]),
        "scale": np.array(1 / 255, np.float32),
        "small": np.array(0.01, np.float32),
        "low": np.array(-5, np.float32),
        "high": np.array(5, np.float32),
    }
    nodes = [
        helper.make_node("Gather", ["arm.joints", "newest"], ["last"], axis=1),
        helper.make_node("MatMul", ["last", "gain"], ["moved"]),
        helper.make_node("Cast", ["cam"], ["light"], to=TensorProto.FLOAT),
        helper.make_node("ReduceMean", ["light"], ["mean"], keepdims=0),
        helper.make_node("Mul", ["mean", "scale"], ["bright"]),
        helper.make_node("Reshape", ["noise", "shape"], ["drawn"]),
        helper.make_node("Mul", ["drawn", "small"], ["shake"]),
        helper.make_node("Add", ["moved", "bright"], ["sum"]),
        helper.make_node("Add", ["sum", "shake"], ["free"]),
        helper.make_node("Clip", ["free", "low", "high"], ["action"]),
    ]
    inputs = [
        helper.make_tensor_value_info("arm.joints", TensorProto.FLOAT, [1, 2, 2]),
        helper.make_tensor_value_info("cam", TensorProto.UINT8, [1, 2, 2, 2, 3]),
        helper.make_tensor_value_info("noise", TensorProto.FLOAT, [1, NOISE_SIZE]),
    ]
    outputs = [helper.make_tensor_value_info("action", TensorProto.FLOAT, [1, 3, 2])]
    constants = [numpy_helper.from_array(value, name) for name, value in weights.items()]
    made = helper.make_model(
        helper.make_graph(nodes, "linear", inputs, outputs, constants),
        opset_imports=[helper.make_opsetid("", 20)],
        ir_version=10,
    )
    onnx.checker.check_model(made)
    return bytes(made.SerializeToString())


def expected(obs: dict[str, np.ndarray], noise: np.ndarray) -> np.ndarray:
    """What the graph computes, (3, 2)."""
    moved = obs["arm.joints"][-1] @ GAIN + obs["cam"].mean() / 255
    return np.clip(moved + 0.01 * noise.reshape(3, 2), -5, 5).astype(np.float32)


def observation(rng: np.random.Generator) -> dict[str, np.ndarray]:
    return {
        "arm.joints": rng.uniform(-1, 1, (2, 2)).astype(np.float32),
        "cam": rng.integers(0, 256, (2, 2, 2, 3), dtype=np.uint8),
    }


def described(**changes: Any) -> Manifest:
    manifest = Manifest(
        spec=SPEC,
        horizons=HORIZONS,
        noise_size=NOISE_SIZE,
        seen={
            "arm.joints": SeenRange("minmax", (-1.0, -1.0), (1.0, 1.0)),
            "action": SeenRange("minmax", (-4.0, -4.0), (4.0, 4.0)),
        },
        action_low=(-5.0, -5.0),
        action_high=(5.0, 5.0),
        tolerance=(1e-3, 1e-3),
        images={"cam": Image(2, 2)},
        parity={
            "observations": 8, "source": "by hand", "largest_error_in_ranges": 0.0, "undecided": 0,
        },
        provenance={
            "policy": {"_target_": "by.hand.LinearConfig"}, "env": None, "step": 0, "metrics": {},
            "data_hash": "d" * 64, "checkpoint_hash": "c" * 64, "training_commit": None,
            "exporters": {"imitate": "0"}, "evaluation": None,
        },
        hashes={},
    )  # fmt: skip
    return dataclasses.replace(manifest, **changes)


def golden(pairs: int = 8) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(0)
    rows = [observation(rng) for _ in range(pairs)]
    noise = rng.standard_normal((pairs, NOISE_SIZE)).astype(np.float32)
    return {
        "obs.arm.joints": np.stack([row["arm.joints"] for row in rows]),
        "obs.cam": np.stack([row["cam"] for row in rows]),
        "noise": noise,
        "action": np.stack([expected(row, drawn) for row, drawn in zip(rows, noise, strict=True)]),
    }


def parts(manifest: Manifest | None = None) -> dict[str, bytes]:
    card = model_card(manifest or described()).encode()
    return {MODEL: graph(), GOLDEN: arrays(golden()), CARD: card}


def written(path: Path, key: Any = None, manifest: Manifest | None = None) -> Path:
    """A whole bundle at `path`."""
    write_bundle(path, manifest or described(), parts(manifest), key)
    return path
