"""Behaviour cloning with a causal transformer over the history and a mixture of Gaussians.

BC-Transformer as robomimic's code has it (the successor of BC-RNN, arXiv 2108.03298): context of 10, 5 modes,
dropout 0.1. What differs, and why: it predicts a chunk, not one action (horizons of obs_steps=10,
pred_steps=10, action_steps=1 give one action); every step of the history is trained, as for BC-RNN, where the
code by default trains the newest only; and it is smaller (robomimic: width 512, 6 layers, 8 heads; 19 M
weights), so that it learns within minutes on a CPU.
"""

from dataclasses import dataclass, field

from imitate.policies.history import HistoryMixture, HistoryMixtureConfig
from imitate.policies.nets.causal_transformer import CausalTransformerConfig
from imitate.types import DataSpec


@dataclass(frozen=True)
class BcTransformerConfig(HistoryMixtureConfig):
    """Settings of BC-Transformer: a transformer, and a mixture (see HistoryMixtureConfig)."""

    transformer: CausalTransformerConfig = field(
        default_factory=lambda: CausalTransformerConfig(width=256, layers=4, heads=8)
    )

    def build(self, spec: DataSpec) -> "BcTransformer":
        """The policy with fresh weights; see ObservationConfig.build for what it raises."""
        return BcTransformer(self, spec)


class BcTransformer(HistoryMixture):
    """A causal transformer over the history."""

    learning_rate = 5e-4

    def __init__(self, config: BcTransformerConfig, spec: DataSpec) -> None:
        super().__init__(config, spec, config.transformer.width)
        self.network = config.transformer.build(self.observation.size, config.horizons.obs_steps)
