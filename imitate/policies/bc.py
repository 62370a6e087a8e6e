"""Behaviour cloning: an MLP from the observation history straight to an action chunk.

The `mse` head predicts one chunk, the average of what was demonstrated. The `gmm` head predicts a mixture of
Gaussians over whole chunks, so that it can keep several ways of doing a task; its details (5 modes, means
through tanh, low noise when acting) follow robomimic (arXiv 2108.03298).
"""

import itertools
import math
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, get_args

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from imitate.errors import ConfigError, nearest
from imitate.normalize import Mode
from imitate.policies.nets.observation import ObservationConfig
from imitate.policies.observing import ObservingPolicy
from imitate.policy import Generator, Horizons, draw_noise, masked_mean
from imitate.types import ActionChunk, Batch, DataSpec

HeadKind = Literal["mse", "gmm"]


@dataclass(frozen=True)
class BehaviourCloningConfig:
    """Settings of behaviour cloning: an MLP of `layers` hidden layers of `width`, and a head.

    modes, train_std_floor and act_std (all in normalised units, where actions span [-1, 1]) are the gmm
    head's: number of Gaussians, smallest standard deviation in training, and the one used to act.
    """

    horizons: Horizons = field(default_factory=Horizons)
    observation: ObservationConfig = field(default_factory=ObservationConfig)
    head: HeadKind = "mse"
    width: int = 1024
    layers: int = 2
    modes: int = 5
    # A dimension that never changes would drive its standard deviation to 0 and the gradient to infinity.
    train_std_floor: float = 0.01
    act_std: float = 1e-4
    action_normalization: Mode = "minmax"

    def __post_init__(self) -> None:
        if self.head not in get_args(HeadKind):
            raise ConfigError(f"policy.head is {self.head!r}{nearest(self.head, get_args(HeadKind))}")
        for name in ("width", "layers", "modes"):
            if getattr(self, name) < 1:
                raise ConfigError(f"policy.{name} is {getattr(self, name)}, expected at least 1")
        if self.train_std_floor <= 0 or self.act_std < 0:
            raise ConfigError(
                f"policy.train_std_floor is {self.train_std_floor} and policy.act_std is {self.act_std}, "
                "expected the first above 0 and the second not below"
            )
        if self.head == "gmm" and self.action_normalization != "minmax":
            raise ConfigError(
                f"policy.action_normalization is {self.action_normalization!r}, but the means of "
                "policy.head=gmm lie in [-1, 1]: set policy.action_normalization=minmax"
            )

    def build(self, spec: DataSpec) -> "BehaviourCloning":
        """The policy with fresh weights; raises SpecError where `spec` has images."""
        return BehaviourCloning(self, spec)


class BehaviourCloning(ObservingPolicy):
    """An MLP trunk and a head that turns features into a loss and into chunks."""

    def __init__(self, config: BehaviourCloningConfig, spec: DataSpec) -> None:
        super().__init__(config, spec, "bc")
        sizes = [config.horizons.obs_steps * self.observation.size] + [config.width] * config.layers
        layers = [nn.Sequential(nn.Linear(a, b), nn.ReLU()) for a, b in itertools.pairwise(sizes)]
        self.is_bounded = config.action_normalization == "minmax"
        self.trunk = nn.Sequential(nn.Flatten(), *layers)
        chunk_shape = (config.horizons.pred_steps, spec.action.size)
        self.head: ChunkHead = (
            MeanHead(config.width, chunk_shape)
            if config.head == "mse"
            else MixtureHead(config.width, chunk_shape, config.modes, config.train_std_floor, config.act_std)
        )

    def loss(self, batch: Batch) -> dict[str, Tensor]:
        """The head's loss over the steps that are not padding."""
        features = self.trunk(self.observe(batch.obs))
        return {"loss": self.head.loss(features, self.normalizer.action(batch.action), batch)}

    @torch.no_grad()
    def predict(self, obs: Mapping[str, Tensor], generator: Generator) -> ActionChunk:
        """The mean chunk, or a sample of the mixture; see Policy."""
        chunk = self.head.sample(self.trunk(self.observe(obs)), generator)
        if self.is_bounded:  # stay inside the demonstrated range, as Diffusion Policy's clip_sample does
            chunk = chunk.clamp(-1.0, 1.0)
        return ActionChunk(self.executed(self.normalizer.action.inverse(chunk)))


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
        edges = self.log_weight.exp().cumsum(dim=-1)
        # The last edge is 1 up to rounding, hence the clamp.
        mode = torch.searchsorted(edges, uniform[:, None]).clamp_max(edges.shape[1] - 1)
        return self.mean[torch.arange(len(mode), device=mode.device), mode[:, 0]]


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
