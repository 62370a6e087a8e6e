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
        warm_start: float = 0.0,
    ) -> None:
        _require_choice("schedule", schedule, get_args(Schedule))
        _require_choice("prediction", prediction, get_args(Prediction))
        _require_choice("sampler", sampler, get_args(Sampler))
        _require_whole_shares(train_steps, inference_steps)
        if temperature < 0:
            raise ConfigError(f"policy.temperature is {temperature}, expected 0 or more")
        _require_warm(warm_start, train_steps, inference_steps, sampler)
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
        self._warm = (
            ddim_steps(warm_levels(warm_start, train_steps, inference_steps), self._scales, None)
            if warm_start
            else []
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
        return self._clean(predicted, noisy, *self.scales(step))

    def _clean(
        self, predicted: Tensor, noisy: Tensor, signal: float | Tensor, sigma: float | Tensor
    ) -> Tensor:
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
            return self.clean_estimate(denoise(noisy, torch.full((1,), level, device=device)), noisy, level)

        noise = self.temperature * draw_noise(shape, generator, device)
        return walk(self._steps, estimate, noise, generator)

    def sample_on(
        self,
        denoise: Callable[[Tensor, Tensor], Tensor],
        planned: Tensor,
        is_planned: Tensor,
        generator: Generator,
    ) -> Tensor:
        """As `sample`, but rows that `is_planned` (B,) begin at chunks `planned` (B, Tp, Da), noised in part.

        They begin at the highest level of the warm start and take as many steps as the others; `denoise` is
        given the level of every row, (B,). To start from the plan before is Diffuser's (Janner et al., arXiv
        2205.09991, section 5.4), which then takes fewer steps; here they are smaller.
        """
        rows = is_planned[:, None, None]

        def chosen(warm: float, cold: float) -> Tensor:
            return torch.where(rows, warm, cold)

        noise = self.temperature * draw_noise(planned.shape, generator, planned.device)
        signal, sigma = self.scales(self._warm[0].level)
        x = torch.where(rows, signal * planned + sigma * noise, noise)
        for warm, cold in zip(self._warm, self._steps, strict=True):
            predicted = denoise(x, torch.where(is_planned, warm.level, cold.level))
            (signal, cold_signal), (sigma, cold_sigma) = zip(
                self.scales(warm.level), self.scales(cold.level), strict=True
            )
            clean = self._clean(predicted, x, chosen(signal, cold_signal), chosen(sigma, cold_sigma))
            x = chosen(warm.noisy, cold.noisy) * x + chosen(warm.clean, cold.clean) * clean
        return clean


def warm_levels(share: float, train_steps: int, inference_steps: int) -> list[int]:
    """The levels of a start at `share` of all of them, highest first; as many and as even as others are."""
    top = round(share * train_steps)
    return [round(top * left / inference_steps) - 1 for left in range(inference_steps, 0, -1)]


def _require_warm(share: float, train_steps: int, inference_steps: int, sampler: str) -> None:
    if not 0 <= share <= 1:
        raise ConfigError(f"policy.warm_start is {share}, expected a share of the noise levels from 0 to 1")
    if share and sampler != "ddim":
        raise ConfigError(f"policy.warm_start is {share}, which needs policy.sampler=ddim, not {sampler}")
    if share and round(share * train_steps) < inference_steps:
        raise ConfigError(
            f"policy.warm_start is {share} of policy.train_steps = {train_steps} levels, too few for "
            f"policy.inference_steps = {inference_steps}"
        )


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
