"""A causal transformer over the steps of the chunk: the denoiser of Diffusion Policy's transformer variant.

arXiv 2303.04137, section III-A. Action tokens attend to earlier action tokens, and by cross-attention to one
token of the noise level and To tokens of the observation. Keys and values of the latter do not depend on the
noise, so they are computed once per chunk. Shapes: B batch, T action tokens, S condition tokens, H heads,
L layers, D width.
"""

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from imitate.errors import ConfigError
from imitate.policies.nets.denoiser import (
    Denoiser,
    DenoiserConfig,
    Sizes,
    embed_levels,
    full_precision_linear,
    require_dropout,
    require_positive,
    sinusoid_table,
)


@dataclass(frozen=True)
class TransformerConfig(DenoiserConfig):
    """Settings of Transformer; `dropout` falls on attention weights and residual branches in training."""

    width: int = 256
    layers: int = 8
    heads: int = 4
    dropout: float = 0.0

    def __post_init__(self) -> None:
        require_positive(self, "width", "layers", "heads")
        if self.width % self.heads:
            raise ConfigError(
                f"policy.denoiser.width is {self.width}, which policy.denoiser.heads = {self.heads} "
                "does not divide"
            )
        require_dropout(self.dropout)

    def build(self, sizes: Sizes) -> "Transformer":
        """The network with fresh weights."""
        return Transformer(self, sizes)


class Transformer(Denoiser):
    """A pre-norm decoder whose memory is [noise level; observation steps]."""

    levels: Tensor
    positions: Tensor
    sees: Tensor

    def __init__(self, config: TransformerConfig, sizes: Sizes) -> None:
        super().__init__()
        width = config.width
        self.register_buffer("levels", sinusoid_table(sizes.train_steps, width), persistent=False)
        self.register_buffer("positions", sinusoid_table(sizes.pred_steps, width), persistent=False)
        self.register_buffer("sees", _visible(sizes), persistent=False)
        self.level_token = nn.Linear(width, width)
        self.obs_token = nn.Linear(sizes.obs_size, width)
        self.memory = nn.Sequential(nn.Linear(width, 4 * width), nn.Mish(), nn.Linear(4 * width, width))
        self.keys_values = nn.Linear(width, 2 * width * config.layers)
        self.action_token = nn.Linear(sizes.action_size, width)
        self.layers = nn.ModuleList(Layer(config) for _ in range(config.layers))
        self.norm = nn.LayerNorm(width)
        self.head = nn.Linear(width, sizes.action_size)
        self.apply(_initialise)
        nn.init.zeros_(self.head.weight)

    def encode(self, obs: Tensor) -> Tensor:
        """Keys and values of the observation tokens for all layers, (B, To, 2 L D)."""
        tokens = self.obs_token(obs) + self.positions[: obs.shape[1]]
        return self.keys_values(self.memory(tokens))

    def forward(self, noisy: Tensor, step: Tensor, condition: Tensor) -> Tensor:
        """Predict (B, Tp, Da); see Denoiser."""
        level = embed_levels(self._level_keys_values, self.levels, step)[:, None]
        memory = torch.cat([level.expand(len(noisy), -1, -1), condition], dim=1)
        x = self.action_token(noisy) + self.positions
        for layer, keys_values in zip(self.layers, memory.chunk(len(self.layers), dim=-1), strict=True):
            x = layer(x, keys_values, self.sees)
        return full_precision_linear(self.head, self.norm(x))

    def _level_keys_values(self, levels: Tensor) -> Tensor:
        return self.keys_values(self.memory(self.level_token(levels)))


class Layer(nn.Module):
    """Causal self-attention, cross-attention to prepared keys and values, and an MLP."""

    def __init__(self, config: TransformerConfig) -> None:
        super().__init__()
        width = config.width
        self.heads, self.dropout = config.heads, config.dropout
        self.norms = nn.ModuleList(nn.LayerNorm(width) for _ in range(3))
        self.self_in, self.self_out = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.cross_in, self.cross_out = nn.Linear(width, width), nn.Linear(width, width)
        self.mlp = nn.Sequential(nn.Linear(width, 4 * width), nn.GELU(), nn.Linear(4 * width, width))

    def forward(self, x: Tensor, keys_values: Tensor, sees: Tensor) -> Tensor:
        """(B, T, D) with memory (B, S, 2D), action token t seeing condition token s where `sees` (T, S)."""
        before_self, before_cross, before_mlp = self.norms
        query, key, value = self.self_in(before_self(x)).chunk(3, dim=-1)
        x = x + self._drop(self.self_out(self._attend(query, key, value)))
        key, value = keys_values.chunk(2, dim=-1)
        attended = self._attend(self.cross_in(before_cross(x)), key, value, sees)
        x = x + self._drop(self.cross_out(attended))
        return x + self._drop(self.mlp(before_mlp(x)))

    def _drop(self, x: Tensor) -> Tensor:
        return F.dropout(x, self.dropout, self.training)

    def _attend(self, query: Tensor, key: Tensor, value: Tensor, sees: Tensor | None = None) -> Tensor:
        query, key, value = (x.unflatten(-1, (self.heads, -1)).transpose(1, 2) for x in (query, key, value))
        attended = F.scaled_dot_product_attention(
            query,
            key,
            value,
            attn_mask=sees,
            is_causal=sees is None,
            dropout_p=self.dropout if self.training else 0.0,
        )
        return attended.transpose(1, 2).flatten(2)


def _visible(sizes: Sizes) -> Tensor:
    """Which of [noise level; observation steps] each predicted step may see: none that is later, (T, S)."""
    steps = torch.arange(sizes.pred_steps)[:, None]
    return steps >= torch.arange(-1, sizes.obs_steps)


def _initialise(module: nn.Module) -> None:
    if isinstance(module, nn.Linear):
        nn.init.normal_(module.weight, std=0.02)
        nn.init.zeros_(module.bias)
