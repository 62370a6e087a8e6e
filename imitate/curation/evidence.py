"""Numbers for each demonstration, for each way in which it may differ from the rest.

All follow from what the other demonstrators would do (imitate.curation.consensus) and from the recorded
signals, and none depends on the units, the scale or the rate of the data.
"""

from dataclasses import dataclass

import numpy as np

from imitate.curation.consensus import Consensus
from imitate.datasets.quality.frames import Frames
from imitate.datasets.quality.turning import turning

WINDOW_SHARE = 0.2
"""Of the median episode: the stretch over which a habit or an excursion shows."""
LEAST_WINDOW = 4
NOISE_FLOOR = 0.12
"""In standard deviations of the action: no smoothness beyond this is told apart."""
LEAST_STEPS_OF_NOISE = 16
"""A shorter one is hardly more than the jumps that every task has."""
QUARTILE_OF_NOISE = 0.3186 * 6**0.5
"""First quartile of the absolute second difference of white noise of standard deviation 1."""
PEAK_FLOOR = 0.1
DIVERGENCE_FLOOR = 0.05


@dataclass(frozen=True)
class Evidence:
    """Of each episode, (E,) float64, NaN where it is too short to tell.

    noise: standard deviation of white noise on the standardised action, mean over dimensions, plus a floor.
    deviation: how far it stays, on average over a stretch of a fifth of an episode, from what the others
    would do; a habit stays, noise cancels. divergence: mean divergence within modes, plus a floor.
    turning: how many times as much as the median episode its way turns, where that is most.
    excess: its length over what the others would need from its start.
    pace: median speed through standardised states. peak: the largest mean surprise over such a stretch, plus
    a floor. detour: the largest product, over such stretches, of surprise, of novelty (1 for the median step)
    and of the share of the stretch that was lost, that is brought the task no nearer to its end.
    detour_start: the step of the episode at which that stretch begins. window: its steps.
    """

    noise: np.ndarray
    deviation: np.ndarray
    divergence: np.ndarray
    turning: np.ndarray
    excess: np.ndarray
    pace: np.ndarray
    peak: np.ndarray
    detour: np.ndarray
    detour_start: np.ndarray
    window: int


def gather(frames: Frames, agreed: Consensus, novelty: np.ndarray, divergence: np.ndarray) -> Evidence:
    """The evidence on every episode.

    novelty (N,): distance of each state to other episodes; divergence (N,): of each action from the nearer
    way to act in similar states of other episodes.
    """
    window = max(LEAST_WINDOW, round(WINDOW_SHARE * float(np.median(frames.lengths))))
    rows = [frames.rows(index) for index in range(len(frames.lengths))]
    ordinary = float(np.median(novelty[np.isfinite(novelty)])) if np.isfinite(novelty).any() else 1.0
    novelty = np.nan_to_num(novelty / max(ordinary, 1e-6), nan=1.0, posinf=1.0)
    detours = [_detour(agreed.surprise[r], agreed.to_go[r], novelty[r], window) for r in rows]
    return Evidence(
        noise=np.array([_noise(frames.action[r]) for r in rows]) + NOISE_FLOOR,
        deviation=np.array([_deviation(agreed.residual[r], window) for r in rows]),
        divergence=frames.episode_means(divergence) + DIVERGENCE_FLOOR,
        turning=turning(frames),
        excess=np.array([_excess(agreed.to_go[r]) for r in rows]),
        pace=np.array([_pace(frames.state[r]) for r in rows]),
        peak=np.array([running_mean(agreed.surprise[r, None], window).max() for r in rows]) + PEAK_FLOOR,
        detour=np.array([size for size, _ in detours]),
        detour_start=np.array([start for _, start in detours]),
        window=window,
    )


def _noise(action: np.ndarray) -> float:
    if len(action) < LEAST_STEPS_OF_NOISE:
        return np.nan
    # A low quantile: the jumps that every task has, such as the closing of a gripper, do not count.
    quartile = np.quantile(np.abs(np.diff(action, n=2, axis=0)), 0.25, axis=0)
    return float(quartile.mean()) / QUARTILE_OF_NOISE


def _deviation(residual: np.ndarray, window: int) -> float:
    return float(np.sqrt((running_mean(residual, window) ** 2).mean(axis=1)).mean())


def _excess(to_go: np.ndarray) -> float:
    return len(to_go) / max(1.0, float(np.median(to_go[:3])) + 1.0)


def _pace(state: np.ndarray) -> float:
    if len(state) < 4:
        return np.nan
    return float(np.median(np.sqrt((np.diff(state, axis=0) ** 2).mean(axis=1))))


def _detour(surprise: np.ndarray, to_go: np.ndarray, novelty: np.ndarray, window: int) -> tuple[float, int]:
    window = min(window, len(to_go) - 1)
    if window < LEAST_WINDOW:
        return np.nan, 0
    lost = 1.0 + (to_go[window:] - to_go[:-window]) / window
    means = running_mean(np.column_stack([surprise, novelty]), window)[: len(lost)]
    # More than twice the stretch is not lost; what seems so is the error of the networks.
    product = np.clip(lost, 0.0, 2.0) * means[:, 0] * means[:, 1]
    start = int(np.argmax(product))
    return float(product[start]), start


def running_mean(values: np.ndarray, window: int) -> np.ndarray:
    """Means of values (T, D) over each `window` steps in a row, (T - window + 1, D); one where T is less."""
    window = min(window, len(values))
    sums = np.concatenate([np.zeros((1, values.shape[1])), np.cumsum(values, axis=0, dtype=np.float64)])
    return (sums[window:] - sums[:-window]) / window
