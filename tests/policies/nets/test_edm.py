"""EDM: the preconditioning, the noise levels, and samplers that agree with the diffusers library."""

import math

import pytest
import torch
from diffusers import EDMDPMSolverMultistepScheduler
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from imitate.errors import ConfigError
from imitate.policies.nets.edm import NoiseConfig, level_of, sample


@given(st.floats(0.001, 80.0), st.floats(0.1, 2.0))
@settings(max_examples=50, deadline=None)
def test_input_and_target_have_unit_variance(sigma: float, sigma_data: float) -> None:
    config = NoiseConfig(sigma_data=sigma_data)
    c_skip, c_out, c_in = config.preconditioning(torch.tensor(sigma, dtype=torch.float64))
    variance_in = c_in**2 * (sigma_data**2 + sigma**2)
    # The target (clean - c_skip x) / c_out, with x = clean + σ ε, both independent.
    variance_target = ((1 - c_skip) ** 2 * sigma_data**2 + c_skip**2 * sigma**2) / c_out**2
    assert variance_in == pytest.approx(1.0, rel=1e-6)
    assert variance_target.item() == pytest.approx(1.0, rel=1e-4)


def test_without_noise_the_estimate_is_the_input() -> None:
    c_skip, c_out, _ = NoiseConfig().preconditioning(torch.tensor(0.0))
    assert (c_skip, c_out) == (1.0, 0.0)


def test_noise_levels_are_log_logistic_inside_their_range() -> None:
    torch.manual_seed(0)
    drawn = NoiseConfig(median=0.4, scale=0.5).draw(40_000, torch.device("cpu"))
    for share in (0.1, 0.25, 0.5, 0.75, 0.9):
        expected = 0.4 * (share / (1 - share)) ** 0.5  # the quantile function
        assert drawn.quantile(share).item() == pytest.approx(expected, rel=0.04)
    narrow = NoiseConfig(sigma_min=0.3, sigma_max=0.9).draw(10_000, torch.device("cpu"))
    assert 0.3 <= narrow.min() < 0.31 and 0.89 < narrow.max() <= 0.9
    assert (narrow == narrow.min()).sum() < 10  # cut off, not piled up at the ends


@pytest.mark.parametrize("spacing", ["exponential", "karras"])
@pytest.mark.parametrize("steps", [2, 5, 10])
def test_levels_are_those_of_diffusers(spacing: str, steps: int) -> None:
    config = NoiseConfig(steps=steps, spacing=spacing, sigma_min=0.002)  # type: ignore[arg-type]
    found = torch.tensor([*config.sigmas(), 0.0])
    torch.testing.assert_close(found, oracle(config, 1).sigmas, rtol=1e-5, atol=1e-6)


def test_one_step_starts_from_pure_noise() -> None:
    assert NoiseConfig(steps=1).sigmas() == [80.0]


def oracle(config: NoiseConfig, order: int) -> EDMDPMSolverMultistepScheduler:
    made = EDMDPMSolverMultistepScheduler(
        sigma_min=config.sigma_min,
        sigma_max=config.sigma_max,
        sigma_data=config.sigma_data,
        sigma_schedule=config.spacing,
        prediction_type="epsilon",
        solver_order=order,
        final_sigmas_type="zero",
    )
    made.set_timesteps(config.steps)
    return made


def network(x: Tensor, sigma: float) -> Tensor:
    """Some F(c_in x, σ)."""
    return torch.tanh(2 * x + 0.3 * math.log(sigma)) - 0.5 * x


@pytest.mark.parametrize("sampler", ["ddim", "dpm_solver"])
@pytest.mark.parametrize("spacing", ["exponential", "karras"])
def test_samplers_agree_with_diffusers(sampler: str, spacing: str) -> None:
    config = NoiseConfig(sampler=sampler, spacing=spacing, sigma_min=0.002)  # type: ignore[arg-type]
    noise = torch.randn(3, 4, 2, generator=torch.Generator().manual_seed(0))
    sigmas = config.sigmas()

    def estimate(x: Tensor, i: int) -> Tensor:
        c_skip, c_out, c_in = config.preconditioning(torch.tensor(sigmas[i]))
        return c_skip * x + c_out * network(c_in * x, sigmas[i])

    theirs = oracle(config, 1 if sampler == "ddim" else 2)
    x = sigmas[0] * noise
    for i, time in enumerate(theirs.timesteps):
        _, _, c_in = config.preconditioning(torch.tensor(sigmas[i]))
        x = theirs.step(network(c_in * x, sigmas[i]), time, x).prev_sample
    torch.testing.assert_close(sample(config.sampler, sigmas, noise, estimate), x, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(("sampler", "order"), [("ddim", 1), ("dpm_solver", 2)])
def test_order_of_convergence_on_a_gaussian(sampler: str, order: int) -> None:
    """Of N(0, s²), D(x, σ) = x s² / (s² + σ²), and the exact flow scales x by √((s² + σ'²)/(s² + σ²))."""
    s, noise = 0.7, torch.ones(1, dtype=torch.float64)
    errors = []
    for steps in (40, 80):
        config = NoiseConfig(steps=steps, sigma_max=20.0, sigma_min=0.02)
        sigmas = config.sigmas()
        found = sample(sampler, sigmas, noise, lambda x, i, at=sigmas: x * s**2 / (s**2 + at[i] ** 2))  # type: ignore[misc, arg-type]
        last = s**2 / (s**2 + sigmas[-1] ** 2)  # the step to 0 is of first order for both
        exact = 20.0 * math.sqrt((s**2 + sigmas[-1] ** 2) / (s**2 + 400.0)) * last
        errors.append(abs(found.item() - exact))
    assert math.log2(errors[0] / errors[1]) == pytest.approx(order, abs=0.35)


def test_network_is_told_a_quarter_of_the_logarithm() -> None:
    assert level_of(torch.tensor([1.0, math.e**4])).tolist() == pytest.approx([0.0, 1.0])


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"sampler": "ddmi"}, "policy.noise.sampler is 'ddmi'.*did you mean 'ddim'"),
        ({"spacing": "linear"}, "policy.noise.spacing is 'linear'"),
        ({"sigma_min": 0.0}, "policy.noise.sigma_min is 0.0, expected more than 0"),
        ({"sigma_max": 0.001}, "policy.noise.sigma_max is 0.001, expected more than"),
        ({"steps": 0}, "policy.noise.steps is 0, expected at least 1"),
        ({"median": -1.0}, "policy.noise.median is -1.0"),
    ],
)
def test_wrong_settings_are_named(settings: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        NoiseConfig(**settings)  # type: ignore[arg-type]
