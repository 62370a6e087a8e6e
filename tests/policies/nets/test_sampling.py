"""Samplers as coefficients: they agree with diffusers, and say of themselves when they draw noise."""

from typing import Any, get_args

import pytest
import torch
from diffusers import DDIMScheduler, DPMSolverMultistepScheduler
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from imitate.policies.nets.noise_schedule import NoiseSchedule, Prediction, Sampler, Schedule
from imitate.policies.nets.sampling import Step, walk
from imitate.policy import CountedNoise

SHAPE = (3, 4, 2)


def network(x: Tensor, level: Tensor) -> Tensor:
    """Some prediction at a level of 0 to 99."""
    return torch.tanh(1.5 * x + 0.02 * level) - 0.3 * x


def theirs(schedule: Schedule, sampler: Sampler, prediction: Prediction, steps: int, clip: bool) -> Tensor:
    """A chunk of diffusers' own loop from the noise of generator 0."""
    common: dict[str, Any] = {
        "beta_schedule": schedule,
        "prediction_type": prediction,
        "timestep_spacing": "trailing",
    }
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(SHAPE, generator=generator)
    if sampler == "dpm_solver":
        solver = DPMSolverMultistepScheduler(100, **common)
        solver.set_timesteps(steps)
        for level in solver.timesteps:
            x = solver.step(network(x, level), level, x).prev_sample
        return x
    # Noise that is there must be that which the clipped estimate leaves: diffusers asks for it by name.
    ddim = DDIMScheduler(100, clip_sample=clip, **common)
    ddim.set_timesteps(steps)
    for level in ddim.timesteps:
        added: dict[str, Any] = {"use_clipped_model_output": True}
        if sampler == "ddpm":
            added |= {"eta": 1.0, "variance_noise": torch.randn(SHAPE, generator=generator)}
        x = ddim.step(network(x, level), level, x, **added).prev_sample
    return x


@pytest.mark.parametrize("sampler", get_args(Sampler))
@pytest.mark.parametrize("schedule", get_args(Schedule))
@given(
    steps=st.sampled_from([1, 2, 4, 5, 10, 20, 50, 100]),
    prediction=st.sampled_from(["sample", "v_prediction"]),
    clip=st.booleans(),
)
@settings(max_examples=8, deadline=None)
def test_chunks_are_those_of_diffusers(
    schedule: Schedule, sampler: Sampler, steps: int, prediction: Prediction, clip: bool
) -> None:
    clip = clip and sampler != "dpm_solver"  # diffusers' has no such setting
    ours = NoiseSchedule(100, steps, schedule, prediction, sampler, clip)
    made = ours.sample(network, SHAPE, torch.Generator().manual_seed(0), torch.device("cpu"))
    expected = theirs(schedule, sampler, prediction, steps, clip)
    # diffusers' coefficients are of float32, ours of doubles: 2e-5 apart at the noisiest levels.
    torch.testing.assert_close(made, expected, atol=4e-5, rtol=1e-5)


@pytest.mark.parametrize(("sampler", "chunks"), [("ddim", 1), ("dpm_solver", 1), ("ddpm", 10)])
def test_only_ddpm_draws_noise_on_the_way(sampler: Sampler, chunks: int) -> None:
    noise = CountedNoise(torch.Generator().manual_seed(0))
    schedule = NoiseSchedule(100, 10, "squaredcos_cap_v2", "sample", sampler, False)
    schedule.sample(network, (1, 4, 2), noise, torch.device("cpu"))
    assert noise.taken == chunks * 8


def test_the_last_step_is_the_estimate_itself() -> None:
    estimates = [torch.full(SHAPE, 1.0), torch.full(SHAPE, 2.0)]
    steps = [Step(99, 0.5, 0.5), Step(49, 0.0, 1.0)]
    made = walk(steps, lambda x, index: estimates[index], torch.zeros(SHAPE), [])
    assert torch.equal(made, estimates[-1])
