"""Which losses are recorded as CUDA graphs, and what comes out of a compiled one. No GPU is needed."""

from typing import Any

import pytest
import torch
from torch import Tensor

from imitate.cluster.learner import ClusterLearner
from imitate.errors import TrainingError
from imitate.policies.bc import BehaviourCloningConfig
from imitate.policies.consistency import ConsistencyConfig
from imitate.policies.diffusion import DiffusionConfig
from imitate.policies.flow import FlowConfig
from imitate.policies.mode import ModeConfig
from imitate.policies.nets.film_mlp import FilmMlpConfig
from imitate.policies.nets.mode_transformer import ModeTransformerConfig
from imitate.policy import PolicyConfig
from imitate.training.compiling import compile_mode, compiled
from imitate.training.learner import Learner
from imitate.types import ArraySpec, Batch, DataSpec

SPEC = DataSpec({"state": ArraySpec((3,))}, ArraySpec((2,)))
TINY = FilmMlpConfig(width=16, blocks=1, condition_width=8)
RECORDED: list[PolicyConfig] = [
    DiffusionConfig(denoiser=TINY),
    FlowConfig(denoiser=TINY),
    BehaviourCloningConfig(),
]
KEPT: list[PolicyConfig] = [
    ModeConfig(denoiser=ModeTransformerConfig(width=16, layers=1, heads=2)),
    ConsistencyConfig(denoiser=TINY),
]
BATCH = Batch({}, torch.zeros(2, 1, 1), torch.zeros(2, 1, dtype=torch.bool), torch.ones(2))


@pytest.mark.parametrize("config", RECORDED + KEPT, ids=lambda config: type(config).__name__)
def test_a_gpu_records_what_keeps_nothing(config: PolicyConfig) -> None:
    policy = config.build(SPEC)
    assert compile_mode(policy, torch.device("cpu")) == "default"
    assert compile_mode(policy, torch.device("cuda", 1)) == (
        "default" if config in KEPT else "reduce-overhead"
    )


def test_shards_of_a_batch_add_up_and_are_not_recorded() -> None:
    cluster = ClusterLearner.__new__(ClusterLearner)
    cluster.policy, cluster.device = RECORDED[0].build(SPEC), torch.device("cuda")
    assert Learner._compile_mode(cluster) == "reduce-overhead"
    assert cluster._compile_mode() == "default"


def test_what_the_log_keeps_of_a_recorded_step_outlives_the_next(monkeypatch: pytest.MonkeyPatch) -> None:
    """In place of a graph a function that writes where it wrote before, as recorded graphs do."""
    asked: dict[str, Any] = {}
    place = torch.zeros(())

    def compile(loss: Any, **settings: Any) -> Any:
        asked.update(settings)

        def replay(batch: Batch) -> dict[str, Tensor]:
            place.add_(1.0)
            return loss(batch)

        return replay

    monkeypatch.setattr(torch, "compile", compile)
    weight = torch.ones((), requires_grad=True)
    call = compiled(lambda batch: {"loss": place * weight, "place": place}, "reduce-overhead")
    first, second = call(BATCH), call(BATCH)
    assert asked == {"mode": "reduce-overhead", "dynamic": False}
    assert (float(first["place"]), float(second["place"])) == (1.0, 2.0)
    second["loss"].backward()
    assert weight.grad == 2.0


def test_what_cannot_be_compiled_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(batch: Batch) -> dict[str, Tensor]:
        raise torch._dynamo.exc.TorchDynamoException("no compiler\nand a long story")

    monkeypatch.setattr(torch, "compile", lambda loss, **_: loss)
    with pytest.raises(TrainingError, match=r"train.compile=true does not work here.*: no compiler$"):
        compiled(fails)(BATCH)
