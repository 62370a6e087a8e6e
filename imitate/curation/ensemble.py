"""Small networks from state to action, trained on one half of the demonstrations to judge the other half.

Several networks (an ensemble) that differ only by their random start agree where they saw data and part where
they did not: their spread tells how new a state is, their error how surprising an action (Gandhi et al.,
"Eliciting Compatible Demonstrations", arXiv 2210.08073, with five networks). Every demonstration is judged by
networks that never saw it (cross-fitting), or its own errors would look smaller than a new one's.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from imitate.curation.stacked_networks import StackedNetworks, folds
from imitate.datasets.quality.frames import Frames

MEMBERS = 5
FOLDS = 2
# Few steps on purpose: networks trained to the end agree everywhere, also where they know nothing.
STEPS, WEIGHT_DECAY = 300, 1e-4
LAYERS, PARTS = 3, ("weight", "bias")
CHUNK = 4096


@dataclass(frozen=True)
class Ensemble:
    """FOLDS groups of MEMBERS networks side by side, as stacked weights {name: (FOLDS * MEMBERS, …)}."""

    weights: Mapping[str, Tensor]

    @classmethod
    def fit(
        cls, state: np.ndarray, action: np.ndarray, groups: Sequence[np.ndarray], seed: int
    ) -> "Ensemble":
        """Train MEMBERS networks on the rows of each of `groups` of state (N, F) and action (N, A).

        See StackedNetworks.fit for the cost.
        """
        networks = StackedNetworks.fit(
            state,
            action,
            [group for group in groups for _ in range(MEMBERS)],
            lambda said, true: (said - true).square(),
            steps=STEPS,
            weight_decay=WEIGHT_DECAY,
            bent=True,
            seed=seed,
        )
        layers = enumerate(networks.layers)
        return cls({f"{name}{i}": part for i, pair in layers for name, part in zip(PARTS, pair, strict=True)})

    @property
    def networks(self) -> StackedNetworks:
        """The weights as networks."""
        pairs = (tuple(self.weights[f"{name}{i}"] for name in PARTS) for i in range(LAYERS))
        return StackedNetworks(tuple((weight, bias) for weight, bias in pairs))

    @torch.no_grad()
    def judge(self, state: np.ndarray, action: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Error and novelty (FOLDS, N) float32 of state (N, F) and action (N, A), by each group of networks.

        error: squared difference, mean over dimensions and members. novelty: standard deviation over members,
        mean over dimensions.
        """
        networks = self.networks
        parts = [
            _compare(networks, state[i : i + CHUNK], action[i : i + CHUNK])
            for i in range(0, len(state), CHUNK)
        ]
        error, novelty = (torch.cat(one, dim=1).numpy() for one in zip(*parts, strict=True))
        return error, novelty


@dataclass(frozen=True)
class Judged:
    """Every frame as networks see it that never saw its episode; error and novelty (N,) float32.

    Both are in standardised actions. `ensemble` holds the networks, for judging further frames.
    """

    error: np.ndarray
    novelty: np.ndarray
    ensemble: Ensemble


def cross_fit(frames: Frames, seed: int = 0) -> Judged | None:
    """Split the episodes of `frames` at random in two, and judge each half by networks trained on the other.

    None where there are fewer than two episodes. Costs a few seconds whatever N, plus the judging.
    """
    episodes = len(frames.lengths)
    if episodes < FOLDS:
        return None
    fold = folds(episodes, FOLDS, seed)[frames.episode]
    # Group g of networks is trained on everything but fold g, and so may judge it.
    groups = [np.flatnonzero(fold != g) for g in range(FOLDS)]
    ensemble = Ensemble.fit(frames.state, frames.action, groups, seed)
    error, novelty = ensemble.judge(frames.state, frames.action)
    rows = np.arange(len(frames))
    return Judged(error[fold, rows], novelty[fold, rows], ensemble)


def _compare(networks: StackedNetworks, state: np.ndarray, action: np.ndarray) -> tuple[Tensor, Tensor]:
    said = torch.from_numpy(networks.predict(state)).unflatten(0, (FOLDS, MEMBERS))
    true = torch.from_numpy(np.ascontiguousarray(action, np.float32))
    return (said - true).square().mean(dim=(1, 3)), said.std(dim=1, correction=0).mean(dim=2)
