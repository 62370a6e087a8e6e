"""Noise schedules of diffusion: how chunks are noised for training, and how samplers undo it.

In the notation of imitate.policies.diffusion, x_k = a_k x_0 + s_k ε. The schedules are those of diffusers.
"""

from collections.abc import Callable, Sequence
from typing import Literal, get_args

import torch
from diffusers import DDPMScheduler
from torch import Tensor

from imitate.errors import ConfigError, nearest
from imitate.policies.nets.sampling import ddim_steps, dpm_solver_steps, walk
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
        temperature: float = 1.0,
    ) -> None:
        _require_choice("schedule", schedule, get_args(Schedule))
        _require_choice("prediction", prediction, get_args(Prediction))
        _require_choice("sampler", sampler, get_args(Sampler))
        _require_whole_shares(train_steps, inference_steps)
        if temperature < 0:
            raise ConfigError(f"policy.temperature is {temperature}, expected 0 or more")
        self.temperature = temperature
        self.train_steps = train_steps
        self.inference_steps = inference_steps
        self.prediction = prediction
        self.clip_sample = clip_sample
        self._training = DDPMScheduler(train_steps, beta_schedule=schedule)
        # Doubles: a² + s² = 1 holds to fewer decimals in float32 than the steps at low noise need.
        signal = self._training.alphas_cumprod.double()
        self._scales = list(zip(signal.sqrt().tolist(), (1 - signal).sqrt().tolist(), strict=True))
        share = train_steps // inference_steps
        levels = range(train_steps - 1, -1, -share)
        self._steps = (
            dpm_solver_steps(levels, self._scales)
            if sampler == "dpm_solver"
            else ddim_steps(levels, self._scales, temperature if sampler == "ddpm" else None)
        )

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
        return self._scales[step]

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
        """A sample of `shape` (B, …) by `denoise`(x_k, its level (1,)) at each inference step.

        All noise is multiplied by the temperature: low-temperature sampling of Decision Diffuser (arXiv
        2211.15657), which multiplies its variance, the square of that.
        """

        def estimate(noisy: Tensor, index: int) -> Tensor:
            level = self._steps[index].level
            return self.clean_estimate(denoise(noisy, torch.tensor([level], device=device)), noisy, level)

        noise = self.temperature * draw_noise(shape, generator, device)
        return walk(self._steps, estimate, noise, generator)


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
