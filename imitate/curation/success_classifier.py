"""Which demonstrations look like the rollouts that succeed.

Demo-SCORE (Chen, Lessing, Liu & Finn, "Curating Demonstrations using Online Experience", arXiv 2503.03707): a
policy trained on everything is rolled out, a tiny classifier learns from every state of the rollouts whether
the episode ended in success, and demonstrations are kept whose states it finds as promising as the average
rollout or more. It sees states, not actions, so a demonstration must lead through places that rollouts reach.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from imitate.curation.compatibility import Scaling
from imitate.errors import DataError

WIDTH, DROPOUT = 8, 0.3
# Fifty times the paper's rate, so that seconds suffice; the held-out loss says when to stop.
LEARNING_RATE, WEIGHT_DECAY = 5e-3, 0.1
STEPS, BATCH, CHECK_EVERY = 600, 1024, 20
HELD_OUT = 0.25
CHUNK = 65_536


@dataclass(frozen=True)
class SuccessScores:
    """How promising each demonstration looks.

    per_frame (N,) float32: probability that an episode which passes this state succeeds. per_demonstration
    (E,) float64: its mean. threshold: the mean over rollouts, of both outcomes. keep (E,) bool: at least as
    promising as that. loss: cross entropy of held-out rollouts in nats; chance: that of always saying their
    success rate. Where loss is not clearly below chance, the scores mean nothing.
    """

    per_frame: np.ndarray
    per_demonstration: np.ndarray
    threshold: float
    loss: float
    chance: float

    @property
    def keep(self) -> np.ndarray:
        """(E,) bool: which demonstrations to keep."""
        return self.per_demonstration >= self.threshold


def success_scores(
    rollouts: Sequence[np.ndarray],
    success: Sequence[bool],
    demonstrations: Sequence[np.ndarray],
    seed: int = 0,
) -> SuccessScores:
    """Learn from the states (T, F) of `rollouts` and their `success`, and judge those of `demonstrations`.

    A quarter of the rollouts of each outcome is held out, to choose when to stop. States are features in
    physical units, with angles as sine and cosine (see imitate.datasets.quality.features.state_features).
    Raises DataError where there are not two rollouts of each outcome. Costs some seconds.
    """
    won = np.asarray(success, bool)
    if min(won.sum(), (~won).sum()) < 2:
        raise DataError(
            f"{won.sum()} of {len(won)} rollouts succeeded: it takes at least two of each to tell them "
            "apart; roll out more, or from an earlier checkpoint"
        )
    scale = Scaling.of(np.concatenate(rollouts))
    held_out = _held_out(won, np.random.default_rng(seed))
    learnt, judges = (
        _Steps.of([scale(rollouts[i]) for i in rows], won[rows])
        for rows in (np.flatnonzero(~held_out), np.flatnonzero(held_out))
    )
    net, loss = _train(learnt, judges, seed)
    judged = [_probability(net, scale(states)) for states in demonstrations]
    rate = judges.label.double().mean().clamp(1e-6, 1 - 1e-6)
    return SuccessScores(
        per_frame=np.concatenate(judged),
        per_demonstration=np.array([one.mean(dtype=np.float64) for one in judged]),
        threshold=float(np.mean([_probability(net, scale(states)).mean() for states in rollouts])),
        loss=loss,
        chance=float(-(rate * rate.log() + (1 - rate) * (1 - rate).log())),
    )


@dataclass(frozen=True)
class _Steps:
    """All steps of some rollouts: state (N, F) and whether the episode succeeded (N,) float32."""

    state: Tensor
    label: Tensor

    @classmethod
    def of(cls, states: Sequence[np.ndarray], won: np.ndarray) -> "_Steps":
        label = np.repeat(won, [len(one) for one in states]).astype(np.float32)
        return cls(torch.from_numpy(np.concatenate(states)), torch.from_numpy(label))


def _held_out(won: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """(R,) bool: a random quarter of each outcome, at least one and not all."""
    chosen = np.zeros(len(won), bool)
    for outcome in (True, False):
        rows = rng.permutation(np.flatnonzero(won == outcome))
        chosen[rows[: max(1, round(HELD_OUT * len(rows)))]] = True
    return chosen


def _train(learnt: _Steps, held_out: _Steps, seed: int) -> tuple[nn.Module, float]:
    """The network as it was when the held-out loss was lowest, and that loss."""
    generator = torch.Generator().manual_seed(seed)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)  # first weights and dropout
        net = _network(learnt.state.shape[1])
        optimizer = torch.optim.AdamW(net.parameters(), lr=LEARNING_RATE, weight_decay=WEIGHT_DECAY)
        best, kept = float("inf"), net.state_dict()
        for step in range(STEPS + 1):
            if step % CHECK_EVERY == 0:
                loss = _loss(net.eval(), held_out)
                net.train()
                if loss < best:
                    best, kept = loss, {key: value.clone() for key, value in net.state_dict().items()}
            rows = torch.randint(len(learnt.label), (BATCH,), generator=generator)
            said = net(learnt.state[rows])[:, 0]
            optimizer.zero_grad(set_to_none=True)
            F.binary_cross_entropy_with_logits(said, learnt.label[rows]).backward()
            optimizer.step()
    net.load_state_dict(kept)
    return net.eval(), best


def _network(inputs: int) -> nn.Module:
    layers = [
        part for size in (inputs, WIDTH) for part in (nn.Linear(size, WIDTH), nn.ReLU(), nn.Dropout(DROPOUT))
    ]
    return nn.Sequential(*layers, nn.Linear(WIDTH, 1))


@torch.no_grad()
def _loss(net: nn.Module, steps: _Steps) -> float:
    said = torch.cat([net(part)[:, 0] for part in steps.state.split(CHUNK)])
    return float(F.binary_cross_entropy_with_logits(said, steps.label))


@torch.no_grad()
def _probability(net: nn.Module, state: np.ndarray) -> np.ndarray:
    parts = torch.from_numpy(state).split(CHUNK)
    probability: np.ndarray = torch.cat([net(part)[:, 0].sigmoid() for part in parts]).numpy()
    return probability
