"""What a diffusion policy asks of its network: encode the observation once, then denoise step by step."""

import math
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from imitate.errors import ConfigError


@dataclass(frozen=True)
class Sizes:
    """The sizes that data and horizons give to a denoiser: To, Do (encoded state), Tp, Da, noise levels."""

    obs_steps: int
    obs_size: int
    pred_steps: int
    action_size: int
    train_steps: int


class Denoiser(nn.Module, ABC):
    """A network from a noisy chunk, its noise level and an observation to a prediction about the chunk.

    `learning_rate` is the highest one that suits it, for AdamW.
    """

    learning_rate: float = 1e-4

    @abstractmethod
    def encode(self, obs: Tensor) -> Tensor:
        """What denoising needs of normalised observations (B, To, Do); rows along the first axis.

        Called once per chunk, however many denoising steps follow.
        """

    @abstractmethod
    def forward(self, noisy: Tensor, step: Tensor, condition: Tensor) -> Tensor:
        """Predict (B, Tp, Da) float32 from `noisy` (B, Tp, Da), its noise level and `encode`'s result.

        step: int64, (B,), or (1,) where all rows have the same level, which costs less.
        """


@dataclass(frozen=True)
class DenoiserConfig(ABC):
    """A frozen dataclass of a denoiser's settings; a policy YAML names it in `policy.denoiser._target_`."""

    @abstractmethod
    def build(self, sizes: Sizes) -> Denoiser:
        """The network with fresh weights; raises ConfigError where the settings do not fit `sizes`."""


def require_positive(config: object, *names: str) -> None:
    """Raise ConfigError naming the first of policy.denoiser.`names` that is below 1."""
    for name in names:
        value = getattr(config, name)
        if value < 1:
            raise ConfigError(f"policy.denoiser.{name} is {value}, expected at least 1")


def require_dropout(dropout: float) -> None:
    """Raise ConfigError where policy.denoiser.dropout is no probability below 1."""
    if not 0 <= dropout < 1:
        raise ConfigError(f"policy.denoiser.dropout is {dropout}, expected at least 0 and below 1")


def sinusoid_table(positions: int, size: int) -> Tensor:
    """Sine and cosine features (positions, size) of whole positions ("Attention Is All You Need", 3.5)."""
    half = (size + 1) // 2
    frequency = torch.exp(-math.log(10000.0) * torch.arange(half) / max(half - 1, 1))
    angle = torch.arange(positions)[:, None] * frequency
    return torch.cat([angle.sin(), angle.cos()], dim=1)[:, :size]


def embed_levels(embed: Callable[[Tensor], Tensor], levels: Tensor, step: Tensor) -> Tensor:
    """`embed` of the rows `step` of `levels` (train_steps, …), doing each level once in a large batch."""
    if len(step) < len(levels):
        return embed(levels[step])
    # The gradient of indexing by [step] takes a CPU seven times as long.
    return embed(levels).index_select(0, step)


def full_precision_linear(layer: nn.Linear, x: Tensor) -> Tensor:
    """Apply an output head in float32 also under autocast: bfloat16 would round actions to about 0.4 %."""
    with torch.autocast(x.device.type, enabled=False):
        return layer(x.float())
