"""What policies see of an observation: one vector per step, the part that all policies share.

Notation: B batch, To observation steps, Ds size of the normalised states, F size of a step's vector.
"""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from imitate.errors import ConfigError, SpecError, nearest
from imitate.normalize import Mode, StateEncoder
from imitate.types import DataSpec


@dataclass(frozen=True)
class ObservationConfig:
    """How observations enter a policy.

    normalization: of states, per dimension (see imitate.normalize).
    noise: standard deviation of noise on normalised states in training: the last decimals of a state tell
        which demonstration it comes from, and the policy is to learn what to do instead.
    goal: the observations that say what to do (a task's one-hot code, an embedded instruction). In training
        they are all set to zero, together, for a share goal_dropout of the windows, so that the policy does
        not rest on them where what it sees is enough (Reuss et al., arXiv 2412.12953, drop single elements).
    """

    normalization: Mode = "minmax"
    noise: float = 0.0
    goal: tuple[str, ...] = ()
    goal_dropout: float = 0.1

    def __post_init__(self) -> None:
        if not self.noise >= 0:
            raise ConfigError(f"policy.observation.noise is {self.noise}, expected 0 or more")
        if not 0 <= self.goal_dropout < 1:
            raise ConfigError(
                f"policy.observation.goal_dropout is {self.goal_dropout}, expected at least 0 and below 1"
            )

    def build(self, spec: DataSpec, states: StateEncoder, policy: str) -> "ObservationEncoder":
        """The encoder of `spec` for the policy named `policy`.

        Raises SpecError where `spec` holds something that it cannot read, ConfigError for an unknown goal.
        """
        return ObservationEncoder(self, spec, states, policy)


class ObservationEncoder(nn.Module):
    """From normalised states (B, To, Ds) to what the policy sees (B, To, F); `size` is F."""

    is_goal: Tensor

    def __init__(self, config: ObservationConfig, spec: DataSpec, states: StateEncoder, policy: str) -> None:
        super().__init__()
        _require_states_only(spec, policy)
        self.noise, self.goal_dropout = config.noise, config.goal_dropout
        self.size = states.size
        for key in config.goal:
            if key not in spec.obs:
                raise ConfigError(f"policy.observation.goal names {key!r}{nearest(key, list(spec.obs))}")
        columns = states.columns()
        is_goal = torch.zeros(states.size, dtype=torch.bool)
        for key in config.goal:
            is_goal[columns[key]] = True
        self.register_buffer("is_goal", is_goal, persistent=False)
        self.has_goal = bool(config.goal)

    def forward(self, state: Tensor) -> Tensor:
        """What the policy sees; noise and goal dropout in training only."""
        if not self.training:
            return state
        if self.noise:
            state = state + self.noise * torch.randn_like(state)
        if self.has_goal and self.goal_dropout:
            dropped = torch.rand(len(state), 1, 1, device=state.device) < self.goal_dropout
            state = state.masked_fill(dropped & self.is_goal, 0.0)
        return state


def _require_states_only(spec: DataSpec, policy: str) -> None:
    images = [key for key, array in spec.obs.items() if array.is_image]
    if images:
        raise SpecError(f"policy {policy} reads states only, but the observations include images: {images}")
    if not spec.obs:
        raise SpecError(f"policy {policy} needs at least one state observation, found none")
