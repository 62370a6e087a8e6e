"""ACT: an action chunking transformer, trained as a conditional variational autoencoder.

"Learning Fine-Grained Bimanual Manipulation with Low-Cost Hardware", Zhao et al., arXiv 2304.13705. In
training an encoder sees observation and demonstrated chunk and says how it was done: a latent z. A
transformer predicts the chunk from observation and z, by L1; KL(q(z) ‖ N(0, I)) keeps z short of telling it
all. When acting z is 0, as published, or drawn. `rollout.execution.strategy=ensemble` is its temporal
ensembling. What differs, and why:

- One layer decodes: of the seven that the published configuration names its code uses the first alone.
- Norms stand before attention and MLP, which trains at a higher learning rate and without warm-up.
- Actions are normalised to [-1, 1] and kept there, not to unit variance, as for the other policies here:
  nothing outside the demonstrated range reaches an actuator.
- Sizes are for states on a CPU (published: width 512, feed-forward 3200).

Shapes: B batch, To observation steps, Tp predicted steps, Da action dimensions, D width, Z latent size.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, get_args

import torch
from torch import Tensor, nn

from imitate.errors import ConfigError, nearest
from imitate.normalize import Mode
from imitate.policies.nets.denoiser import full_precision_linear
from imitate.policies.nets.observation import ObservationConfig
from imitate.policies.observing import ObservingPolicy
from imitate.policy import Generator, Horizons, draw_noise, masked_mean
from imitate.types import ActionChunk, Batch, DataSpec

Latent = Literal["zero", "sample"]


@dataclass(frozen=True)
class ActConfig:
    """Settings of ACT.

    encoder_layers: of the observation's encoder and of the chunk's; decoder_layers: of the chunk's decoder.
    latent_size: Z. kl_weight: of the KL divergence (sum over Z) against the L1 error (mean of the chunk): at
    the published 10 z tells hardly anything, and where people do a task in two ways the chunk is in between;
    below about 0.1 it tells the ways apart. latent: z when acting.
    """

    horizons: Horizons = field(default_factory=lambda: Horizons(1, 16, 8))
    observation: ObservationConfig = field(default_factory=ObservationConfig)
    width: int = 256
    heads: int = 8
    feedforward: int = 1024
    encoder_layers: int = 4
    decoder_layers: int = 1
    dropout: float = 0.1
    latent_size: int = 32
    kl_weight: float = 10.0
    latent: Latent = "zero"
    action_normalization: Mode = "minmax"

    def __post_init__(self) -> None:
        for name in ("width", "heads", "feedforward", "encoder_layers", "decoder_layers", "latent_size"):
            if getattr(self, name) < 1:
                raise ConfigError(f"policy.{name} is {getattr(self, name)}, expected at least 1")
        if self.width % self.heads:
            raise ConfigError(
                f"policy.width is {self.width}, which policy.heads = {self.heads} does not divide"
            )
        if not 0 <= self.dropout < 1:
            raise ConfigError(f"policy.dropout is {self.dropout}, expected at least 0 and below 1")
        if not self.kl_weight >= 0:
            raise ConfigError(f"policy.kl_weight is {self.kl_weight}, expected 0 or more")
        if self.latent not in get_args(Latent):
            raise ConfigError(f"policy.latent is {self.latent!r}{nearest(self.latent, get_args(Latent))}")

    def build(self, spec: DataSpec) -> "Act":
        """The policy with fresh weights; raises SpecError where it cannot see what `spec` holds."""
        return Act(self, spec)


class Act(ObservingPolicy):
    """An encoder of how the chunk was done, and a transformer that does it so."""

    learning_rate = 3e-4

    def __init__(self, config: ActConfig, spec: DataSpec) -> None:
        super().__init__(config, spec)
        self.config = config
        To, Tp, width = config.horizons.obs_steps, config.horizons.pred_steps, config.width
        self.is_bounded = config.action_normalization == "minmax"
        self.posterior = Posterior(config, self.observation.size, spec.action.size)
        self.latent_token = nn.Linear(config.latent_size, width)
        self.obs_token = nn.Linear(self.observation.size, width)
        self.positions = nn.Parameter(0.02 * torch.randn(1 + To, width))
        self.encoder = _encoder(config)
        self.queries = nn.Parameter(0.02 * torch.randn(Tp, width))
        layer = nn.TransformerDecoderLayer(
            width, config.heads, config.feedforward, config.dropout, batch_first=True, norm_first=True
        )
        self.decoder = nn.TransformerDecoder(layer, config.decoder_layers, nn.LayerNorm(width))
        self.head = nn.Linear(width, spec.action.size)

    def loss(self, batch: Batch) -> dict[str, Tensor]:
        """Mean absolute error over steps that are not padding, and the weighted divergence of the latent."""
        action, seen = self.normalizer.action(batch.action), self.observe(batch.obs)
        mean, log_std = self.posterior(seen, action, batch.is_pad)
        latent = mean + log_std.exp() * torch.randn_like(mean)
        error = (self._chunk(seen, latent) - action).abs().mean(dim=-1)
        l1 = masked_mean(error, batch.is_pad, batch.weight)
        divergence = (kl_to_standard_normal(mean, log_std) * batch.weight).sum()
        kl = divergence / batch.weight.sum().clamp_min(1e-8)
        return {"loss": l1 + self.config.kl_weight * kl, "l1": l1, "kl": kl}

    @torch.no_grad()
    def predict(self, obs: Mapping[str, Tensor], generator: Generator) -> ActionChunk:
        """The chunk of z = 0, or of a drawn one; see Policy."""
        seen = self.observe(obs)
        shape = (len(seen), self.config.latent_size)
        if self.config.latent == "zero":
            latent = seen.new_zeros(shape)
        else:
            latent = draw_noise(shape, generator, seen.device)
        chunk = self._chunk(seen, latent)
        if self.is_bounded:
            chunk = chunk.clamp(-1.0, 1.0)
        return ActionChunk(self.executed(self.normalizer.action.inverse(chunk)))

    def _chunk(self, seen: Tensor, latent: Tensor) -> Tensor:
        """The normalised chunk (B, Tp, Da) float32 of observations (B, To, F) and latents (B, Z)."""
        tokens = torch.cat([self.latent_token(latent)[:, None], self.obs_token(seen)], dim=1)
        memory = self.encoder(tokens + self.positions)
        features = self.decoder(self.queries.repeat(len(seen), 1, 1), memory)
        return full_precision_linear(self.head, features)


class Posterior(nn.Module):
    """q(z | observation, chunk): a transformer over [summary; observation steps; actions]."""

    def __init__(self, config: ActConfig, obs_size: int, action_size: int) -> None:
        super().__init__()
        To, Tp, width = config.horizons.obs_steps, config.horizons.pred_steps, config.width
        self.summary = nn.Parameter(0.02 * torch.randn(1, width))
        self.obs_token = nn.Linear(obs_size, width)
        self.action_token = nn.Linear(action_size, width)
        self.positions = nn.Parameter(0.02 * torch.randn(To + Tp, width))
        self.encoder = _encoder(config)
        self.head = nn.Linear(width, 2 * config.latent_size)

    def forward(self, seen: Tensor, action: Tensor, is_pad: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and log standard deviation (B, Z) each; padded steps (B, Tp) are not looked at."""
        # What stands in padding must not reach a product either: 0 · infinity is not 0.
        action = action.masked_fill(is_pad[:, :, None], 0.0)
        steps = torch.cat([self.obs_token(seen), self.action_token(action)], dim=1) + self.positions
        tokens = torch.cat([self.summary.expand(len(seen), -1, -1), steps], dim=1)
        unseen = torch.cat([is_pad.new_zeros(len(seen), 1 + seen.shape[1]), is_pad], dim=1)
        summary = self.encoder(tokens, src_key_padding_mask=unseen)[:, 0]
        mean, log_std = full_precision_linear(self.head, summary).chunk(2, dim=-1)
        return mean, log_std


def kl_to_standard_normal(mean: Tensor, log_std: Tensor) -> Tensor:
    """KL(N(mean, std²) ‖ N(0, I)) in nats, (B,), from (B, Z)."""
    return 0.5 * (mean.square() + (2 * log_std).exp() - 1 - 2 * log_std).sum(dim=-1)


def _encoder(config: ActConfig) -> nn.TransformerEncoder:
    layer = nn.TransformerEncoderLayer(
        config.width, config.heads, config.feedforward, config.dropout, batch_first=True, norm_first=True
    )
    norm = nn.LayerNorm(config.width)
    return nn.TransformerEncoder(layer, config.encoder_layers, norm, enable_nested_tensor=False)
