"""Flow matching: carry noise to a chunk along straight lines, in a few Euler steps.

"Flow Matching for Generative Modeling", Lipman et al., arXiv 2210.02747, with the straight paths of rectified
flow (Liu et al., arXiv 2209.03003): x_t = (1 - t) ε + t x from noise at t = 0 to a normalised chunk at t = 1,
whose velocity x - ε a network learns from x_t, t and the observation. Time runs over the grid i / TIMES, in
training as in sampling, so that a denoiser that counts noise levels (imitate.policies.nets.denoiser) knows it
exactly.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, get_args

import torch
from torch import Tensor

from imitate.errors import ConfigError, nearest
from imitate.history import PLAN
from imitate.normalize import Mode
from imitate.policies.diffusion import hold_edges, moved_on, plan_steps
from imitate.policies.nets.denoiser import DenoiserConfig, Sizes
from imitate.policies.nets.film_mlp import FilmMlpConfig
from imitate.policies.nets.observation import ObservationConfig
from imitate.policies.observing import ObservingPolicy
from imitate.policy import Generator, Horizons, draw_noise, masked_mean
from imitate.types import ActionChunk, Batch, DataSpec

TIMES = 1000
"""Trained on t = 0, 1/TIMES, … 1 - 1/TIMES."""

Prediction = Literal["velocity", "sample"]
TimeDistribution = Literal["uniform", "beta"]


@dataclass(frozen=True)
class FlowConfig:
    """Settings of a flow matching policy.

    inference_steps: Euler steps per chunk, a divisor of 1000.
    prediction: the network predicts the "velocity" x - ε, as published, or the clean chunk ("sample"), which
        the velocity follows from. That is the default: of chunks of a small network that had to choose
        between two ways in 5 steps, 12 % were in between with "velocity" and fewer than 5 % with "sample".
    time: "uniform", or "beta", which favours noisy chunks (Beta(1.5, 1) of 1 - t; π0, arXiv 2410.24164).
    clip_sample: keep every estimate of the clean chunk inside [-1, 1], the demonstrated range.
    warm_start: where a last chunk is known, begin at that chunk, moved on and mixed with this share of noise,
        and go the shorter way in as many, smaller steps; 0 always begins at pure noise. See DiffusionConfig.
    """

    horizons: Horizons = field(default_factory=Horizons)
    observation: ObservationConfig = field(default_factory=ObservationConfig)
    denoiser: DenoiserConfig = field(default_factory=FilmMlpConfig)
    inference_steps: int = 5
    prediction: Prediction = "sample"
    time: TimeDistribution = "uniform"
    clip_sample: bool = True
    warm_start: float = 0.0
    action_normalization: Mode = "minmax"

    def __post_init__(self) -> None:
        for name, choices in (("prediction", get_args(Prediction)), ("time", get_args(TimeDistribution))):
            if getattr(self, name) not in choices:
                value = getattr(self, name)
                raise ConfigError(f"policy.{name} is {value!r}{nearest(value, choices)}")
        if self.inference_steps < 1 or TIMES % self.inference_steps:
            raise ConfigError(
                f"policy.inference_steps is {self.inference_steps}, expected a divisor of {TIMES}: "
                "1, 2, 4, 5, 8, 10, …"
            )
        if not 0 <= self.warm_start <= 1:
            raise ConfigError(
                f"policy.warm_start is {self.warm_start}, expected a share of noise from 0 to 1"
            )
        if self.clip_sample and self.action_normalization != "minmax":
            raise ConfigError(
                f"policy.clip_sample is true, but policy.action_normalization is "
                f"{self.action_normalization!r}, which is not bounded by 1: set policy.clip_sample=false"
            )

    def strides(self) -> tuple[int, int]:
        """How many of TIMES an Euler step takes, from pure noise and from a warm start."""
        share = round(self.warm_start * TIMES / self.inference_steps)
        return TIMES // self.inference_steps, max(1, share)

    def build(self, spec: DataSpec) -> "Flow":
        """The policy with fresh weights; raises SpecError where it cannot see what `spec` holds."""
        return Flow(self, spec)


class Flow(ObservingPolicy):
    """A network that says where a noisy chunk is to go."""

    def __init__(self, config: FlowConfig, spec: DataSpec) -> None:
        super().__init__(config, spec)
        self.config = config
        horizons = config.horizons
        self.plan_steps = plan_steps(config.warm_start, horizons, spec)
        self.denoiser = config.denoiser.build(
            Sizes(horizons.obs_steps, self.observation.size, horizons.pred_steps, spec.action.size, TIMES)
        )
        self.learning_rate = self.denoiser.learning_rate

    def loss(self, batch: Batch) -> dict[str, Tensor]:
        """Mean squared error of the prediction at random times, over steps that are not padding."""
        clean = self.normalizer.action(hold_edges(batch.action, batch.is_pad))
        noise = torch.randn_like(clean)
        step = self._draw_times(len(clean), clean.device)
        t = (step / TIMES)[:, None, None]
        predicted = self.denoiser(
            (1 - t) * noise + t * clean, step, self.denoiser.encode(self.observe(batch.obs))
        )
        target = clean - noise if self.config.prediction == "velocity" else clean
        error = (predicted.float() - target).square().mean(dim=-1)
        return {"loss": masked_mean(error, batch.is_pad, batch.weight)}

    @torch.no_grad()
    def predict(self, obs: Mapping[str, Tensor], generator: Generator) -> ActionChunk:
        """Carry noise, or a plan mixed with noise, to a chunk; see Policy."""
        seen, count = self.observe(obs), self.config.inference_steps
        condition = self.denoiser.encode(seen)
        shape = (len(seen), self.horizons.pred_steps, self.spec.action.size)
        noisy = draw_noise(shape, generator, seen.device)
        stride, warm = self.config.strides()
        per_step = torch.full((1,), stride, device=seen.device)
        if self.plan_steps and PLAN in obs:
            planned, is_planned = moved_on(self, obs[PLAN])
            mixed = planned + count * warm / TIMES * (noisy - planned)
            noisy = torch.where(is_planned[:, None, None], mixed, noisy)
            per_step = torch.where(is_planned, warm, stride)
        for left in range(count, 0, -1):
            noise = left * per_step  # TIMES (1 - t), of each row or of all
            clean = self._clean(self.denoiser(noisy, TIMES - noise, condition).float(), noisy, noise / TIMES)
            # The straight line to the estimate: a share dt / (1 - t) of what is left of it.
            noisy = noisy + (clean - noisy) / left
        return ActionChunk(self.executed(self.normalizer.action.inverse(noisy)))

    def _draw_times(self, count: int, device: torch.device) -> Tensor:
        """Grid times i (count,) int64, standing for t = i / TIMES."""
        uniform = torch.rand(count, device=device)
        t = uniform if self.config.time == "uniform" else 1 - uniform.pow(1 / 1.5)
        return (t * TIMES).long().clamp(0, TIMES - 1)

    def _clean(self, predicted: Tensor, noisy: Tensor, left: Tensor) -> Tensor:
        """The estimate of the clean chunk that a prediction at 1 - t = `left` implies, clipped if set so."""
        clean = predicted if self.config.prediction == "sample" else noisy + left[:, None, None] * predicted
        return clean.clamp(-1.0, 1.0) if self.config.clip_sample else clean
