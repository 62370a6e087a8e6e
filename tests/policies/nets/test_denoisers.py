"""The three denoisers: what each may see, what starts at zero, and which settings are refused."""

import pytest
import torch
from torch import Tensor

from imitate.errors import ConfigError
from imitate.policies.nets.denoiser import Denoiser, DenoiserConfig, Sizes, sinusoid_table
from imitate.policies.nets.film import FilmCondition, film
from imitate.policies.nets.film_mlp import FilmMlpConfig
from imitate.policies.nets.transformer import TransformerConfig
from imitate.policies.nets.unet1d import UNet1dConfig

SIZES = Sizes(obs_steps=2, obs_size=5, pred_steps=16, action_size=3, train_steps=100)
SMALL: dict[str, DenoiserConfig] = {
    "film_mlp": FilmMlpConfig(width=32, blocks=2, condition_width=16),
    "unet1d": UNet1dConfig(widths=(8, 16, 24), groups=4, condition_width=16),
    "transformer": TransformerConfig(width=16, layers=2, heads=2),
}


@pytest.fixture(params=sorted(SMALL))
def denoiser(request: pytest.FixtureRequest) -> Denoiser:
    torch.manual_seed(0)
    return SMALL[request.param].build(SIZES)


def awake(denoiser: Denoiser) -> Denoiser:
    """The same network with no weight left at its zero start."""
    torch.manual_seed(1)
    for parameter in denoiser.parameters():
        parameter.data += 0.1 * torch.randn_like(parameter)
    return denoiser.eval()


def inputs(batch: int = 4) -> tuple[Tensor, Tensor, Tensor]:
    torch.manual_seed(2)
    return torch.randn(batch, 16, 3), torch.arange(batch) * 30 % 100, torch.randn(batch, 2, 5)


def test_first_prediction_is_zero(denoiser: Denoiser) -> None:
    noisy, step, obs = inputs()
    assert not denoiser(noisy, step, denoiser.encode(obs)).any()


def test_rows_are_independent(denoiser: Denoiser) -> None:
    noisy, step, obs = inputs()
    net = awake(denoiser)
    together = net(noisy, step, net.encode(obs))
    alone = [net(noisy[i : i + 1], step[i : i + 1], net.encode(obs[i : i + 1])) for i in range(4)]
    torch.testing.assert_close(together, torch.cat(alone), atol=1e-5, rtol=1e-4)


def test_one_level_for_all_rows_is_that_level_for_each(denoiser: Denoiser) -> None:
    noisy, _, obs = inputs(120)  # more rows than levels
    net = awake(denoiser)
    each = net(noisy, torch.full((120,), 30), net.encode(obs))
    torch.testing.assert_close(net(noisy, torch.tensor([30]), net.encode(obs)), each, atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("changed", ["noisy", "step", "obs"])
def test_every_input_matters(denoiser: Denoiser, changed: str) -> None:
    noisy, step, obs = inputs()
    net = awake(denoiser)
    before = net(noisy, step, net.encode(obs))
    noisy = noisy + (changed == "noisy")
    step = step + (changed == "step")
    obs = obs + (changed == "obs")
    assert (net(noisy, step, net.encode(obs)) - before).abs().max() > 1e-4


def test_head_stays_float32_under_autocast(denoiser: Denoiser) -> None:
    noisy, step, obs = inputs()
    with torch.autocast("cpu", torch.bfloat16):
        assert denoiser(noisy, step, denoiser.encode(obs)).dtype == torch.float32


def test_transformer_is_causal() -> None:
    noisy, step, obs = inputs()
    net = awake(SMALL["transformer"].build(SIZES))
    before = net(noisy, step, net.encode(obs))
    noisy[:, 7:] += 1.0
    after = net(noisy, step, net.encode(obs))
    torch.testing.assert_close(before[:, :7], after[:, :7])
    assert (before[:, 7:] - after[:, 7:]).abs().amin(dim=(0, 2)).min() > 1e-5


def test_transformer_predicts_the_past_without_newer_observations() -> None:
    noisy, step, obs = inputs()
    net = awake(SMALL["transformer"].build(SIZES))
    before = net(noisy, step, net.encode(obs))
    obs[:, 1] += 1.0
    after = net(noisy, step, net.encode(obs))
    torch.testing.assert_close(before[:, 0], after[:, 0])
    assert (before[:, 1] - after[:, 1]).abs().max() > 1e-5


def test_film_starts_as_the_identity_but_for_small_weights() -> None:
    condition = FilmCondition(SIZES, hidden=16, widths=[4, 6])
    for parameter in (*condition.obs_film.parameters(), *condition.level_film.parameters()):
        if parameter.ndim == 2:
            parameter.data.zero_()
    x = torch.randn(4, 6)
    modulations = condition(torch.arange(4), condition.encode(torch.randn(4, 2, 5)))
    assert [m.shape for m in modulations] == [(4, 8), (4, 12)]
    assert torch.equal(film(x, modulations[1]), x)


def test_film_of_sequences_repeats_along_time() -> None:
    x, modulation = torch.randn(4, 6, 10), torch.randn(4, 12)
    step_by_step = torch.stack([film(x[..., t], modulation) for t in range(10)], dim=-1)
    torch.testing.assert_close(film(x, modulation), step_by_step)


@pytest.mark.parametrize("size", [7, 8])
def test_sinusoids_tell_positions_apart(size: int) -> None:
    table = sinusoid_table(100, size)
    assert table.shape == (100, size)
    assert torch.pdist(table).min() > 0.01


@pytest.mark.parametrize("pred_steps", [4, 8, 32])
def test_unet_takes_every_multiple_of_its_factor(pred_steps: int) -> None:
    net = SMALL["unet1d"].build(Sizes(2, 5, pred_steps, 3, 100))
    noisy = torch.randn(2, pred_steps, 3)
    assert net(noisy, torch.zeros(2).long(), net.encode(torch.randn(2, 2, 5))).shape == noisy.shape


def test_unet_refuses_a_horizon_that_it_cannot_halve() -> None:
    with pytest.raises(ConfigError, match=r"pred_steps is 18.*halves the chunk 2 times.*16 or 20"):
        UNet1dConfig().build(Sizes(2, 5, 18, 3, 100))


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: FilmMlpConfig(width=0), "policy.denoiser.width is 0"),
        (lambda: FilmMlpConfig(blocks=0), "policy.denoiser.blocks is 0"),
        (lambda: FilmMlpConfig(dropout=-0.1), "policy.denoiser.dropout is -0.1"),
        (lambda: UNet1dConfig(widths=()), "policy.denoiser.widths"),
        (lambda: UNet1dConfig(widths=(12,)), "policy.denoiser.groups = 8"),
        (lambda: UNet1dConfig(kernel=4), "policy.denoiser.kernel is 4, expected an odd number"),
        (lambda: TransformerConfig(width=30), "policy.denoiser.width is 30.*heads = 4"),
        (lambda: TransformerConfig(dropout=1.0), "policy.denoiser.dropout is 1.0"),
    ],
)
def test_wrong_settings_are_named(make: type, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        make()
