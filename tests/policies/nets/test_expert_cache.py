"""Fused experts do what routed ones do, at every noise level and for every way of choosing."""

import copy

import pytest
import torch

from imitate.policies.nets.expert_cache import ExpertCache, FixedStep, fuse
from imitate.policies.nets.moe import MoeConfig, MoeFeedForward

WIDTH, STEPS = 32, 10
WAYS = {
    "top_2": MoeConfig(router_std=0.5),
    "top_1": MoeConfig(active=1, gates="probability", router_std=0.5),
    "top_3_of_6": MoeConfig(experts=6, active=3, router_std=0.5),
    "all": MoeConfig(active=4, router_std=0.5),
    "top_p": MoeConfig(selection="top_p", gates="probability", router_std=1.0),
    "null": MoeConfig(active=2, null_experts=4, router_std=0.7),
    "shared": MoeConfig(shared_experts=2, router_std=0.5),
    "shared_and_null": MoeConfig(active=2, shared_experts=1, null_experts=6, router_std=0.7),
    "fine_grained": MoeConfig(fine_grained=4, gates="probability", router_std=0.5),
    "dense": MoeConfig(routing="dense"),
}


def layer(config: MoeConfig) -> MoeFeedForward:
    torch.manual_seed(0)
    return config.build(WIDTH).eval()


def levels() -> torch.Tensor:
    torch.manual_seed(1)
    return torch.randn(STEPS, WIDTH)


@pytest.mark.parametrize("name", sorted(WAYS))
@pytest.mark.parametrize("batch", [1, 5])
def test_fused_equals_routed_at_every_level(name: str, batch: int) -> None:
    net, x = layer(WAYS[name]), torch.randn(batch, 7, WIDTH)
    steps = fuse(net, levels())
    for level, fused in zip(levels(), steps, strict=True):
        torch.testing.assert_close(fused(x), net(x, level[None]), atol=1e-5, rtol=0.0)
    if name not in ("dense", "all"):  # the levels really call different experts
        assert len({fused.enter.data_ptr() for fused in steps}) > 1


def test_a_step_of_null_experts_alone_has_no_features() -> None:
    net = layer(WAYS["null"])
    sizes = {len(fused.gate) for fused in fuse(net, 3 * torch.randn(200, WIDTH))}
    assert 0 in sizes and max(sizes) == 2 * 4 * WIDTH


def test_only_experts_on_the_schedule_are_kept() -> None:
    net = layer(WAYS["top_2"])
    steps = fuse(net, levels())
    assert all(fused.enter.shape == (WIDTH, 2 * 2 * 4 * WIDTH) for fused in steps)
    assert net.router is not None
    pairs = {tuple(row.nonzero()[:, 0].tolist()) for row in net.router(levels()).gates}
    assert len({fused.enter.data_ptr() for fused in steps}) == len(pairs) < STEPS


def made(net: MoeFeedForward) -> list[FixedStep]:
    return [FixedStep(levels()[i : i + 1], [fused]) for i, fused in enumerate(fuse(net, levels()))]


def test_cache_is_made_once_and_anew_when_schedule_or_weights_change() -> None:
    net, cache = layer(WAYS["top_2"]), ExpertCache()

    def steps(schedule: tuple[float, ...] = (2.0, 1.0)) -> list[FixedStep]:
        return cache.steps(net, schedule, lambda: made(net))

    first = steps()
    assert steps() is first
    assert steps((2.0, 0.5)) is not first
    changed = [steps((2.0, 0.5))]
    optimizer = torch.optim.AdamW(net.parameters())
    for weights in net.parameters():
        weights.grad = torch.ones_like(weights)
    optimizer.step()
    changed.append(steps((2.0, 0.5)))
    net.load_state_dict(layer(WAYS["top_2"]).state_dict())
    changed.append(steps((2.0, 0.5)))
    with torch.no_grad():
        torch._foreach_lerp_(list(net.parameters()), [torch.zeros_like(p) for p in net.parameters()], 0.1)
    changed.append(steps((2.0, 0.5)))
    assert len({id(entry) for entry in changed}) == len(changed)
    assert steps((2.0, 0.5)) is changed[-1]


def test_a_copied_cache_does_not_serve_the_copied_network_stale_experts() -> None:
    net, cache = layer(WAYS["top_2"]), ExpertCache()
    cache.steps(net, (1.0,), lambda: made(net))
    twin, its_cache = copy.deepcopy((net, cache))
    calls = []
    its_cache.steps(twin, (1.0,), lambda: calls.append(1) or made(twin))  # type: ignore[func-returns-value]
    assert calls
