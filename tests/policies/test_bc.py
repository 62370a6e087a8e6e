"""Behaviour cloning: its loss is the likelihood of the mixture, and wrong settings are refused."""

from typing import Any

import pytest
import torch
from torch import distributions

from imitate.errors import ConfigError
from imitate.policies.bc import BehaviourCloningConfig
from imitate.types import ArraySpec, Batch, DataSpec

B = 6
SPEC = DataSpec({"state": ArraySpec((3,))}, ArraySpec((2,)))


def test_mixture_acts_with_low_noise() -> None:
    policy = BehaviourCloningConfig(head="gmm", width=16, modes=1).build(SPEC)
    obs = {"state": torch.zeros(200, 2, 3)}
    spread = policy.predict(obs, torch.Generator().manual_seed(0)).values.std(dim=0)
    assert 0.5e-4 < spread.mean() < 2e-4


def test_loss_is_the_negative_log_likelihood_per_real_step() -> None:
    policy = BehaviourCloningConfig(head="gmm", width=16).build(SPEC)
    batch = Batch(
        {"state": torch.randn(B, 2, 3)},
        torch.randn(B, 16, 2),
        torch.zeros(B, 16, dtype=torch.bool),
        torch.ones(B),
    )
    predicted = policy.head(policy.trunk(batch.obs["state"]))
    components = distributions.Independent(distributions.Normal(predicted.mean, predicted.std), 2)
    weights = distributions.Categorical(logits=predicted.log_weight)
    mixture = distributions.MixtureSameFamily(weights, components)
    expected = -mixture.log_prob(batch.action).sum() / (B * 16)
    torch.testing.assert_close(policy.loss(batch)["loss"], expected)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"head": "gnn"}, "policy.head is 'gnn'.*gmm"),
        ({"width": 0}, "policy.width is 0"),
        ({"modes": 0}, "policy.modes is 0"),
        ({"train_std_floor": 0.0}, "policy.train_std_floor is 0.0"),
        ({"head": "gmm", "action_normalization": "gaussian"}, "policy.action_normalization=minmax"),
    ],
)
def test_wrong_settings_are_named(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        BehaviourCloningConfig(**changes)
