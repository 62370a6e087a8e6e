"""What the other demonstrators would do: each demonstration judged by networks that never saw it.

The networks see the state and say the action and how many steps the task still takes. Trained on absolute
errors they answer with a median, so that a minority of odd demonstrations does not pull the answer to itself.
Episodes are dealt into folds, and each fold is judged by the network trained on the others (cross-fitting):
else a demonstration's own errors would look smaller than those of a new one. The base policy of Gandhi et
al., "Eliciting Compatible Demonstrations" (arXiv 2210.08073), plays the same part.
"""

from dataclasses import dataclass

import numpy as np

from imitate.curation.stacked_networks import StackedNetworks, folds
from imitate.datasets.quality.frames import Frames
from imitate.datasets.quality.room import in_blocks

FOLDS = 5
LEAST_EPISODES = 5
STEPS = 400
REPEATS = 3
"""Other folds and random starts, of whose answers the mean is taken."""


@dataclass(frozen=True)
class Consensus:
    """Of each step: residual (N, A), the standardised action minus what the others would do; to_go (N,), the
    steps that the others would still need from this state.
    """

    residual: np.ndarray
    to_go: np.ndarray

    @property
    def surprise(self) -> np.ndarray:
        """Mean absolute residual over action dimensions, (N,): 0 where the others would do just the same."""
        return np.abs(self.residual).mean(axis=1)


def consensus(frames: Frames, seed: int = 0) -> Consensus | None:
    """Judge every step of `frames`; None for fewer than five episodes, or where nothing varies.

    Takes some seconds whatever N, besides the passes of the networks over all steps.
    """
    if len(frames.lengths) < LEAST_EPISODES or not frames.state.shape[1] or not frames.action.shape[1]:
        return None
    log_to_go = np.log1p(frames.to_go)
    shift, scale = log_to_go.mean(), max(float(log_to_go.std()), 1e-6)

    def target(at: slice) -> np.ndarray:
        return np.column_stack([frames.action[at], (log_to_go[at] - shift) / scale]).astype(np.float32)

    targets = in_blocks(len(frames), target)
    answers = (_said(frames, targets, seed + 1000 * i) for i in range(REPEATS))
    said: np.ndarray = sum(answers, np.zeros((), np.float32)) / np.float32(REPEATS)
    to_go = np.expm1(np.clip(said[:, -1] * scale + shift, 0.0, 20.0))
    return Consensus(frames.action - said[:, :-1], to_go.astype(np.float32))


def _said(frames: Frames, targets: np.ndarray, seed: int) -> np.ndarray:
    fold = folds(len(frames.lengths), FOLDS, seed)[frames.episode]
    groups = [np.flatnonzero(fold != number) for number in range(FOLDS)]
    networks = StackedNetworks.fit(
        frames.state,
        targets,
        groups,
        lambda said, true: (said - true).abs(),
        steps=STEPS,
        # Small sets are not read hundreds of times over.
        batch=int(np.clip(len(frames) // 8, 32, 256)),
        seed=seed,
    )
    return networks.predict_own(frames.state, fold)
