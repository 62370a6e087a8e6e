"""The body of MoDE: what each token sees, and that fused and routed experts agree inside it."""

import pytest
import torch
from torch import Tensor

from imitate.errors import ConfigError
from imitate.policies.nets.edm import NoiseConfig, level_of
from imitate.policies.nets.mode_transformer import ModeTransformer, ModeTransformerConfig
from imitate.policies.nets.moe import MoeConfig, Routing

MOE = MoeConfig(router_std=0.3)


def awake(**settings: object) -> ModeTransformer:
    """A network with no weight left at its zero start."""
    torch.manual_seed(0)
    config = ModeTransformerConfig(width=32, layers=3, heads=2, **{"moe": MOE, **settings})  # type: ignore[arg-type]
    net = config.build(obs_steps=2, obs_size=5, pred_steps=16, action_size=3).eval()
    with torch.no_grad():
        for parameter in (net.head.weight, net.head.bias):
            parameter += 0.1 * torch.randn_like(parameter)
    return net


def inputs(batch: int = 4) -> tuple[Tensor, Tensor, Tensor]:
    torch.manual_seed(2)
    return torch.randn(batch, 16, 3), torch.linspace(-1.5, 1.0, batch), torch.randn(batch, 2, 5)


def predicted(net: ModeTransformer, noisy: Tensor, level: Tensor, obs: Tensor) -> Tensor:
    return net(noisy, net.embed(level), net.encode(obs))


def test_first_prediction_is_zero() -> None:
    net = ModeTransformerConfig(width=32).build(2, 5, 16, 3)
    assert not predicted(net, *inputs()).any()


@pytest.mark.parametrize("settings", [{}, {"residual": "overwrite"}, {"steps_per_token": 1, "causal": True}])
def test_rows_are_independent_and_may_share_their_level(settings: dict[str, object]) -> None:
    noisy, level, obs = inputs()
    net = awake(**settings)
    together = predicted(net, noisy, level, obs)
    alone = [predicted(net, noisy[i : i + 1], level[i : i + 1], obs[i : i + 1]) for i in range(4)]
    torch.testing.assert_close(together, torch.cat(alone), atol=1e-5, rtol=1e-4)
    shared = predicted(net, noisy, level[:1], obs)
    torch.testing.assert_close(shared, predicted(net, noisy, level[:1].expand(4), obs), atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("changed", ["noisy", "level", "obs"])
def test_every_input_matters(changed: str) -> None:
    noisy, level, obs = inputs()
    net = awake()
    before = predicted(net, noisy, level, obs)
    after = predicted(
        net, noisy + (changed == "noisy"), level + (changed == "level"), obs + (changed == "obs")
    )
    assert (after - before).abs().max() > 1e-3


@pytest.mark.parametrize("steps_per_token", [1, 4])
@pytest.mark.parametrize("causal", [True, False])
def test_later_steps_are_seen_unless_causal(steps_per_token: int, causal: bool) -> None:
    noisy, level, obs = inputs()
    net = awake(steps_per_token=steps_per_token, causal=causal)
    before = predicted(net, noisy, level, obs)
    noisy[:, 8:] += 1.0
    change = (predicted(net, noisy, level, obs) - before).abs()
    assert change[:, 8:].amin(dim=(0, 2)).min() > 1e-5
    assert (change[:, :8].max() < 1e-6) == causal


def test_overwriting_replaces_the_residual_stream() -> None:
    """With silent attention and experts, a kept stream passes unchanged; an overwritten one is normalised."""
    for residual in ("keep", "overwrite"):
        net = awake(residual=residual)
        layer = net.layers[0]
        for name, weights in layer.named_parameters():
            if "attention_out" in name or "leave" in name:
                weights.data.zero_()
        x = 5 + 3 * torch.randn(2, 7, 32)
        out = layer(x, torch.zeros(1, 1, 32), None, None)
        expected = x if residual == "keep" else torch.nn.functional.layer_norm(x, (32,))
        torch.testing.assert_close(out, expected)


def test_noise_level_enters_attention_and_not_experts_of_a_token() -> None:
    layer = awake().layers[0]
    x, level = torch.randn(2, 7, 32), torch.randn(1, 1, 32)
    shifted = layer._attend(layer.before_attention(x) + level)
    assert (shifted - layer._attend(layer.before_attention(x))).abs().max() > 1e-3


@pytest.mark.parametrize(
    "moe",
    [
        MOE,
        MoeConfig(routing="dense"),
        MoeConfig(selection="top_p", gates="probability", router_std=0.7),
        MoeConfig(active=2, null_experts=3, shared_experts=1, router_std=0.5),
    ],
)
@pytest.mark.parametrize("residual", ["keep", "overwrite"])
def test_fixed_steps_predict_as_the_routed_network_does(moe: MoeConfig, residual: str) -> None:
    net = awake(moe=moe, residual=residual)
    noisy, _, obs = inputs()
    levels = level_of(torch.tensor(NoiseConfig(steps=20).sigmas()))
    with torch.no_grad():
        for step, level in zip(net.fixed_steps(levels), levels.split(1), strict=True):
            fused = net(noisy, step.level, net.encode(obs), fused=step.layers)
            torch.testing.assert_close(fused, predicted(net, noisy, level, obs), atol=1e-5, rtol=0.0)


def test_routings_are_collected_by_layer() -> None:
    noisy, level, obs = inputs()
    net, routings = awake(), list[Routing]()
    net(noisy, net.embed(level), net.encode(obs), routings)
    assert [routing.gates.shape for routing in routings] == [(4, 4)] * 3


def test_head_stays_float32_under_autocast() -> None:
    with torch.autocast("cpu", torch.bfloat16):
        assert predicted(awake(), *inputs()).dtype == torch.float32


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"width": 30}, "policy.denoiser.width is 30.*heads = 4"),
        ({"layers": 0}, "policy.denoiser.layers is 0"),
        ({"dropout": 1.0}, "policy.denoiser.dropout is 1.0"),
        ({"residual": "kept"}, "policy.denoiser.residual is 'kept'.*did you mean 'keep'"),
    ],
)
def test_wrong_settings_are_named(settings: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        ModeTransformerConfig(**settings)  # type: ignore[arg-type]


def test_tokens_must_fill_the_chunk() -> None:
    with pytest.raises(ConfigError, match=r"pred_steps is 18, expected a multiple of .*steps_per_token = 4"):
        ModeTransformerConfig().build(2, 5, 18, 3)
