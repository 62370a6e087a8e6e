"""A decoder whose tokens are whole chunks: each looks at the observation and is refined, layer by layer.

The decoder of DiffusionDrive (Liao et al., arXiv 2411.15139), for action chunks: a token embeds its noisy
chunk, attends to the observation's tokens and passes a feed-forward net whose input is scaled and shifted
by the noise level; a head then says what the chunk is. The next layer embeds that too, and corrects it.
Tokens do not see each other, so any number of candidates shares one encoded observation. Here the
observation scales and shifts, too (FiLM): a few state tokens alone are a weak condition.

Shapes: B batch, K chunks, Tp steps, Da action dimensions, To observation steps, L layers, H heads, D width.
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
from imitate.policies.nets.dropout import Dropout
from imitate.policies.nets.film import FilmCondition
from imitate.policies.nets.moe import MoeConfig, MoeFeedForward, Routing


@dataclass(frozen=True)
class ChunkDecoderConfig(DenoiserConfig):
    """Settings of ChunkDecoder.

    The feed-forward nets have `expansion` · width hidden features, or with `moe` consist of routed experts.
    """

    width: int = 256
    layers: int = 2
    heads: int = 4
    expansion: int = 2
    dropout: float = 0.1
    moe: MoeConfig | None = None

    def __post_init__(self) -> None:
        require_positive(self, "width", "layers", "heads", "expansion")
        if self.width % self.heads:
            raise ConfigError(
                f"policy.denoiser.width is {self.width}, which policy.denoiser.heads = {self.heads} "
                "does not divide"
            )
        require_dropout(self.dropout)

    def build(self, sizes: Sizes) -> "ChunkDecoder":
        """The denoiser of a diffusion policy; raises ConfigError with `moe`, which it would not train."""
        if self.moe is not None:
            raise ConfigError(
                "policy.denoiser.moe is set, but policy=diffusion does not balance experts: set it to null, "
                "or use policy=truncated_mode"
            )
        return ChunkDecoder(self, sizes)


@dataclass(frozen=True)
class Refined:
    """What one layer makes of K chunks: their features (B, K, D) and an offset (B, K, Tp, Da).

    The offset is added to what the layers before it said that the chunks are.

    `routing` is what the layer's router said, where there are experts.
    """

    features: Tensor
    offset: Tensor
    routing: Routing | None


class ChunkDecoder(Denoiser):
    """Refines K chunks given one observation; as the denoiser of a diffusion policy, K is 1."""

    learning_rate = 1e-3
    positions: Tensor

    def __init__(self, config: ChunkDecoderConfig, sizes: Sizes) -> None:
        super().__init__()
        self.chunk_shape = (sizes.pred_steps, sizes.action_size)
        self.obs_shape = (sizes.obs_steps, 2 * config.width * config.layers)
        width, chunk_size = config.width, sizes.pred_steps * sizes.action_size
        self.register_buffer("positions", sinusoid_table(sizes.obs_steps, width), persistent=False)
        self.obs_token = nn.Linear(sizes.obs_size, width)
        self.memory = nn.Sequential(nn.SiLU(), nn.Linear(width, width), nn.SiLU())
        self.keys_values = nn.Linear(width, 2 * width * config.layers)
        self.condition = FilmCondition(sizes, width, [width] * config.layers)
        self.level_embedding = nn.Linear(width, width) if config.moe else None
        self.enter = nn.ModuleList(nn.Linear(chunk_size, width) for _ in range(config.layers))
        self.layers = nn.ModuleList(Layer(config) for _ in range(config.layers))
        self.norms = nn.ModuleList(nn.LayerNorm(width) for _ in range(config.layers))
        heads = [nn.Linear(width, chunk_size) for _ in range(config.layers)]
        for head in heads:
            nn.init.zeros_(head.weight)
            nn.init.zeros_(head.bias)
        self.heads = nn.ModuleList(heads)

    def encode(self, obs: Tensor) -> Tensor:
        """Keys and values of the observation's tokens, and its part of all modulations, in one row each."""
        tokens = self.memory(self.obs_token(obs) + self.positions)
        return torch.cat([self.keys_values(tokens).flatten(1), self.condition.encode(obs)], dim=1)

    def forward(self, noisy: Tensor, step: Tensor, condition: Tensor) -> Tensor:
        """Predict (B, Tp, Da); see Denoiser."""
        layers = self.refine(noisy[:, None], step, condition)
        return torch.stack([layer.offset for layer in layers]).sum(dim=0)[:, 0]

    def refine(self, noisy: Tensor, step: Tensor, condition: Tensor) -> list[Refined]:
        """What each layer makes of the chunks `noisy` (B, K, Tp, Da) at noise levels `step` (B,) or (1,).

        The offsets of all layers add up to the chunks. A layer sees what those before it made of the chunk,
        but sends no gradient back through it.
        """
        obs_size = self.obs_shape[0] * self.obs_shape[1]
        keys_values = condition[:, :obs_size].unflatten(1, self.obs_shape).chunk(len(self.layers), dim=-1)
        modulations = self.condition(step, condition[:, obs_size:])
        level = self._level(step)
        x, seen, chunk, refined = noisy.new_zeros(()), noisy, torch.zeros_like(noisy), []
        for index, layer in enumerate(self.layers):
            routings: list[Routing] = []
            embedded = x + self.enter[index](seen.flatten(2))
            x = layer(embedded, keys_values[index], modulations[index], level, routings)
            offset = full_precision_linear(self.heads[index], self.norms[index](x))  # type: ignore[arg-type]
            offset = offset.unflatten(-1, self.chunk_shape)
            refined.append(Refined(x, offset, routings[0] if routings else None))
            seen = chunk = chunk + offset.detach()
        return refined

    def _level(self, step: Tensor) -> Tensor:
        """What routers see of the noise levels, (B, D) or (1, D); nothing without experts."""
        if self.level_embedding is None:
            return step.new_empty(0)
        return embed_levels(self.level_embedding, self.condition.levels, step)


