"""Facts about noise and its removal: ends of the schedule, conversions, samplers against known solutions."""

import itertools
from collections.abc import Callable
from typing import Any, get_args

import numpy as np
import pytest
import torch
from diffusers import DDPMScheduler
from hypothesis import assume, given
from hypothesis import strategies as st
from torch import Tensor

from imitate.errors import ConfigError
from imitate.policies.nets.noise_schedule import NoiseSchedule, Prediction, Sampler, Schedule, warm_levels

SHAPE = (64, 4, 2)
MEAN, STD = 0.3, 0.5


def make(**changes: Any) -> NoiseSchedule:
    settings: dict[str, Any] = {
        "train_steps": 100,
        "inference_steps": 10,
        "schedule": "squaredcos_cap_v2",
        "prediction": "sample",
        "sampler": "ddim",
        "clip_sample": False,
    }
    return NoiseSchedule(**{**settings, **changes})


def noise(seed: int = 0) -> Tensor:
    return torch.randn(SHAPE, generator=torch.Generator().manual_seed(seed))


def levels(step: int) -> Tensor:
    return torch.full(SHAPE[:1], step)


def signal_and_sigma(schedule: NoiseSchedule, step: int) -> tuple[float, float]:
    """a_k and s_k, read off the noising of 1 by 0 and of 0 by 1."""
    one, zero = torch.ones(SHAPE), torch.zeros(SHAPE)
    signal = schedule.training_pair(one, zero, levels(step))[0]
    sigma = schedule.training_pair(zero, one, levels(step))[0]
    return signal[0, 0, 0].item(), sigma[0, 0, 0].item()


def sample(schedule: NoiseSchedule, denoise: Callable[[Tensor, Tensor], Tensor], seed: int = 0) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return schedule.sample(denoise, SHAPE, generator, torch.device("cpu"))


def gaussian_denoiser(schedule: NoiseSchedule) -> Callable[[Tensor, Tensor], Tensor]:
    """The perfect prediction of x_0 ~ N(MEAN, STD²): E[x_0 | x_k]."""

    def denoise(noisy: Tensor, step: Tensor) -> Tensor:
        signal, sigma = signal_and_sigma(schedule, int(step[0]))
        gain = signal * STD**2 / (signal**2 * STD**2 + sigma**2)
        return MEAN + gain * (noisy - signal * MEAN)

    return denoise


@pytest.mark.parametrize("name", get_args(Schedule))
def test_noise_grows_and_keeps_unit_variance(name: Schedule) -> None:
    scales = [signal_and_sigma(make(schedule=name), step) for step in range(100)]
    assert all(a**2 + s**2 == pytest.approx(1, abs=1e-5) for a, s in scales)
    assert all(before > after for (before, _), (after, _) in itertools.pairwise(scales))


def test_default_schedule_runs_from_almost_clean_to_almost_noise() -> None:
    schedule = make()
    assert signal_and_sigma(schedule, 0)[0] > 0.999
    assert signal_and_sigma(schedule, 99)[0] < 0.001


@pytest.mark.parametrize("prediction", get_args(Prediction))
@pytest.mark.parametrize("step", [0, 1, 50, 90, 98])
def test_every_prediction_implies_the_same_clean_chunk(prediction: Prediction, step: int) -> None:
    schedule = make(prediction=prediction)
    clean = noise(1).clamp(-1, 1)
    noisy, target = schedule.training_pair(clean, noise(2), levels(step))
    # ε leaves x_0 multiplied by a_k, so rounding grows as 1 / a_k.
    tolerance = 1e-5 / signal_and_sigma(schedule, step)[0]
    torch.testing.assert_close(schedule.clean_estimate(target, noisy, step), clean, atol=tolerance, rtol=0)


def test_clipping_bounds_the_estimate() -> None:
    assert make(clip_sample=True).clean_estimate(5 * noise(), noise(1), 3).abs().max() == 1.0


def test_estimates_of_bfloat16_networks_are_float32() -> None:
    assert make().clean_estimate(noise().bfloat16(), noise(1), 3).dtype == torch.float32


