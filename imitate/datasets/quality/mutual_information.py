"""How much each demonstration adds to what states and actions tell about each other.

DemInf: Hejna et al., "Robot Data Curation with Mutual Information Estimators" (arXiv 2502.08623). The
estimator is the first of Kraskov, Stögbauer & Grassberger, "Estimating mutual information" (Phys. Rev. E 69,
066138, 2004, eq. 8), whose average over samples is split into what each sample contributes. Where the paper
trains autoencoders, principal components of the standardised state and of the next actions are used here.
"""

from dataclasses import dataclass

import numpy as np
from scipy.special import digamma

from imitate.datasets.quality.frames import Frames
from imitate.datasets.quality.neighbour_index import examined_rows

CHUNK_STEPS = 4
STATE_DIMS, ACTION_DIMS = 12, 6
BATCH, PASSES = 1024, 4
NEAREST = (5, 6, 7)
CLIPPED = (0.01, 0.99)


@dataclass(frozen=True)
class MutualInformation:
    """Scores of rows and the information of the whole.

    contribution: (N,) clipped to the 1 % and 99 % quantiles, then standardised: 0 is the mean of the data
    set, in standard deviations; higher is better. NaN where not examined or nothing can be told. nats:
    estimate of I(S; A) in batches of 1024 rows, a lower number than the truth where that is large.
    """

    contribution: np.ndarray
    nats: float


def mutual_information(frames: Frames, seed: int = 0) -> MutualInformation:
    """Contribution of each row to the information between its state and the four actions from there on.

    Four passes over all rows, or over those that examined_rows draws, in random batches of 1024, with the
    5th, 6th and 7th nearest neighbour, all averaged. `seed` draws the batches. Says nothing where state or
    action is constant or there are fewer than eight rows.
    """
    nothing = np.full(len(frames), np.nan)
    rows = examined_rows(len(frames), seed=seed)
    if len(rows) <= max(NEAREST) or not frames.state.shape[1] or not frames.action.shape[1]:
        return MutualInformation(nothing, float("nan"))
    generator = np.random.default_rng(seed)
    state = principal_components(frames.state[rows], STATE_DIMS)
    action = principal_components(action_chunks(frames, rows), ACTION_DIMS)
    # Rows that are equal to the last digit would seem infinitely informative; Kraskov et al. add noise too.
    state, action = (part + 1e-6 * generator.normal(size=part.shape) for part in (state, action))
    sums = np.zeros(len(rows))
    for _ in range(PASSES):
        order = generator.permutation(len(rows))
        for batch in np.array_split(order, max(1, len(rows) // BATCH)):
            sums[batch] += contributions(state[batch], action[batch])
    raw = sums / PASSES
    clipped = np.clip(raw, *np.quantile(raw, CLIPPED))
    nothing[rows] = (clipped - clipped.mean()) / max(clipped.std(), 1e-12)
    return MutualInformation(nothing, float(raw.mean()))


def contributions(state: np.ndarray, action: np.ndarray) -> np.ndarray:
    """What each sample of `state` (B, S) and `action` (B, A) adds to their information, (B,) in nats.

    ψ(k) + ψ(B) − ψ(n_s + 1) − ψ(n_a + 1), n being how many other samples lie strictly nearer, in that space
    alone, than the kth nearest in both. Distances are Euclidean in each space and the larger of the two in
    both. The mean is the estimate of the information.
    """
    apart = [_distances(state), _distances(action)]
    both = np.partition(np.maximum(*apart), NEAREST, axis=1)
    total = np.zeros(len(state))
    for k in NEAREST:
        inside = [np.count_nonzero(part < both[:, k, None], axis=1) - 1 for part in apart]
        total += digamma(k) + digamma(len(state)) - sum(digamma(n + 1) for n in inside)
    return total / len(NEAREST)


def _distances(points: np.ndarray) -> np.ndarray:
    """Squared distances (B, B), 0 to itself: squares keep the order, which is all that is asked of them."""
    centred = points - points.mean(axis=0)
    squares, ones = np.sum(centred**2, axis=1, keepdims=True), np.ones((len(points), 1))
    squared = np.hstack([centred, squares, ones]) @ np.hstack([-2 * centred, ones, squares]).T
    np.fill_diagonal(squared, -1.0)  # below any rounding of the others, so that it always comes first
    return squared


def action_chunks(frames: Frames, rows: np.ndarray) -> np.ndarray:
    """The next CHUNK_STEPS actions from each of `rows` (Q,), side by side; an episode's last one repeats."""
    ahead = np.minimum(np.arange(CHUNK_STEPS), frames.to_go[rows][:, None])
    return frames.action[rows[:, None] + ahead].reshape(len(rows), -1)


def principal_components(values: np.ndarray, most: int) -> np.ndarray:
    """(N, min(F, most)) float64: the directions of largest variance, at their own scale, where F > most."""
    centred = values.astype(np.float64) - values.mean(axis=0, dtype=np.float64)
    if centred.shape[1] <= most:
        return centred
    directions = np.linalg.eigh(centred.T @ centred)[1]
    return centred @ directions[:, : -most - 1 : -1]
