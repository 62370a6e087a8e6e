"""Diffusion with noise of standard deviation σ, x = clean + σ ε, and how its samplers walk from σ_max to 0.

"Elucidating the Design Space of Diffusion-Based Generative Models" (EDM, Karras et al., arXiv 2206.00364).
The network F sees c_in x, and D(x, σ) = c_skip x + c_out F is the estimate of the clean chunk. The samplers
are those of imitate.policies.nets.sampling with a = 1, s = σ.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal, get_args

import torch
from torch import Tensor

from imitate.errors import ConfigError, nearest
from imitate.policies.nets.sampling import ddim_steps, dpm_solver_steps, walk

Spacing = Literal["exponential", "karras"]
Sampler = Literal["ddim", "dpm_solver"]

KARRAS_RHO = 7.0


@dataclass(frozen=True)
class NoiseConfig:
    """Noise levels of training and sampling, in units of normalised actions.

    sigma_data: standard deviation of normalised actions.
    sigma_min, sigma_max: between them training draws σ from a log-logistic distribution with `median`
        and the `scale` of its logarithm, and sampling places `steps` levels by `spacing`; then follows 0.
    sampler: "ddim", of first order, as MoDE, or "dpm_solver", of second order: better at few steps.
    clip_sample: keep every estimate of the clean chunk inside [-1, 1], the demonstrated range.
    """

    sigma_data: float = 0.5
    sigma_min: float = 0.001
    sigma_max: float = 80.0
    median: float = 0.5
    scale: float = 0.5
    steps: int = 10
    spacing: Spacing = "exponential"
    sampler: Sampler = "dpm_solver"
    clip_sample: bool = True

    def __post_init__(self) -> None:
        for name, choices in (("spacing", get_args(Spacing)), ("sampler", get_args(Sampler))):
            value = getattr(self, name)
            if value not in choices:
                raise ConfigError(f"policy.noise.{name} is {value!r}{nearest(value, choices)}")
        for name in ("sigma_data", "sigma_min", "median", "scale"):
            if not getattr(self, name) > 0:
                raise ConfigError(f"policy.noise.{name} is {getattr(self, name)}, expected more than 0")
        if not self.sigma_max > self.sigma_min:
            raise ConfigError(
                f"policy.noise.sigma_max is {self.sigma_max}, "
                f"expected more than policy.noise.sigma_min = {self.sigma_min}"
            )
        if self.steps < 1:
            raise ConfigError(f"policy.noise.steps is {self.steps}, expected at least 1")

    def sigmas(self) -> list[float]:
        """The levels that sampling calls the network at, falling from sigma_max; 0 follows."""
        share = [i / max(self.steps - 1, 1) for i in range(self.steps)]
        if self.spacing == "exponential":  # evenly in log σ
            return [self.sigma_max ** (1 - t) * self.sigma_min**t for t in share]
        high, low = self.sigma_max ** (1 / KARRAS_RHO), self.sigma_min ** (1 / KARRAS_RHO)
        return [(high + t * (low - high)) ** KARRAS_RHO for t in share]  # EDM, equation 5

    def draw(self, count: int, device: torch.device) -> Tensor:
        """Noise levels (count,) to train on: log-logistic, truncated to [sigma_min, sigma_max]."""
        low, high = (
            1 / (1 + math.exp(-math.log(sigma / self.median) / self.scale))
            for sigma in (self.sigma_min, self.sigma_max)
        )
        uniform = low + (high - low) * torch.rand(count, device=device)
        drawn = self.median * torch.exp(self.scale * torch.logit(uniform, eps=1e-7))
        return drawn.clamp(self.sigma_min, self.sigma_max)

    def preconditioning(self, sigma: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """c_skip, c_out and c_in (EDM, table 1)."""
        variance = sigma.square() + self.sigma_data**2
        root = variance.sqrt()
        return self.sigma_data**2 / variance, sigma * self.sigma_data / root, 1 / root


def level_of(sigma: Tensor) -> Tensor:
    """How a network is told σ: c_noise = ln(σ) / 4 (EDM, table 1)."""
    return sigma.log() / 4


def sample(
    sampler: Sampler, sigmas: Sequence[float], noise: Tensor, estimate: Callable[[Tensor, int], Tensor]
) -> Tensor:
    """Solve the probability-flow ODE from sigmas[0] · `noise` to σ = 0; estimate(x, i) is D(x, sigmas[i])."""
    levels, scales = range(len(sigmas)), [(1.0, sigma) for sigma in sigmas]
    if sampler == "dpm_solver":
        steps = dpm_solver_steps(levels, scales)
    else:
        steps = ddim_steps(levels, scales, temperature=None)
    return walk(steps, estimate, sigmas[0] * noise, [])
