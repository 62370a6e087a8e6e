"""Noise schedules of diffusion: how chunks are noised for training, and how samplers undo it.

In the notation of imitate.policies.diffusion, x_k = a_k x_0 + s_k ε. The schedulers are those of diffusers.
"""

from collections.abc import Callable, Sequence
from typing import Literal, get_args

import torch
from diffusers import DDIMScheduler, DDPMScheduler, DPMSolverMultistepScheduler
from torch import Tensor

from imitate.errors import ConfigError, nearest
from imitate.policy import Generator, draw_noise

Schedule = Literal["squaredcos_cap_v2", "linear", "scaled_linear"]
Prediction = Literal["epsilon", "sample", "v_prediction"]
Sampler = Literal["ddim", "dpm_solver", "ddpm"]


class NoiseSchedule:
    """Noise levels 0 (almost clean) … train_steps - 1 (almost noise), and a sampler over some of them.

    Every inference step starts at the last level of its share of train_steps ("trailing" spacing, arXiv
    2305.08891), so that sampling begins where training put pure noise.
    """

    def __init__(
        self,
        train_steps: int,
        inference_steps: int,
        schedule: Schedule,
        prediction: Prediction,
        sampler: Sampler,
        clip_sample: bool,
    ) -> None:
        _require_choice("schedule", schedule, get_args(Schedule))
        _require_choice("prediction", prediction, get_args(Prediction))
        _require_choice("sampler", sampler, get_args(Sampler))
        _require_whole_shares(train_steps, inference_steps)
        self.train_steps = train_steps
        self.inference_steps = inference_steps
        self.prediction = prediction
        self.clip_sample = clip_sample
        self._training = DDPMScheduler(train_steps, beta_schedule=schedule)
        # Samplers get estimates of x_0, whatever the network predicts: see `clean_estimate`.
        settings = {
            "beta_schedule": schedule,
            "prediction_type": "sample",
            "timestep_spacing": "trailing",
        }
        self._is_stochastic = sampler == "ddpm"
        if sampler == "dpm_solver":
            self._sampling = DPMSolverMultistepScheduler(train_steps, **settings)
        else:
            self._sampling = DDIMScheduler(train_steps, clip_sample=False, **settings)
        self._scales = torch.stack(
            [self._training.alphas_cumprod.sqrt(), (1 - self._training.alphas_cumprod).sqrt()], dim=1
        ).tolist()

    def training_pair(self, clean: Tensor, noise: Tensor, step: Tensor) -> tuple[Tensor, Tensor]:
        """x_k (B, Tp, Da) at levels `step` (B,), and what the network should predict there."""
        noisy = self._training.add_noise(clean, noise, step)
        if self.prediction == "epsilon":
            return noisy, noise
        if self.prediction == "sample":
            return noisy, clean
        return noisy, self._training.get_velocity(clean, noise, step)

    def scales(self, step: int) -> tuple[float, float]:
        """a_k and s_k at level `step`."""
        signal, sigma = self._scales[step]
        return signal, sigma

    def clean_estimate(self, predicted: Tensor, noisy: Tensor, step: int) -> Tensor:
        """The estimate of x_0 that a prediction at level `step` implies, float32, clipped if set so."""
        signal, sigma = self.scales(step)
        predicted, noisy = predicted.float(), noisy.float()
        if self.prediction == "epsilon":
            clean = (noisy - sigma * predicted) / signal
        elif self.prediction == "sample":
            clean = predicted
        else:
            clean = signal * noisy - sigma * predicted
        return clean.clamp(-1.0, 1.0) if self.clip_sample else clean

    def sample(
        self,
        denoise: Callable[[Tensor, Tensor], Tensor],
        shape: Sequence[int],
        generator: Generator,
        device: torch.device,
    ) -> Tensor:
        """A sample of `shape` (B, …) by `denoise`(x_k, its level (1,)) at each inference step."""
        noisy = draw_noise(shape, generator, device)
        self._sampling.set_timesteps(self.inference_steps)
        for step in self._sampling.timesteps.tolist():
            level = torch.tensor([step], device=device)
            clean = self.clean_estimate(denoise(noisy, level), noisy, step)
            # DDIM with eta = 1 is DDPM's ancestral sampling (arXiv 2010.02502, section 4.1).
            added = (
                {"eta": 1.0, "variance_noise": draw_noise(shape, generator, device)}
                if self._is_stochastic
                else {}
            )
            noisy = self._sampling.step(clean, step, noisy, **added).prev_sample
        return noisy


def _require_choice(name: str, value: str, choices: Sequence[str]) -> None:
    if value not in choices:
        raise ConfigError(f"policy.{name} is {value!r}{nearest(value, choices)}")


def _require_whole_shares(train_steps: int, inference_steps: int) -> None:
    if train_steps < 1:
        raise ConfigError(f"policy.train_steps is {train_steps}, expected at least 1")
    if inference_steps < 1 or train_steps % inference_steps:
        shares = [n for n in range(1, train_steps + 1) if train_steps % n == 0]
        raise ConfigError(
            f"policy.inference_steps is {inference_steps}, expected a divisor of "
            f"policy.train_steps = {train_steps}: one of {', '.join(map(str, shares))}"
        )
