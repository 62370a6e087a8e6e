"""Small networks from state to action, trained on one half of the demonstrations to judge the other half.

Several networks (an ensemble) that differ only by their random start agree where they saw data and part where
they did not: their spread tells how new a state is, their error how surprising an action (Gandhi et al.,
"Eliciting Compatible Demonstrations", arXiv 2210.08073, with five networks). Every demonstration is judged by
networks that never saw it (cross-fitting), or its own errors would look smaller than a new one's.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from imitate.datasets.quality.frames import Frames

MEMBERS = 5
FOLDS = 2
WIDTH = 128
# Few steps on purpose: networks trained to the end agree everywhere, also where they know nothing.
STEPS, BATCH, LEARNING_RATE = 300, 256, 3e-3
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

        All networks take each step together, as one batched product. A step draws BATCH random rows for each,
        so the cost does not grow with N.
        """
        generator = torch.Generator().manual_seed(seed)
        rows = [torch.from_numpy(np.asarray(group, np.int64)) for group in groups for _ in range(MEMBERS)]
        inputs, targets = _tensor(state), _tensor(action)
        weights = _start(len(rows), inputs.shape[1], targets.shape[1], generator)
        for parameter in weights.values():
            parameter.requires_grad_(True)
        optimizer = torch.optim.AdamW(list(weights.values()), lr=LEARNING_RATE, weight_decay=1e-4)
        curve = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, STEPS)
        with torch.enable_grad():
            for _ in range(STEPS):
                drawn = [mine[torch.randint(len(mine), (BATCH,), generator=generator)] for mine in rows]
                batch = torch.stack(drawn)
                # A sum over members: each one's gradient is its own.
                loss = (_forward(weights, inputs[batch]) - targets[batch]).square().mean(dim=(1, 2)).sum()
                optimizer.zero_grad(set_to_none=True)
                loss.backward()
                optimizer.step()
                curve.step()
        return cls({name: value.detach() for name, value in weights.items()})

    @torch.no_grad()
    def judge(self, state: np.ndarray, action: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Error and novelty (FOLDS, N) float32 of state (N, F) and action (N, A), by each group of networks.

        error: squared difference, mean over dimensions and members. novelty: standard deviation over members,
        mean over dimensions.
        """
        parts = [
            self._judge(_tensor(state[i : i + CHUNK]), _tensor(action[i : i + CHUNK]))
            for i in range(0, len(state), CHUNK)
        ]
        error, novelty = (torch.cat(one, dim=1).numpy() for one in zip(*parts, strict=True))
        return error, novelty

    def _judge(self, state: Tensor, action: Tensor) -> tuple[Tensor, Tensor]:
        members = len(self.weights["bias2"])
        said = _forward(self.weights, state.expand(members, *state.shape)).unflatten(0, (FOLDS, MEMBERS))
        return (said - action).square().mean(dim=(1, 3)), said.std(dim=1, correction=0).mean(dim=2)


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
    order = np.random.default_rng(seed).permutation(episodes)
    fold = np.empty(episodes, np.int64)
    fold[order] = np.arange(episodes) % FOLDS
    fold = fold[frames.episode]
    # Group g of networks is trained on everything but fold g, and so may judge it.
    groups = [np.flatnonzero(fold != g) for g in range(FOLDS)]
    ensemble = Ensemble.fit(frames.state, frames.action, groups, seed)
    error, novelty = ensemble.judge(frames.state, frames.action)
    rows = np.arange(len(frames))
    return Judged(error[fold, rows], novelty[fold, rows], ensemble)


def _tensor(values: np.ndarray) -> Tensor:
    return torch.from_numpy(np.ascontiguousarray(values, np.float32))


def _start(members: int, inputs: int, outputs: int, generator: torch.Generator) -> dict[str, Tensor]:
    weights = {}
    for i, (a, b) in enumerate([(inputs, WIDTH), (WIDTH, WIDTH), (WIDTH, outputs)]):
        scale = 1.0 / math.sqrt(max(1, a))
        weights[f"weight{i}"] = torch.randn(members, a, b, generator=generator) * scale
        weights[f"bias{i}"] = torch.zeros(members, 1, b)
        if i == 0:
            # Bends in places of its own: with zeros here all members continue the data alike, far beyond it.
            weights["bias0"] = torch.randn(members, 1, b, generator=generator)
    return weights


def _forward(weights: Mapping[str, Tensor], x: Tensor) -> Tensor:
    """(M, B, F) -> (M, B, A): two hidden layers with LayerNorm and SiLU, each member with its own weights."""
    for i in range(2):
        x = torch.baddbmm(weights[f"bias{i}"], x, weights[f"weight{i}"])
        x = F.silu(F.layer_norm(x, (WIDTH,)))
    return torch.baddbmm(weights["bias2"], x, weights["weight2"])
