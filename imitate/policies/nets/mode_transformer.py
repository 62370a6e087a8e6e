"""The body of MoDE: a transformer whose feed-forward layers are experts routed by the noise level.

"Efficient Diffusion Transformer Policies with Mixture of Expert Denoisers for Multitask Learning", Reuss et
al., arXiv 2412.12953. Tokens are [noise level; observation steps; pieces of the chunk]. A layer is
x ← x + attention(norm(x) + φ(σ)), then x ← x + experts(norm(x)). What differs from the paper or its code,
and why:

- Every token sees all others, unless `causal`, as published, hides later ones. The noise of later steps says
  as much about where a chunk goes as that of earlier ones: on two ways round an obstacle, the task of
  tests/policies/test_two_ways.py, 11 % of a causal network's chunks collided after 300 steps of training,
  none of the others'.
- The code replaces x by norm(x) before it adds the experts' output: `residual` = "overwrite". By default
  the residual stream is kept, as the paper's equations and other pre-norm transformers do, so that what a
  layer adds does not hinge on how large the stream has become.
- Queries and keys are not normalised, as in the paper's text but not in its code, and norms are LayerNorm in
  place of RMSNorm: in small networks on a CPU those cost as much time as attention itself.
- φ has a nonlinearity between its two linear layers, without which it would be a straight line in ln σ.
- A token is `steps_per_token` steps of the chunk, 1 in the paper. Chunks of low-dimensional actions lose
  nothing by it, and 7 tokens in place of 19 train and act nearly three times as fast on a CPU.

Shapes: B batch, To observation steps, Tp predicted steps, Da action dimensions, D width, R: B, or 1 where
all rows have the same noise level.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal, get_args

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from imitate.errors import ConfigError, nearest
from imitate.policies.nets.denoiser import full_precision_linear, require_dropout, require_positive
from imitate.policies.nets.dropout import Dropout
from imitate.policies.nets.expert_cache import FixedStep, FusedExperts, fixed_steps
from imitate.policies.nets.moe import MoeConfig, MoeFeedForward, Routing

Residual = Literal["keep", "overwrite"]


@dataclass(frozen=True)
class ModeTransformerConfig:
    """Settings of ModeTransformer; `dropout` falls on what attention and experts add."""

    width: int = 128
    layers: int = 4
    heads: int = 4
    steps_per_token: int = 4
    dropout: float = 0.1
    causal: bool = False
    residual: Residual = "keep"
    moe: MoeConfig = field(default_factory=MoeConfig)

    def __post_init__(self) -> None:
        require_positive(self, "width", "layers", "heads", "steps_per_token")
        if self.width % self.heads:
            raise ConfigError(
                f"policy.denoiser.width is {self.width}, which policy.denoiser.heads = {self.heads} "
                "does not divide"
            )
        require_dropout(self.dropout)
        if self.residual not in get_args(Residual):
            raise ConfigError(
                f"policy.denoiser.residual is {self.residual!r}{nearest(self.residual, get_args(Residual))}"
            )

    def build(self, obs_steps: int, obs_size: int, pred_steps: int, action_size: int) -> "ModeTransformer":
        """The network with fresh weights; raises ConfigError where tokens do not fill the chunk."""
        if pred_steps % self.steps_per_token:
            raise ConfigError(
                f"policy.horizons.pred_steps is {pred_steps}, "
                f"expected a multiple of policy.denoiser.steps_per_token = {self.steps_per_token}"
            )
        return ModeTransformer(self, obs_steps, obs_size, pred_steps, action_size)


class ModeTransformer(nn.Module):
    """A network from a noisy chunk, its noise level and an observation to a prediction about the chunk.

    `learning_rate` is the highest one that suits it, for AdamW.
    """

    learning_rate = 1e-3

    def __init__(
        self, config: ModeTransformerConfig, obs_steps: int, obs_size: int, pred_steps: int, action_size: int
    ) -> None:
        super().__init__()
        width, tokens = config.width, pred_steps // config.steps_per_token
        self.pieces = (tokens, config.steps_per_token * action_size)
        self.level_embedding = nn.Sequential(
            nn.Linear(1, width), nn.SiLU(), nn.Linear(width, width, bias=False)
        )
        self.obs_token = nn.Linear(obs_size, width)
        self.action_token = nn.Linear(self.pieces[1], width)
        self.positions = nn.Parameter(0.02 * torch.randn(obs_steps + tokens, width))
        self.layers = nn.ModuleList(Layer(config) for _ in range(config.layers))
        self.norm = nn.LayerNorm(width)
        self.head = nn.Linear(width, self.pieces[1])
        nn.init.zeros_(self.head.weight)
        nn.init.zeros_(self.head.bias)

    def embed(self, level: Tensor) -> Tensor:
        """φ (R, D) of noise levels (R,), given as ln(σ) / 4."""
        return self.level_embedding(level[:, None])

    def encode(self, obs: Tensor) -> Tensor:
        """The tokens (B, To, D) of normalised observations (B, To, Do); once per chunk."""
        return self.obs_token(obs) + self.positions[: obs.shape[1]]

    def forward(
        self,
        noisy: Tensor,
        level: Tensor,
        condition: Tensor,
        routings: list[Routing] | None = None,
        fused: Sequence[FusedExperts] | None = None,
    ) -> Tensor:
        """Predict (B, Tp, Da) float32 from `noisy` (B, Tp, Da), `embed`'s level (R, D) and `encode`'s tokens.

        What the routers say is appended to `routings`. With `fused`, one per layer, those run instead of
        routed experts; they must be of this noise level, the same for all rows.
        """
        pieces = self.action_token(noisy.reshape(len(noisy), *self.pieces))
        pieces = pieces + self.positions[condition.shape[1] :]
        level = level[:, None]
        x = torch.cat([level.expand(len(noisy), -1, -1), condition, pieces], dim=1)
        for index, layer in enumerate(self.layers):
            # A list for each: of one that holds tensors already, sharded training gives the layer a copy.
            said: list[Routing] = []
            x = layer(x, level, said, fused[index] if fused is not None else None)
            if routings is not None:
                routings.extend(said)
        predicted = full_precision_linear(self.head, self.norm(x[:, -self.pieces[0] :]))
        return predicted.reshape(noisy.shape)

    def fixed_steps(self, levels: Tensor) -> list[FixedStep]:
        """Everything that depends on the noise levels (S,) alone, in evaluation mode; see ExpertCache."""
        with torch.no_grad():
            return fixed_steps(self.feed_forwards(), self.embed(levels))

    def feed_forwards(self) -> list[MoeFeedForward]:
        """The experts of each layer."""
        return [module for module in self.modules() if isinstance(module, MoeFeedForward)]


class Layer(nn.Module):
    """Self-attention that sees the noise level, and experts."""

    def __init__(self, config: ModeTransformerConfig) -> None:
        super().__init__()
        width = config.width
        self.heads, self.causal, self.overwrites = config.heads, config.causal, config.residual == "overwrite"
        self.before_attention, self.before_experts = nn.LayerNorm(width), nn.LayerNorm(width)
        self.attention_in = nn.Linear(width, 3 * width)
        self.attention_out = nn.Linear(width, width)
        self.experts = config.moe.build(width)
        self.dropout = Dropout(config.dropout)

    def forward(
        self, x: Tensor, level: Tensor, routings: list[Routing], fused: FusedExperts | None
    ) -> Tensor:
        """(B, T, D) -> (B, T, D), with the noise level (R, 1, D)."""
        x = x + self.dropout(self._attend(self.before_attention(x) + level))
        normed = self.before_experts(x)
        made = fused(normed) if fused is not None else self.experts(normed, level[:, 0], routings)
        return (normed if self.overwrites else x) + self.dropout(made)

    def _attend(self, x: Tensor) -> Tensor:
        query, key, value = self.attention_in(x).unflatten(-1, (3, self.heads, -1)).permute(2, 0, 3, 1, 4)
        attended = F.scaled_dot_product_attention(query, key, value, is_causal=self.causal)
        return self.attention_out(attended.transpose(1, 2).flatten(2))
