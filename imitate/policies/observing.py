"""The part that policies share: normalised observations and actions around a network."""

from collections.abc import Mapping
from typing import Protocol

from torch import Tensor

from imitate.normalize import Mode, Normalizer
from imitate.policies.nets.observation import ObservationConfig
from imitate.policy import Horizons, Policy
from imitate.types import DataSpec


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

    def __init__(self, config: ObservingConfig, spec: DataSpec, name: str) -> None:
        normalizer = Normalizer(spec, config.observation.normalization, config.action_normalization)
        super().__init__(spec, config.horizons, normalizer)
        self.observation = config.observation.build(spec, normalizer.state, name)

    def observe(self, obs: Mapping[str, Tensor]) -> Tensor:
        """{name: (B, To, …)} in physical units -> (B, To, size) float32."""
        return self.observation(self.normalizer.state(obs))
