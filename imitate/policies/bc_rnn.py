"""Behaviour cloning with a recurrent network: an LSTM reads the history, a mixture of Gaussians acts.

BC-RNN of robomimic ("What Matters in Learning from Offline Human Demonstrations for Robot Manipulation",
Mandlekar et al., arXiv 2108.03298): 2 layers of 400, sequences of 10, 5 modes. What differs, and why:

- The LSTM reads the last To observations at every call, from a zero state. robomimic carries the state from
  step to step and drops it every 10 steps; then the policy would remember, and see between 1 and 10 steps.
- It predicts a chunk, not one action; horizons of obs_steps=10, pred_steps=10, action_steps=1 give
  robomimic's policy.
"""

from dataclasses import dataclass

from torch import Tensor, nn

from imitate.errors import ConfigError
from imitate.policies.history import HistoryMixture, HistoryMixtureConfig
from imitate.types import DataSpec


@dataclass(frozen=True)
class BcRnnConfig(HistoryMixtureConfig):
    """Settings of BC-RNN: an LSTM of `layers` layers of `width`, and a mixture (see HistoryMixtureConfig)."""

    width: int = 400
    layers: int = 2

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in ("width", "layers"):
            if getattr(self, name) < 1:
                raise ConfigError(f"policy.{name} is {getattr(self, name)}, expected at least 1")

    def build(self, spec: DataSpec) -> "BcRnn":
        """The policy with fresh weights; see ObservationConfig.build for what it raises."""
        return BcRnn(self, spec)


class BcRnn(HistoryMixture):
    """An LSTM over the history."""

    def __init__(self, config: BcRnnConfig, spec: DataSpec) -> None:
        super().__init__(config, spec, config.width)
        self.network = Lstm(self.observation.size, config.width, config.layers)


class Lstm(nn.Module):
    """(B, To, size) to the outputs (B, To, width) of the last layer, from a zero state."""

    def __init__(self, size: int, width: int, layers: int) -> None:
        super().__init__()
        self.lstm = nn.LSTM(size, width, layers, batch_first=True)

    def forward(self, x: Tensor) -> Tensor:
        """See the class."""
        return self.lstm(x)[0]
