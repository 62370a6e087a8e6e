"""The learning rate of a run: the one that suits the policy, unless the settings say otherwise."""

import pytest

from imitate.policies.bc import BehaviourCloningConfig
from imitate.policies.diffusion import DiffusionConfig
from imitate.policies.nets.film_mlp import FilmMlpConfig
from imitate.policies.nets.transformer import TransformerConfig
from imitate.policies.nets.unet1d import UNet1dConfig
from imitate.policy import PolicyConfig
from imitate.training.config import TrainConfig
from imitate.training.learner import Learner
from imitate.training.optimizer import AdamWConfig
from imitate.types import ArraySpec, DataSpec

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
