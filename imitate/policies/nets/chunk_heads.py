"""From features to normalised action chunks: one chunk, or a mixture of Gaussians over whole chunks.

The details of the mixture (5 modes, means through tanh, low noise when acting) follow robomimic (Mandlekar et
al., arXiv 2108.03298). Shapes: B batch, K modes, Tp steps, Da action dimensions.
"""

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from imitate.errors import ConfigError
from imitate.normalize import Mode
from imitate.policy import Generator, draw_noise, masked_mean
from imitate.types import Batch


class ChunkHead(nn.Module, ABC):
    """From features (B, width) to normalised chunks (B, Tp, Da)."""

    @abstractmethod
    def loss(self, features: Tensor, action: Tensor, batch: Batch) -> Tensor:
        """The loss of normalised actions (B, Tp, Da), weighted and masked as `batch` says."""

    @abstractmethod
    def sample(self, features: Tensor, generator: Generator) -> Tensor:
        """Chunks (B, Tp, Da) to execute."""


class MeanHead(ChunkHead):
    """One chunk, trained by squared error."""

    def __init__(self, width: int, chunk_shape: tuple[int, int]) -> None:
        super().__init__()
        self.chunk_shape = chunk_shape
        self.mean = nn.Linear(width, math.prod(chunk_shape))

    def forward(self, features: Tensor) -> Tensor:
        """The chunk (B, Tp, Da)."""
        with torch.autocast(features.device.type, enabled=False):
            return self.mean(features.float()).unflatten(-1, self.chunk_shape)

    def loss(self, features: Tensor, action: Tensor, batch: Batch) -> Tensor:
        """Mean squared error."""
        error = (self(features) - action).square().mean(dim=-1)
        return masked_mean(error, batch.is_pad, batch.weight)

    def sample(self, features: Tensor, generator: Generator) -> Tensor:
        """The predicted chunk; draws nothing."""
        return self(features)


def draw_category(log_weight: Tensor, uniform: Tensor) -> Tensor:
    """The category (B,) of log_weight (B, K) that `uniform` (B,) in [0, 1] falls on."""
    edges = log_weight.exp().cumsum(dim=-1)
    # The last edge is 1 up to rounding, hence the clamp.
    return (edges < uniform[:, None]).sum(dim=1).clamp_max(edges.shape[1] - 1)


@dataclass(frozen=True)
class Mixture:
    """K diagonal Gaussians over chunks: log_weight (B, K), mean and std (B, K, Tp, Da)."""

    log_weight: Tensor
    mean: Tensor
    std: Tensor

    def log_likelihood(self, action: Tensor, is_pad: Tensor) -> Tensor:
        """log p (B,) of the steps of chunks (B, Tp, Da) that are not padding."""
        distance = (action[:, None] - self.mean) / self.std
        per_step = (-0.5 * distance.square() - self.std.log() - 0.5 * math.log(2 * math.pi)).sum(dim=-1)
        per_mode = per_step.masked_fill(is_pad[:, None], 0.0).sum(dim=-1)
        return torch.logsumexp(self.log_weight + per_mode, dim=-1)

    def choose(self, uniform: Tensor) -> Tensor:
        """The mean (B, Tp, Da) of the mode that `uniform` (B,) in [0, 1] falls on."""
        mode = draw_category(self.log_weight, uniform)
        return self.mean[torch.arange(len(mode), device=mode.device), mode]


class MixtureHead(ChunkHead):
    """A Gaussian mixture over whole chunks, trained by likelihood.

    One mode is chosen per chunk, not per step: otherwise a chunk could change its mind half way.
    """

    def __init__(
        self, width: int, chunk_shape: tuple[int, int], modes: int, train_std_floor: float, act_std: float
    ) -> None:
        super().__init__()
        self.shape = (modes, *chunk_shape)
        self.train_std_floor = train_std_floor
        self.act_std = act_std
        size = math.prod(self.shape)
        # No zeros here: modes that start equal stay equal.
        self.parameters_of_mixture = nn.Linear(width, 2 * size + modes)

    def forward(self, features: Tensor) -> Mixture:
        """The mixture that training sees."""
        with torch.autocast(features.device.type, enabled=False):
            parameters = self.parameters_of_mixture(features.float())
        size = math.prod(self.shape)
        mean, std, logits = parameters.split([size, size, self.shape[0]], dim=-1)
        return Mixture(
            logits.log_softmax(dim=-1),
            mean.tanh().unflatten(-1, self.shape),
            F.softplus(std).unflatten(-1, self.shape) + self.train_std_floor,
        )

    def loss(self, features: Tensor, action: Tensor, batch: Batch) -> Tensor:
        """Negative log-likelihood per real step (a chunk with more real steps counts more)."""
        total = -self(features).log_likelihood(action, batch.is_pad) * batch.weight
        steps = (~batch.is_pad).sum(dim=1) * batch.weight
        return total.sum() / steps.sum().clamp_min(1e-8)

    def sample(self, features: Tensor, generator: Generator) -> Tensor:
        """A mode drawn by its weight, with noise of act_std."""
        steps, size = self.shape[1:]
        noise = draw_noise((len(features), 1 + steps * size), generator, features.device)
        chosen = self(features).choose(torch.special.ndtr(noise[:, 0]))
        return chosen + self.act_std * noise[:, 1:].unflatten(-1, (steps, size))


def require_mixture(modes: int, train_std_floor: float, act_std: float) -> None:
    """Raise ConfigError where these settings of a policy make no mixture."""
    if modes < 1:
        raise ConfigError(f"policy.modes is {modes}, expected at least 1")
    if train_std_floor <= 0 or act_std < 0:
        raise ConfigError(
            f"policy.train_std_floor is {train_std_floor} and policy.act_std is {act_std}, "
            "expected the first above 0 and the second not below"
        )


def require_bounded(action_normalization: Mode, chooser: str) -> None:
    """Raise ConfigError where actions are not in [-1, 1], as the means of the mixture of `chooser` are."""
    if action_normalization != "minmax":
        raise ConfigError(
            f"policy.action_normalization is {action_normalization!r}, but the means of "
            f"{chooser} lie in [-1, 1]: set policy.action_normalization=minmax"
        )