@pytest.mark.parametrize("sampler", get_args(Sampler))
@pytest.mark.parametrize("inference_steps", [1, 2, 10, 100])
def test_a_perfect_denoiser_of_a_point_gives_the_point(sampler: Sampler, inference_steps: int) -> None:
    schedule = make(sampler=sampler, inference_steps=inference_steps)
    point = noise(5)
    torch.testing.assert_close(sample(schedule, lambda x, k: point), point, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize(("sampler", "tolerance"), [("ddim", 0.05), ("dpm_solver", 0.01)])
def test_ode_samplers_follow_the_exact_flow_of_a_gaussian(sampler: Sampler, tolerance: float) -> None:
    """The probability flow maps x_K of N(a m, a² s² + σ²) linearly to N(m, s²)."""
    schedule = make(sampler=sampler, inference_steps=100)
    signal, sigma = signal_and_sigma(schedule, 99)
    start = torch.randn(SHAPE, generator=torch.Generator().manual_seed(0))
    exact = MEAN + STD * (start - signal * MEAN) / (signal**2 * STD**2 + sigma**2) ** 0.5
    error = (sample(schedule, gaussian_denoiser(schedule)) - exact).abs().max()
    assert error < tolerance


@pytest.mark.parametrize("sampler", ["ddim", "dpm_solver"])
def test_more_steps_come_closer_to_the_flow(sampler: Sampler) -> None:
    def spread_error(steps: int) -> float:
        schedule = make(sampler=sampler, inference_steps=steps)
        drawn = sample(schedule, gaussian_denoiser(schedule))
        start = torch.randn(SHAPE, generator=torch.Generator().manual_seed(0))
        return (drawn - (MEAN + STD * start)).abs().max().item()

    errors = [spread_error(steps) for steps in (2, 5, 20, 100)]
    assert errors == sorted(errors, reverse=True)


def test_second_order_beats_first_order_at_the_same_cost() -> None:
    def error(sampler: Sampler) -> float:
        schedule = make(sampler=sampler, inference_steps=10)
        drawn = sample(schedule, gaussian_denoiser(schedule))
        start = torch.randn(SHAPE, generator=torch.Generator().manual_seed(0))
        return (drawn - (MEAN + STD * start)).abs().max().item()

    assert error("dpm_solver") < 0.5 * error("ddim")


def test_ddpm_draws_the_gaussian() -> None:
    schedule = make(sampler="ddpm", inference_steps=100)
    drawn = sample(schedule, gaussian_denoiser(schedule))
    assert drawn.mean().item() == pytest.approx(MEAN, abs=0.08)
    assert drawn.std().item() == pytest.approx(STD, abs=0.08)


def test_ddpm_is_the_ancestral_sampling_of_diffusers() -> None:
    schedule = make(sampler="ddpm", inference_steps=100)
    denoise = gaussian_denoiser(schedule)
    reference = DDPMScheduler(
        100, beta_schedule="squaredcos_cap_v2", prediction_type="sample", clip_sample=False
    )
    generator = torch.Generator().manual_seed(0)
    noisy = torch.randn(SHAPE, generator=generator)
    for step in reversed(range(100)):
        noisy = reference.step(denoise(noisy, levels(step)), step, noisy, generator=generator).prev_sample
    torch.testing.assert_close(sample(schedule, denoise), noisy, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"schedule": "squaredcos_cap"}, "policy.schedule is 'squaredcos_cap'.*squaredcos_cap_v2"),
        ({"sampler": "dim"}, "policy.sampler is 'dim'.*ddim"),
        ({"prediction": "eps"}, "policy.prediction is 'eps'"),
        ({"train_steps": 0}, "policy.train_steps is 0"),
        ({"inference_steps": 0}, "policy.inference_steps is 0"),
        ({"inference_steps": 30}, "policy.inference_steps is 30.*1, 2, 4, 5, 10, 20, 25, 50, 100"),
        ({"inference_steps": 200}, "policy.inference_steps is 200.*100"),
    ],
)
def test_wrong_settings_are_named(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        make(**changes)


@pytest.mark.parametrize("prediction", get_args(Prediction))
def test_rows_without_a_plan_are_sampled_as_ever(prediction: Any) -> None:
    schedule = make(prediction=prediction, warm_start=0.5, temperature=0.7, clip_sample=True)

    def denoise(noisy: Tensor, step: Tensor) -> Tensor:
        return torch.sin(noisy + step.reshape(-1, 1, 1) / 100)

    generator = torch.Generator().manual_seed(0)
    is_planned = torch.zeros(SHAPE[0], dtype=torch.bool)
    found = schedule.sample_on(denoise, noise(5), is_planned, generator)
    torch.testing.assert_close(found, sample(schedule, denoise), atol=1e-5, rtol=0)


def test_a_warm_start_keeps_more_of_the_plan_the_less_it_is_noised() -> None:
    """Where x_0 ~ N(MEAN, STD²), a plan of MEAN + STD stays above the mean by a share that is known."""
    kept = {}
    for share in (0.1, 0.5, 1.0):
        schedule = make(warm_start=share, inference_steps=50 if share == 1 else 5)
        each = gaussian_denoiser(schedule)
        is_planned = torch.arange(SHAPE[0]) % 2 == 0

        def denoise(noisy: Tensor, step: Tensor, each: Any = each) -> Tensor:
            rows = [each(noisy[i : i + 1], step[i : i + 1]) for i in range(len(noisy))]
            return torch.cat(rows)

        many = torch.full(SHAPE, MEAN + STD)
        found = schedule.sample_on(denoise, many, is_planned, torch.Generator().manual_seed(0))
        assert abs(found[~is_planned].mean() - MEAN) < 0.1
        kept[share] = ((found[is_planned].mean() - MEAN) / STD).item()
    assert kept[0.1] > 0.9 > kept[0.5] > 0.3 > abs(kept[1.0])


@given(st.integers(1, 100), st.integers(1, 100))
def test_levels_of_a_warm_start_are_even_and_below_its_share(top: int, count: int) -> None:
    assume(count <= top)
    found = warm_levels(top / 100, 100, count)
    assert len(found) == count and found[0] == top - 1 and found[-1] >= 0
    gaps = -np.diff([*found, -1])
    assert gaps.min() >= 1 and gaps.max() - gaps.min() <= 1


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"warm_start": 1.5}, "policy.warm_start is 1.5, expected a share"),
        ({"warm_start": -0.1}, "expected a share"),
        ({"warm_start": 0.5, "sampler": "ddpm"}, "policy.sampler=ddim, not ddpm"),
        ({"warm_start": 0.05}, "too few for policy.inference_steps = 10"),
    ],
)
def test_a_warm_start_that_cannot_be_is_named(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        make(**changes)
