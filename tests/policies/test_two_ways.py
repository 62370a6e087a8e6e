"""Two demonstrated ways round an obstacle: left or right by chance, their average runs into it.

A policy that keeps both modes takes each about half of the time and never the middle; the mean squared error
has the middle as its optimum.
"""

from dataclasses import replace

import pytest
import torch
from torch import Tensor

from imitate.policies.act import ActConfig
from imitate.policies.bc import BehaviourCloningConfig
from imitate.policies.bc_rnn import BcRnnConfig
from imitate.policies.bc_transformer import BcTransformerConfig
from imitate.policies.consistency import ConsistencyConfig
from imitate.policies.diffusion import DiffusionConfig
from imitate.policies.flow import FlowConfig
from imitate.policies.mode import ModeConfig
from imitate.policies.nets.causal_transformer import CausalTransformerConfig
from imitate.policies.nets.chunk_decoder import ChunkDecoderConfig
from imitate.policies.nets.film_mlp import FilmMlpConfig
from imitate.policies.nets.mode_transformer import ModeTransformerConfig
from imitate.policies.nets.residual_vq import ResidualVqConfig
from imitate.policies.truncated import TruncatedConfig
from imitate.policies.vq_bet import VqBetConfig
from imitate.policy import Horizons, Policy, PolicyConfig, TaughtPolicy
from imitate.types import ArraySpec, Batch, DataSpec

SPEC = DataSpec({"place": ArraySpec((1,), units=("m",))}, ArraySpec((1,), units=("m",)))
HORIZONS = Horizons(obs_steps=1, pred_steps=8, action_steps=8)
DETOUR = torch.sin(torch.linspace(0, torch.pi, 8))  # sideways way of a chunk, m; ±1 at its middle


def demonstrations(count: int) -> Batch:
    side = torch.randint(0, 2, (count, 1, 1)) * 2.0 - 1.0
    action = side * DETOUR[None, :, None] + 0.02 * torch.randn(count, 8, 1)
    place = torch.rand(count, 1, 1) * 2 - 1
    return Batch({"place": place}, action, torch.zeros(count, 8, dtype=torch.bool), torch.ones(count))


def trained(config: PolicyConfig, steps: int) -> Policy:
    torch.manual_seed(0)
    policy = config.build(SPEC)
    if isinstance(policy, TaughtPolicy):
        policy.learn_from(trained(*KEEPING["diffusion"]))
    policy.prepare([demonstrations(512)])
    optimizer = torch.optim.AdamW(policy.parameters(), lr=2e-3)
    for _ in range(steps):
        optimizer.zero_grad()
        policy.loss(demonstrations(128))["loss"].backward()
        torch.nn.utils.clip_grad_norm_(policy.parameters(), 1.0)
        optimizer.step()
    return policy.eval()


def detours(policy: Policy) -> Tensor:
    """How far to the side (B,) each of 400 chunks passes the obstacle, in m."""
    obs = {"place": torch.linspace(-1, 1, 400).view(400, 1, 1)}
    chunk = policy.predict(obs, torch.Generator().manual_seed(0)).values
    return chunk[:, 3:5, 0].mean(dim=1)


SMALL = FilmMlpConfig(width=64, blocks=1, condition_width=32)
CODEBOOK = ResidualVqConfig(codes=8, latent=16, width=32, steps=200)
TRANSFORMER = CausalTransformerConfig(width=32, layers=2, heads=2)
ACT = ActConfig(HORIZONS, width=32, heads=2, feedforward=64, encoder_layers=1, latent_size=4)
KEEPING: dict[str, tuple[PolicyConfig, int]] = {
    "act": (replace(ACT, kl_weight=0.03, latent="sample"), 400),
    "flow": (FlowConfig(HORIZONS, denoiser=SMALL), 400),
    "diffusion": (DiffusionConfig(HORIZONS, denoiser=SMALL), 400),
    "consistency": (ConsistencyConfig(horizons=HORIZONS, denoiser=replace(SMALL, dropout=0.0)), 400),
    "mode": (ModeConfig(HORIZONS, denoiser=ModeTransformerConfig(width=32, layers=1, heads=2)), 200),
    "truncated": (TruncatedConfig(HORIZONS, denoiser=ChunkDecoderConfig(width=32, heads=2), anchors=8), 300),
    "bc_rnn": (BcRnnConfig(HORIZONS, width=32), 300),
    "bc_transformer": (BcTransformerConfig(HORIZONS, transformer=TRANSFORMER), 300),
    "vq_bet": (VqBetConfig(HORIZONS, codebook=CODEBOOK, transformer=TRANSFORMER), 300),
    "bc_gmm": (BehaviourCloningConfig(HORIZONS, head="gmm", width=64), 300),
}


@pytest.mark.parametrize("name", sorted(KEEPING))
def test_both_ways_are_kept(name: str) -> None:
    side = detours(trained(*KEEPING[name]))
    assert (side.abs() < 0.5).float().mean() < 0.05  # collisions
    assert 0.3 < (side > 0).float().mean() < 0.7


def test_mean_squared_error_collides() -> None:
    side = detours(trained(BehaviourCloningConfig(HORIZONS, head="mse", width=64), 300))
    assert (side.abs() < 0.5).float().mean() > 0.95


def test_act_as_published_collides() -> None:
    """At a divergence weighted by 10 the latent tells nothing, and z = 0 would tell one way at most."""
    side = detours(trained(ACT, 300))
    assert (side.abs() < 0.5).float().mean() > 0.95
