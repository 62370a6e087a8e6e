"""One step of training: at the rate that suits the policy, or as the policy itself goes about it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn
from torch.optim import Adam

from imitate.errors import ConfigError
from imitate.normalize import Normalizer
from imitate.policies.bc import BehaviourCloningConfig
from imitate.policies.diffusion import DiffusionConfig
from imitate.policies.nets.film_mlp import FilmMlpConfig
from imitate.policies.nets.transformer import TransformerConfig
from imitate.policies.nets.unet1d import UNet1dConfig
from imitate.policy import Generator, Horizons, PolicyConfig, SelfTrainedPolicy
from imitate.training.config import TrainConfig
from imitate.training.learner import Learner
from imitate.training.loop import train
from imitate.training.optimizer import AdamWConfig
from imitate.types import ActionChunk, ArraySpec, Batch, DataSpec

SPEC = DataSpec({"state": ArraySpec((3,))}, ArraySpec((2,)))


@pytest.mark.parametrize(
    ("policy", "rate"),
    [
        (BehaviourCloningConfig(), 1e-3),
        (DiffusionConfig(denoiser=FilmMlpConfig(width=16, blocks=1)), 1e-3),
        (DiffusionConfig(denoiser=UNet1dConfig(widths=(16, 32))), 1e-4),
        (DiffusionConfig(denoiser=TransformerConfig(width=16, layers=1)), 1e-4),
    ],
)
def test_the_policy_decides_unless_told_otherwise(policy: PolicyConfig, rate: float) -> None:
    cpu = TrainConfig(device="cpu")
    assert Learner(policy.build(SPEC), AdamWConfig(), cpu).learning_rate == rate
    told = Learner(policy.build(SPEC), AdamWConfig(lr=0.5), cpu)
    assert told.learning_rate == 0.5
    assert {group["lr"] for group in told.optimizer.param_groups} == {0.5}


class TwoByTurns(SelfTrainedPolicy):
    """Two weights for the same action: one learns from the batch, the other follows the first."""

    def __init__(self) -> None:
        super().__init__(SPEC, Horizons(1, 1, 1), Normalizer(SPEC))
        self.first, self.second = nn.Linear(3, 2), nn.Linear(3, 2)
        self._optimizers = [Adam(net.parameters(), lr=0.01) for net in (self.first, self.second)]

    def optimizers(self) -> list[Adam]:
        return self._optimizers

    def loss(self, batch: Batch) -> dict[str, Tensor]:
        return {"loss": (self.first(batch.obs["state"][:, 0]) - batch.action[:, 0]).square().mean()}

    def learn(self, batch: Batch, step: int) -> dict[str, Tensor]:
        state = batch.obs["state"][:, 0] + 0.1 * torch.randn(len(batch), 3)
        wanted = [lambda: batch.action[:, 0], lambda: self.first(state).detach()]
        for net, target, optimizer in zip((self.first, self.second), wanted, self._optimizers, strict=True):
            optimizer.zero_grad()
            (net(state) - target()).square().mean().backward()
            optimizer.step()
        return self.loss(batch)

    def predict(self, obs: Mapping[str, Tensor], generator: Generator) -> ActionChunk:
        return ActionChunk(self.second(obs["state"]))


@dataclass(frozen=True)
class TwoByTurnsConfig:
    horizons: Horizons = field(default_factory=lambda: Horizons(1, 1, 1))

    def build(self, spec: DataSpec) -> TwoByTurns:
        return TwoByTurns()


def test_a_policy_that_trains_itself_learns_and_resumes_as_if_uninterrupted(trial, windows) -> None:
    whole = trial("whole", policy=TwoByTurnsConfig(), max_steps=200)
    assert train(whole.learner, windows(), None, whole.folder).metrics["train/loss"] < 0.1
    part = trial("part", policy=TwoByTurnsConfig(), max_steps=200)
    for step in range(80):
        part.learner.step(windows().batch(step), step, step / 200)
    again = trial("again", policy=TwoByTurnsConfig(), max_steps=200)
    stored = {name: value.clone() for name, value in part.learner.tensors(with_optimizer=True).items()}
    again.learner.restore(Path("stored"), stored)
    for step in range(80, 200):
        again.learner.step(windows().batch(step), step, step / 200)
    wanted, found = (job.learner.tensors(with_optimizer=True) for job in (whole, again))
    assert wanted.keys() == found.keys() and any(name.startswith("optim/second") for name in found)
    assert all(torch.equal(wanted[name], found[name]) for name in wanted)


@pytest.mark.parametrize(
    ("optim", "settings", "message"),
    [
        (AdamWConfig(lr=0.1), {}, "optim.lr is 0.1, but this policy trains itself"),
        (AdamWConfig(schedule="linear"), {}, "optim.schedule is linear"),
        (AdamWConfig(), {"precision": "bf16"}, "train.precision=bf16 is set"),
        (AdamWConfig(), {"compile": True}, "train.compile or"),
    ],
)
def test_settings_without_influence_are_refused(optim: AdamWConfig, settings: dict, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        Learner(TwoByTurns(), optim, TrainConfig(device="cpu", **settings))
