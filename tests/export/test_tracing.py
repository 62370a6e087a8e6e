"""From a policy to a graph: what is recorded, what stays a constant, and what cannot be exported."""

from collections.abc import Mapping
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

pytest.importorskip("onnxscript")

import onnx
import onnxruntime

from imitate.errors import BundleError, ConfigError
from imitate.export import tracing
from imitate.export.tracing import OPSET, Acting, blank, noise_size, record, to_onnx
from imitate.normalize import Normalizer
from imitate.policy import CountedNoise, Generator, GivenNoise, Horizons, Policy, draw_noise
from imitate.types import ActionChunk, ArraySpec, Batch, DataSpec

SPEC = DataSpec({"state": ArraySpec((3,))}, ArraySpec((2,)))


class Looped(Policy):
    """A loop over one layer, whose step sizes come from a schedule."""

    def __init__(self) -> None:
        super().__init__(SPEC, Horizons(1, 4, 4), Normalizer(SPEC))
        torch.manual_seed(0)
        self.layer = nn.Linear(11, 8)

    def loss(self, batch: Batch) -> dict[str, Tensor]:
        raise NotImplementedError

    def predict(self, obs: Mapping[str, Tensor], generator: Generator) -> ActionChunk:
        seen = obs["state"][:, 0]
        chunk = draw_noise((len(seen), 8), generator, seen.device)
        schedule = torch.linspace(1.0, 0.0, 5)[:-1].cos()
        for step in schedule.tolist():
            chunk = chunk + step * self.layer(torch.cat([seen, chunk], dim=1))
        return ActionChunk(chunk.unflatten(1, (4, 2)))


class BranchesByTruth(Looped):
    def predict(self, obs: Mapping[str, Tensor], generator: Generator) -> ActionChunk:
        chunk = super().predict(obs, generator)
        return ActionChunk(-chunk.values) if obs["state"].sum() > 1 else chunk


class NeedsWhatOnnxLacks(Looped):
    def predict(self, obs: Mapping[str, Tensor], generator: Generator) -> ActionChunk:
        chunk = super().predict(obs, generator)
        return ActionChunk(torch.special.bessel_j0(chunk.values))


def test_noise_is_counted_and_handed_out_in_order() -> None:
    assert noise_size(Looped()) == 8
    noise = torch.arange(24.0).reshape(2, 12)
    given = GivenNoise(noise)
    assert torch.equal(draw_noise((2, 2, 3), given, torch.device("cpu")), noise[:, :6].reshape(2, 2, 3))
    assert torch.equal(draw_noise((2, 6), given, torch.device("cpu")), noise[:, 6:])
    with pytest.raises(ConfigError, match=r"\[2, 1\] was asked for after 12 of \[2, 12\]"):
        given.take((2, 1))
    with pytest.raises(ConfigError):
        GivenNoise(noise).take((3, 1))
    assert [row.noise.tolist() for row in GivenNoise(noise).rows(2)] == [[row] for row in noise.tolist()]  # type: ignore[attr-defined]


def test_counted_noise_is_standard_normal() -> None:
    counted = CountedNoise(torch.Generator().manual_seed(0))
    drawn = counted.take((1, 100, 100))
    assert counted.taken == 10_000
    assert abs(float(drawn.mean())) < 0.05 and abs(float(drawn.std()) - 1) < 0.05
    with pytest.raises(ConfigError):
        counted.rows(2)


def test_loops_are_unrolled_and_constants_are_not_recorded() -> None:
    graph = record(Acting(Looped()))
    called = [str(node.target) for node in graph.graph.nodes if node.op == "call_function"]
    assert sum("linear" in name for name in called) == 4
    assert not any("linspace" in name or "cos" in name for name in called)
    inputs = (torch.randn(1, 1, 3), torch.randn(1, 8))
    torch.testing.assert_close(graph(*inputs), Acting(Looped())(*inputs))


def test_the_graph_keeps_each_weight_once_and_no_trace_of_this_machine() -> None:
    content = to_onnx(Acting(Looped()))
    assert content == to_onnx(Acting(Looped()))
    model = onnx.load_from_string(content)
    assert [each.version for each in model.opset_import if each.domain == ""] == [OPSET]
    assert sum(len(each.raw_data) for each in model.graph.initializer) < 4 * (11 * 8 + 8) + 200
    for trace in (b"site-packages", str(Path(__file__).parents[2]).encode(), b".py"):
        assert trace not in content
    assert [each.name for each in model.graph.input] == ["state", "noise"]
    assert [each.name for each in model.graph.output] == ["action"]


def test_a_long_loop_is_one_turn_in_the_graph(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tracing, "LONG", 0)
    acting = Acting(Looped())
    content = to_onnx(acting)
    assert content == to_onnx(Acting(Looped()))
    model = onnx.load_from_string(content)
    onnx.checker.check_model(model, full_check=True)
    assert [node.op_type for node in model.graph.node].count("Loop") == 1
    assert sum(len(each.raw_data) for each in model.graph.initializer) < 4 * (11 * 8 + 8) + 200
    session = onnxruntime.InferenceSession(content, providers=["CPUExecutionProvider"])
    for seed in range(5):
        random = torch.Generator().manual_seed(seed)
        state, noise = torch.randn(1, 1, 3, generator=random), torch.randn(1, 8, generator=random)
        found = session.run(None, {"state": state.numpy(), "noise": noise.numpy()})[0]
        with torch.no_grad():
            torch.testing.assert_close(torch.from_numpy(found), acting(state, noise))


def test_what_an_observation_decides_in_python_is_refused() -> None:
    with pytest.raises(BundleError, match="BranchesByTruth cannot be exported") as caught:
        to_onnx(Acting(BranchesByTruth()))
    assert "\n" not in str(caught.value)


def test_what_onnx_cannot_do_is_refused() -> None:
    with pytest.raises(BundleError, match="NeedsWhatOnnxLacks cannot be exported") as caught:
        to_onnx(Acting(NeedsWhatOnnxLacks()))
    assert "\n" not in str(caught.value)


def test_a_blank_observation_has_the_shape_of_one() -> None:
    assert {key: tuple(value.shape) for key, value in blank(Looped()).items()} == {"state": (1, 1, 3)}
