"""Keep a policy from copying its own last motion.

Demonstrators move smoothly, so the difference of the last two observations foretells the next action well,
and a policy that relies on it goes on standing still wherever it once stands still ("copycat" behaviour:
Wen et al., "Fighting Copycat Agents in Behavioral Cloning from Observation Histories", arXiv 2010.14876).
"""

import torch
from torch import Tensor

from imitate.errors import ConfigError


def require_probability(name: str, value: float) -> None:
    """Raise ConfigError where `policy.<name>` is not in [0, 1]."""
    if not 0.0 <= value <= 1.0:
        raise ConfigError(f"policy.{name} is {value}, expected a probability from 0 to 1")


def drop_history(obs: Tensor, probability: float) -> Tensor:
    """Observations (B, To, F), in a random share of the rows the newest one in place of all older ones."""
    if probability == 0.0 or obs.shape[1] == 1:
        return obs
    dropped = torch.rand(len(obs), 1, 1, device=obs.device) < probability
    return torch.where(dropped, obs[:, -1:], obs)
