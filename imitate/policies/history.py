"""Policies that read the history step by step and predict, at each of its steps, the chunk that begins there.

Of a window of To observations and Tp actions, a network that looks only back gives features of every step,
and all steps learn what follows them. With Ta = 1 and Tp = To this is robomimic's sequence model (arXiv
2108.03298): one action per observation. When acting only the newest step counts, and the network reads the
whole history again: a policy remembers nothing between two calls.

Shapes: B batch, To observation steps, Tp predicted steps, L = Tp - To + 1 steps of the chunk of one step,
Da action dimensions.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from imitate.normalize import Mode
from imitate.policies.diffusion import hold_edges
from imitate.policies.nets.chunk_heads import MixtureHead, require_bounded, require_mixture
from imitate.policies.nets.observation import ObservationConfig
from imitate.policies.observing import ObservingPolicy
from imitate.policy import Generator, Horizons
from imitate.types import ActionChunk, Batch, DataSpec


@dataclass(frozen=True)
class HistoryMixtureConfig:
    """Settings that policies with a mixture over histories share; those of the mixture as in policy bc."""

    horizons: Horizons = field(default_factory=lambda: Horizons(obs_steps=10, pred_steps=17, action_steps=8))
    observation: ObservationConfig = field(default_factory=ObservationConfig)
    modes: int = 5
    train_std_floor: float = 0.01
    act_std: float = 1e-4
    action_normalization: Mode = "minmax"

    def __post_init__(self) -> None:
        require_mixture(self.modes, self.train_std_floor, self.act_std)
        require_bounded(self.action_normalization, "a mixture")


class HistoryMixture(ObservingPolicy):
    """A network over the history and, on the features of each step, a mixture over the chunk that follows.

    A subclass sets `network` from (B, To, observation.size) to (B, To, width).
    """

    network: nn.Module

    def __init__(self, config: HistoryMixtureConfig, spec: DataSpec, width: int) -> None:
        super().__init__(config, spec)
        self.head = MixtureHead(
            width,
            (steps_ahead(config.horizons), spec.action.size),
            config.modes,
            config.train_std_floor,
            config.act_std,
        )

    def loss(self, batch: Batch) -> dict[str, Tensor]:
        """Negative log-likelihood per real step, of the chunks of all steps of the history."""
        chunks = chunk_of_every_step(batch, self.horizons)
        features = self.network(self.observe(batch.obs)).flatten(0, 1)
        return {"loss": self.head.loss(features, self.normalizer.action(chunks.action), chunks)}

    @torch.no_grad()
    def predict(self, obs: Mapping[str, Tensor], generator: Generator) -> ActionChunk:
        """A sample of the newest step's mixture; see Policy."""
        newest = self.network(self.observe(obs))[:, -1]
        # Stay inside the demonstrated range, as Diffusion Policy's clip_sample does.
        chunk = self.head.sample(newest, generator).clamp(-1.0, 1.0)
        return ActionChunk(self.normalizer.action.inverse(chunk)[:, : self.horizons.action_steps])


def steps_ahead(horizons: Horizons) -> int:
    """L, how many predicted steps are not past for the newest observation."""
    return horizons.pred_steps - horizons.obs_steps + 1


def chunk_of_every_step(batch: Batch, horizons: Horizons) -> Batch:
    """Windows (B, To) with Tp actions as B·To chunks of L actions, one for each observation; without obs.

    Padded steps hold the nearest real action. A chunk that begins outside its episode is padding as a whole:
    it would follow an observation that was never made. Example with To = 2, Tp = 4, at the start of an
    episode: actions 0 0 1 2, padded 1 0 0 0, become 0 0 1, padded 1 1 1, and 0 1 2, padded 0 0 0.
    """
    length = steps_ahead(horizons)
    held = hold_edges(batch.action, batch.is_pad)
    is_pad = batch.is_pad.unfold(1, length, 1)  # (B, To, L)
    return Batch(
        obs={},
        action=held.unfold(1, length, 1).transpose(2, 3).flatten(0, 1),
        is_pad=(is_pad | is_pad[..., :1]).flatten(0, 1),
        weight=batch.weight.repeat_interleave(horizons.obs_steps),
    )
