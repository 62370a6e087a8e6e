"""A causal transformer over the steps of a history (GPT, Radford et al. 2018, with norms before each part).

Shapes: B batch, T steps, F size of a step's vector, H heads, D width.
"""

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from imitate.errors import ConfigError
from imitate.policies.nets.dropout import Dropout


@dataclass(frozen=True)
class CausalTransformerConfig:
    """Settings of CausalTransformer; `dropout` falls on tokens and on what each part adds to them."""

    width: int = 120
    layers: int = 6
    heads: int = 6
    dropout: float = 0.1

    def __post_init__(self) -> None:
        for name in ("width", "layers", "heads"):
            if getattr(self, name) < 1:
                raise ConfigError(f"policy.transformer.{name} is {getattr(self, name)}, expected at least 1")
        if self.width % self.heads:
            raise ConfigError(
                f"policy.transformer.width is {self.width}, which policy.transformer.heads = {self.heads} "
                "does not divide"
            )
        if not 0 <= self.dropout < 1:
            raise ConfigError(
                f"policy.transformer.dropout is {self.dropout}, expected at least 0 and below 1"
            )

    def build(self, size: int, steps: int) -> "CausalTransformer":
        """The network with fresh weights, for `steps` steps of vectors of `size`."""
        return CausalTransformer(self, size, steps)


class CausalTransformer(nn.Module):
    """(B, T, F) to features (B, T, D), each of which depends on its own and earlier steps."""

    def __init__(self, config: CausalTransformerConfig, size: int, steps: int) -> None:
        super().__init__()
        self.token = nn.Linear(size, config.width)
        self.positions = nn.Parameter(0.02 * torch.randn(steps, config.width))
        self.dropout = Dropout(config.dropout)
        self.layers = nn.ModuleList(Layer(config) for _ in range(config.layers))
        self.norm = nn.LayerNorm(config.width)

    def forward(self, x: Tensor) -> Tensor:
        """See the class."""
        x = self.dropout(self.token(x) + self.positions)
        for layer in self.layers:
            x = layer(x)
        return self.norm(x)


class Layer(nn.Module):
    """Causal self-attention and an MLP."""

    def __init__(self, config: CausalTransformerConfig) -> None:
        super().__init__()
        width = config.width
        self.heads = config.heads
        self.before_attention, self.before_mlp = nn.LayerNorm(width), nn.LayerNorm(width)
        self.enter, self.leave = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.mlp = nn.Sequential(nn.Linear(width, 4 * width), nn.GELU(), nn.Linear(4 * width, width))
        self.dropout = Dropout(config.dropout)

    def forward(self, x: Tensor) -> Tensor:
        """(B, T, D) to the same."""
        parts = self.enter(self.before_attention(x)).chunk(3, dim=-1)
        query, key, value = (part.unflatten(-1, (self.heads, -1)).transpose(1, 2) for part in parts)
        attended = F.scaled_dot_product_attention(query, key, value, is_causal=True)
        x = x + self.dropout(self.leave(attended.transpose(1, 2).flatten(2)))
        return x + self.dropout(self.mlp(self.before_mlp(x)))
