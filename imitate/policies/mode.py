"""MoDE: a diffusion policy whose denoiser is a mixture of experts chosen by the noise level.

"Efficient Diffusion Transformer Policies with Mixture of Expert Denoisers for Multitask Learning", Reuss et
al., arXiv 2412.12953: the transformer of imitate.policies.nets.mode_transformer, trained with the noise and
preconditioning of EDM (imitate.policies.nets.edm) in normalised actions and float32. When acting, the
experts of each denoising step are known beforehand and joined into one layer (expert_cache).
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

import torch
from torch import Tensor

from imitate.errors import ConfigError
from imitate.normalize import Mode as Normalization
from imitate.policies.diffusion import hold_edges
from imitate.policies.nets.edm import NoiseConfig, level_of, sample
from imitate.policies.nets.expert_cache import ExpertCache, FusedExperts
from imitate.policies.nets.expert_usage import ExpertUsage
from imitate.policies.nets.mode_transformer import ModeTransformerConfig
from imitate.policies.nets.moe import Routing, auxiliary_losses, weighted_sum
from imitate.policies.nets.observation import ObservationConfig
from imitate.policies.observing import ObservingPolicy
from imitate.policy import Diagnosis, Generator, Horizons, draw_noise, masked_mean
from imitate.types import ActionChunk, Batch, DataSpec


@dataclass(frozen=True)
class ModeConfig:
    """Settings of a MoDE policy over states.

    cache: act with experts joined beforehand, where routing is by noise level; without it, or by token,
    routers are asked at every step.
    """

    horizons: Horizons = field(default_factory=Horizons)
    observation: ObservationConfig = field(default_factory=ObservationConfig)
    denoiser: ModeTransformerConfig = field(default_factory=ModeTransformerConfig)
    noise: NoiseConfig = field(default_factory=NoiseConfig)
    cache: bool = True
    action_normalization: Normalization = "minmax"

    def __post_init__(self) -> None:
        if self.noise.clip_sample and self.action_normalization != "minmax":
            raise ConfigError(
                f"policy.noise.clip_sample is true, but policy.action_normalization="
                f"{self.action_normalization} is not bounded by 1: set policy.noise.clip_sample=false"
            )

    def build(self, spec: DataSpec) -> "Mode":
        """The policy with fresh weights; see ObservationConfig.build for what it raises."""
        return Mode(self, spec)


class Mode(ObservingPolicy):
    """A mixture-of-experts denoiser between normalised observations and normalised chunks."""

    recordable = False  # `loss` counts who is chosen

    def __init__(self, config: ModeConfig, spec: DataSpec) -> None:
        super().__init__(config, spec)
        self.noise = config.noise
        self.moe = config.denoiser.moe
        self.denoiser = config.denoiser.build(
            config.horizons.obs_steps, self.observation.size, config.horizons.pred_steps, spec.action.size
        )
        self.learning_rate = self.denoiser.learning_rate
        self.sigmas = config.noise.sigmas()
        self.cached = config.cache and self.moe.routing != "token"
        self._cache = ExpertCache()
        self._usage = ExpertUsage(self.moe, self.sigmas, config.denoiser.layers)

    def loss(self, batch: Batch) -> dict[str, Tensor]:
        """Mean squared error of what the network is to predict, and the losses of the routers."""
        clean = self.normalizer.action(hold_edges(batch.action, batch.is_pad))
        sigma = self.noise.draw(len(clean), clean.device)
        c_skip, c_out, c_in = self.noise.preconditioning(sigma[:, None, None])
        noisy = clean + sigma[:, None, None] * torch.randn_like(clean)
        routings: list[Routing] = []
        condition = self.denoiser.encode(self.observe(batch.obs))
        predicted = self.denoiser(c_in * noisy, self.denoiser.embed(level_of(sigma)), condition, routings)
        error = (predicted - (clean - c_skip * noisy) / c_out).square().mean(dim=-1)
        action = masked_mean(error, batch.is_pad, batch.weight)
        auxiliary = auxiliary_losses(self.moe, routings, batch.weight)
        if self.training:
            self._usage.add(sigma, routings)
        return {"loss": action + weighted_sum(self.moe, auxiliary), "action": action, **auxiliary}

    @torch.no_grad()
    def predict(self, obs: Mapping[str, Tensor], generator: Generator) -> ActionChunk:
        """Sample a chunk; see Policy."""
        seen = self.observe(obs)
        condition = self.denoiser.encode(seen)
        shape = (len(seen), self.horizons.pred_steps, self.spec.action.size)
        steps = self._steps(seen.device)
        scales = self.noise.preconditioning(torch.tensor(self.sigmas))
        c_skip, c_out, c_in = (scale.tolist() for scale in scales)

        def estimate(noisy: Tensor, i: int) -> Tensor:
            level, fused = steps[i]
            predicted = self.denoiser(c_in[i] * noisy, level, condition, fused=fused)
            clean = c_skip[i] * noisy + c_out[i] * predicted
            return clean.clamp(-1.0, 1.0) if self.noise.clip_sample else clean

        noise = draw_noise(shape, generator, seen.device)
        chunk = sample(self.noise.sampler, self.sigmas, noise, estimate)
        return ActionChunk(self.executed(self.normalizer.action.inverse(chunk)))

    def diagnose(self) -> Diagnosis:
        """Which experts ran at which noise level since the last call; see Policy."""
        found = Diagnosis(self._usage.figures(), self._usage.warnings())
        self._usage.clear()
        return found

    @property
    def active_weights(self) -> int:
        """How many weights take part in a denoising step, on average over the steps."""
        levels = torch.tensor(self.sigmas, device=self.normalizer.action.scale.device)
        levels = self.denoiser.embed(level_of(levels))
        idle = sum(layer.idle_weights(levels) for layer in self.denoiser.feed_forwards())
        return sum(weights.numel() for weights in self.parameters()) - idle

    def _steps(self, device: torch.device) -> list[tuple[Tensor, list[FusedExperts] | None]]:
        """The embedded noise level (1, D) of each denoising step, and its experts where they are known."""
        levels = level_of(torch.tensor(self.sigmas, device=device))
        if not self.cached or self.training:
            return [(level, None) for level in self.denoiser.embed(levels).split(1)]
        steps = self._cache.steps(self.denoiser, self.sigmas, lambda: self.denoiser.fixed_steps(levels))
        return [(step.level, step.layers) for step in steps]
