"""Behaviour cloning: an MLP from the observation history straight to an action chunk.

The `mse` head predicts one chunk, the average of what was demonstrated. The `gmm` head predicts a mixture of
Gaussians over whole chunks, so that it can keep several ways of doing a task; its details (5 modes, means
through tanh, low noise when acting) follow robomimic (arXiv 2108.03298).
"""

import itertools
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, get_args

import torch
from torch import Tensor, nn

from imitate.errors import ConfigError, nearest
from imitate.normalize import Mode
from imitate.policies.nets.chunk_heads import (
    ChunkHead,
    MeanHead,
    MixtureHead,
    require_bounded,
    require_mixture,
)
from imitate.policies.nets.observation import ObservationConfig
from imitate.policies.observing import ObservingPolicy
from imitate.policy import Generator, Horizons
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
        for name in ("width", "layers"):
            if getattr(self, name) < 1:
                raise ConfigError(f"policy.{name} is {getattr(self, name)}, expected at least 1")
        require_mixture(self.modes, self.train_std_floor, self.act_std)
        if self.head == "gmm":
            require_bounded(self.action_normalization, "policy.head=gmm")

    def build(self, spec: DataSpec) -> "BehaviourCloning":
        """The policy with fresh weights; see ObservationConfig.build for what it raises."""
        return BehaviourCloning(self, spec)


class BehaviourCloning(ObservingPolicy):
    """An MLP trunk and a head that turns features into a loss and into chunks."""

    def __init__(self, config: BehaviourCloningConfig, spec: DataSpec) -> None:
        super().__init__(config, spec)
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
