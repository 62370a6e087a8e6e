"""MoDE as a policy: cached and routed acting agree, weights that change are noticed, usage is reported."""

import copy
import dataclasses

import pytest
import torch
from torch import Tensor

from imitate.errors import ConfigError
from imitate.policies.mode import Mode, ModeConfig
from imitate.policies.nets.edm import NoiseConfig
from imitate.policies.nets.mode_transformer import ModeTransformerConfig
from imitate.policies.nets.moe import MoeConfig
from imitate.types import ArraySpec, Batch, DataSpec

SPEC = DataSpec({"state": ArraySpec((5,))}, ArraySpec((3,)))
WAYS = {
    "top_2": MoeConfig(router_std=0.3),
    "top_1": MoeConfig(active=1, gates="probability", router_std=0.3),
    "top_p": MoeConfig(selection="top_p", gates="probability", router_std=0.7),
    "null": MoeConfig(null_experts=3, router_std=0.5),
    "shared": MoeConfig(shared_experts=1, router_std=0.3),
    "fine_grained": MoeConfig(fine_grained=2, gates="probability", router_std=0.3),
    "token": MoeConfig(routing="token", router_std=0.3),
    "dense": MoeConfig(routing="dense"),
}


def config(moe: MoeConfig = WAYS["top_2"], **settings: object) -> ModeConfig:
    denoiser = ModeTransformerConfig(width=32, layers=2, heads=2, moe=moe)
    return ModeConfig(**{"denoiser": denoiser, **settings})  # type: ignore[arg-type]


def policy(config: ModeConfig) -> Mode:
    """One whose head is not zero, ready to act."""
    torch.manual_seed(0)
    built = config.build(SPEC)
    torch.nn.init.normal_(built.denoiser.head.weight, std=0.1)
    return built.eval()


def batch(size: int = 32) -> Batch:
    torch.manual_seed(1)
    state, action = torch.randn(size, 2, 5), torch.rand(size, 16, 3) * 2 - 1
    return Batch({"state": state}, action, torch.zeros(size, 16, dtype=torch.bool), torch.ones(size))


def chunk(policy: Mode, size: int = 3) -> Tensor:
    return policy.predict(batch(size).obs, torch.Generator().manual_seed(0)).values


@pytest.mark.parametrize("sampler", ["ddim", "dpm_solver"])
@pytest.mark.parametrize("name", sorted(WAYS))
def test_cached_chunks_are_the_routed_ones(name: str, sampler: str) -> None:
    cached = policy(config(WAYS[name], noise=NoiseConfig(sampler=sampler)))  # type: ignore[arg-type]
    routed = policy(dataclasses.replace(config(WAYS[name]), noise=cached.noise, cache=False))
    torch.testing.assert_close(chunk(cached), chunk(routed), atol=1e-5, rtol=0.0)
    assert cached.cached == (name != "token")


def test_changed_weights_change_the_next_chunk() -> None:
    changed = policy(config())
    before = chunk(changed)
    with torch.no_grad():
        changed.denoiser.feed_forwards()[0].experts.leave.mul_(3.0)
    after = chunk(changed)
    assert (after - before).abs().max() > 1e-4
    changed.cached = False
    torch.testing.assert_close(after, chunk(changed), atol=1e-5, rtol=0.0)


def test_training_in_between_is_noticed() -> None:
    trained = policy(config())
    chunk(trained)
    optimizer = torch.optim.AdamW(trained.train().parameters(), lr=1e-2)
    for _ in range(3):
        optimizer.zero_grad()
        trained.loss(batch())["loss"].backward()
        optimizer.step()
    acting = copy.deepcopy(trained).eval()
    fresh = policy(config())
    fresh.load_state_dict(trained.state_dict())
    assert torch.equal(chunk(trained.eval()), chunk(fresh))
    assert torch.equal(chunk(acting), chunk(fresh))


def test_active_weights_leave_out_idle_experts() -> None:
    full = ModeConfig().build(SPEC)
    total = sum(weights.numel() for weights in full.parameters())
    assert full.active_weights < 0.6 * total
    dense = policy(config(WAYS["dense"]))
    assert dense.active_weights == sum(weights.numel() for weights in dense.parameters())


def test_loss_adds_the_weighted_losses_of_the_routers() -> None:
    moe = MoeConfig(router_std=0.3, balance_weight=0.5, z_weight=0.25)
    found = policy(config(moe)).loss(batch())
    expected = found["action"] + 0.5 * found["balance"] + 0.25 * found["z"]
    torch.testing.assert_close(found["loss"], expected)
    assert set(policy(config(WAYS["dense"])).loss(batch())) == {"loss", "action"}


def test_usage_is_counted_in_training_and_handed_out_once() -> None:
    learning = policy(config()).train()
    for _ in range(20):
        learning.loss(batch(256))
    found = learning.diagnose()
    shares = [value for key, value in found.figures.items() if key.startswith("experts/layer1/sigma0.53/")]
    assert len(shares) == 4 and sum(shares) == pytest.approx(1.0)
    assert learning.diagnose().figures["experts/layer0/used"] == 0
    learning.eval().loss(batch())
    assert learning.diagnose().figures["experts/layer0/used"] == 0


def test_a_router_that_says_the_same_at_every_level_is_warned_about() -> None:
    blind = policy(config(MoeConfig(router_std=1e-4))).train()
    for _ in range(5):
        blind.loss(batch(256))
    assert any("hardly depends on the noise level in layers 0, 1" in w for w in blind.diagnose().warnings)


def test_unbounded_actions_cannot_be_clipped() -> None:
    with pytest.raises(ConfigError, match=r"set policy\.noise\.clip_sample=false"):
        config(action_normalization="gaussian")
    config(action_normalization="gaussian", noise=NoiseConfig(clip_sample=False))
