"""VQ-BeT: the two codes belong together, offsets correct the demonstrated codes, focal loss, usage."""

import dataclasses
import math
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from imitate.errors import ConfigError
from imitate.policies.nets.causal_transformer import CausalTransformerConfig
from imitate.policies.nets.residual_vq import ResidualVqConfig
from imitate.policies.vq_bet import VqBet, VqBetConfig
from imitate.policy import Horizons
from imitate.types import ArraySpec, Batch, DataSpec

SPEC = DataSpec({"state": ArraySpec((3,))}, ArraySpec((2,)))
TO, TP, L = 3, 8, 6
CONFIG = VqBetConfig(
    Horizons(TO, TP, 4),
    codebook=ResidualVqConfig(codes=4, latent=8, width=16, steps=60),
    transformer=CausalTransformerConfig(width=16, layers=1, heads=2, dropout=0.0),
)


def built(**settings: Any) -> VqBet:
    torch.manual_seed(0)
    policy = dataclasses.replace(CONFIG, **settings).build(SPEC).eval()
    policy.prepare([batch_of(256)])
    for head in (policy.primary, policy.secondary, policy.offsets):
        nn.init.normal_(head.weight, std=0.3)
    return policy


def batch_of(count: int) -> Batch:
    """Constant chunks that the observation tells, up to a little noise."""
    generator = torch.Generator().manual_seed(1)
    obs = 2 * torch.rand(count, 1, 3, generator=generator) - 1
    action = obs[..., :2] + 0.05 * torch.randn(count, TP, 2, generator=generator)
    is_pad = torch.zeros(count, TP, dtype=torch.bool)
    return Batch({"state": obs.expand(-1, TO, -1)}, action.clamp(-1, 1), is_pad, torch.ones(count))


def codes_of(policy: VqBet, chunks: Tensor) -> Tensor:
    """Which pair of codes, as one number, each chunk (N, L, Da) is of, given offsets of zero."""
    pairs = torch.cartesian_prod(torch.arange(4), torch.arange(4))
    every = policy.codebook.decode(pairs)[:, : chunks.shape[1]].clamp(-1, 1)
    assert torch.pdist(every.flatten(1)).min() > 1e-4
    return torch.cdist(chunks.flatten(1), every.flatten(1)).argmin(dim=1)


def test_pairs_of_codes_are_drawn_by_their_joint_probability() -> None:
    policy, count = built(), 4000
    nn.init.zeros_(policy.offsets.weight)
    obs = {"state": torch.randn(1, TO, 3).expand(count, -1, -1)}
    drawn = codes_of(policy, policy.predict(obs, torch.Generator().manual_seed(0)).values)
    with torch.no_grad():
        newest = policy.network(policy.observe(obs))[:1, -1]
        primary = policy.primary(newest).softmax(-1)[0]
        secondary = policy.secondary(newest).view(4, 4).softmax(-1)
    expected = (primary[:, None] * secondary).flatten()
    found = torch.bincount(drawn, minlength=16) / count
    torch.testing.assert_close(found, expected, atol=0.03, rtol=0)
    # Drawn apart from each other, they would be spread otherwise:
    apart = (primary[:, None] * (primary @ secondary)).flatten()
    assert (apart - expected).abs().max() > 0.05


def test_losses_are_those_of_the_demonstrated_codes() -> None:
    policy, batch = built(), batch_of(5)
    found = policy.loss(batch)
    chunks = batch.action.unfold(1, L, 1).transpose(2, 3).flatten(0, 1)
    codes, features = policy.codebook.encode(chunks), policy.network(batch.obs["state"]).flatten(0, 1)
    rows = torch.arange(len(codes))
    entropies = {
        "primary": F.cross_entropy(policy.primary(features), codes[:, 0], reduction="none"),
        "secondary": F.cross_entropy(
            policy.secondary(features).view(-1, 4, 4)[rows, codes[:, 0]], codes[:, 1], reduction="none"
        ),
    }
    for name, entropy in entropies.items():
        torch.testing.assert_close(found[name], ((1 - (-entropy).exp()).square() * entropy).mean())
    offsets = policy.offsets(features).view(-1, 2, 4, L, 2)
    corrected = policy.codebook.decode(codes) + offsets[rows, 0, codes[:, 0]] + offsets[rows, 1, codes[:, 1]]
    torch.testing.assert_close(found["offset"], (corrected - chunks).abs().mean())
    expected = found["primary"] + 0.5 * found["secondary"] + 100 * found["offset"]
    torch.testing.assert_close(found["loss"], expected)


def test_without_focus_it_is_cross_entropy() -> None:
    policy, batch = built(focal_gamma=0.0), batch_of(64)
    for head in (policy.primary, policy.secondary):
        nn.init.zeros_(head.weight)
        nn.init.zeros_(head.bias)
    found = policy.loss(batch)
    assert found["primary"].item() == pytest.approx(math.log(4), rel=1e-5)
    assert found["secondary"].item() == pytest.approx(math.log(4), rel=1e-5)


def test_training_corrects_what_codes_leave_over() -> None:
    policy, batch = built(), batch_of(64)
    optimizer = torch.optim.AdamW([p for p in policy.parameters() if p.requires_grad], lr=3e-3)
    for _ in range(100):
        optimizer.zero_grad()
        policy.loss(batch)["loss"].backward()
        optimizer.step()
    after = policy.loss(batch)
    assert after["offset"] < 0.7 * after["uncorrected"]


def test_usage_is_told() -> None:
    policy, batch = built(), batch_of(64)
    spread = policy.loss(batch)
    batch.action[:] = batch.action[:1, :1]
    same = policy.loss(batch)
    for name in ("primary_perplexity", "secondary_perplexity"):
        assert spread[name] > 1.5
        assert same[name].item() == pytest.approx(1.0)


@pytest.mark.parametrize("name", ["offset_weight", "secondary_weight", "focal_gamma"])
def test_wrong_settings_are_refused(name: str) -> None:
    with pytest.raises(ConfigError, match=rf"policy\.{name} is -1"):
        dataclasses.replace(CONFIG, **{name: -1.0})