class Layer(nn.Module):
    """Cross-attention to prepared keys and values, and a feed-forward net under a modulation."""

    def __init__(self, config: ChunkDecoderConfig) -> None:
        super().__init__()
        width, hidden = config.width, config.expansion * config.width
        self.heads = config.heads
        self.before_cross = nn.LayerNorm(width)
        self.before_feed = nn.LayerNorm(width, elementwise_affine=False)
        self.cross_in, self.cross_out = nn.Linear(width, width), nn.Linear(width, width)
        self.feed = (
            nn.Sequential(
                nn.Linear(width, hidden), nn.SiLU(), Dropout(config.dropout), nn.Linear(hidden, width)
            )
            if config.moe is None
            else config.moe.build(width, config.dropout)
        )

    def forward(
        self, x: Tensor, keys_values: Tensor, modulation: Tensor, level: Tensor, routings: list[Routing]
    ) -> Tensor:
        """(B, K, D) with keys and values (B, To, 2D) and a modulation (B, 2D).

        Experts are routed by `level` and add what the router said to `routings`.
        """
        x = x + self.cross_out(self._attend(self.cross_in(self.before_cross(x)), keys_values))
        scale, shift = modulation[:, None].chunk(2, dim=-1)
        inner = torch.addcmul(shift, self.before_feed(x), scale)
        if isinstance(self.feed, MoeFeedForward):
            return x + self.feed(inner, level, routings)
        return x + self.feed(inner)

    def _attend(self, query: Tensor, keys_values: Tensor) -> Tensor:
        query, key, value = (
            part.unflatten(-1, (self.heads, -1)).transpose(1, 2)
            for part in (query, *keys_values.chunk(2, dim=-1))
        )
        return F.scaled_dot_product_attention(query, key, value).transpose(1, 2).flatten(2)
