"""The part that policies share: normalised observations and actions around a network."""

from collections.abc import Iterable, Mapping
from typing import Protocol

from torch import Tensor

from imitate.normalize import Mode
from imitate.policies.nets.observation import ObservationConfig
from imitate.policy import Horizons, Policy
from imitate.types import Batch, DataSpec


class ObservingConfig(Protocol):
    """The settings that policies share."""

    @property
    def horizons(self) -> Horizons:
        """To, Tp and Ta."""

    @property
    def observation(self) -> ObservationConfig:
        """How observations enter."""

    @property
    def action_normalization(self) -> Mode:
        """How actions are normalised."""


class ObservingPolicy(Policy):
    """A policy that sees (B, To, self.observation.size) by `observe`, and acts in normalised actions."""

    def __init__(self, config: ObservingConfig, spec: DataSpec) -> None:
        normalizer = config.observation.normalizer(spec, config.action_normalization)
        super().__init__(spec, config.horizons, normalizer)
        self.observation = config.observation.build(spec, normalizer.state)

    def prepare(self, windows: Iterable[Batch]) -> list[str]:
        """Take over weights of image networks that the settings name; see Policy."""
        self.observation.load_weights()
        return []

    def observe(self, obs: Mapping[str, Tensor]) -> Tensor:
        """{name: (B, To, …)} in physical units -> (B, To, size) float32."""
        points = self.normalizer.normal_points(obs)
        return self.observation(self.normalizer.state(obs), points, obs)
