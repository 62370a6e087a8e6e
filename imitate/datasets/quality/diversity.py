"""How widely the next state spreads after similar states and actions, with sensor noise taken off.

Transition diversity of Belkhale, Cui & Sadigh, "Data Quality in Imitation Learning" (arXiv 2306.02437): the
spread of ρ(s′|s, a), which comes from noise of the system. They model it as a normal distribution; here it is
the variance of s′ − s among neighbouring transitions of other episodes. It also holds how much the neighbours
differ from each other, so it falls with more data, and the noise of the sensors.
"""

from dataclasses import dataclass

import numpy as np

from imitate.datasets.quality.features import CONSTANT
from imitate.datasets.quality.frames import Frames
from imitate.datasets.quality.idle import FAST_QUANTILE, STILL_SHARE
from imitate.datasets.quality.neighbour_index import Neighbours
from imitate.datasets.quality.room import in_blocks, moments

# Over this many steps a robot that moves has moved much farther than sensor noise reaches.
WINDOW = 8
FEWEST_STILL = 50
FEWEST = 4  # Neighbours with a next step below which their spread is not told.
CHUNK = 4096


@dataclass(frozen=True)
class TransitionDiversity:
    """Spread of the next state, as a share of the variance of all displacements s′ − s of the data set.

    spread: (N,), averaged over state dimensions, 0 where the next state is certain; a little below 0 where
    the noise taken off is more than chance left; NaN for last steps, rows not examined or without enough
    neighbours. noise: the share of sensor noise that was taken off, NaN where the data does not show it (no
    moments of standing still) and nothing was.
    """

    spread: np.ndarray
    noise: float


def transition_diversity(frames: Frames, neighbours: Neighbours) -> TransitionDiversity:
    """Spread after each examined row, over neighbours of NeighbourIndex.of_transitions(frames).

    What is taken off is the noise in the reading of s′. It shows where the robot stands still: where over
    eight steps neither state nor action moves (idle.STILL_SHARE of what they do when fast), a wrong reading
    sends two displacements in a row in opposite directions. At least 50 such places are needed. The noise in
    the reading of s stays in, as far as it makes neighbours of states that are none.
    """
    steps = displacements(frames)
    noise = _sensor_noise(frames, steps)
    spread = np.full(len(neighbours.query), np.nan)
    for low in range(0, len(spread), CHUNK):
        part = slice(low, low + CHUNK)
        spread[part] = _spread(steps, frames.to_go > 0, neighbours.rows[part])
    spread[frames.to_go[neighbours.query] == 0] = np.nan
    removed = 0.0 if np.isnan(noise) else noise
    return TransitionDiversity(neighbours.per_row(spread - removed), noise)


def displacements(frames: Frames) -> np.ndarray:
    """s′ − s of every row, (N, F) float32, each column in its own standard deviations; NaN at last steps.

    Columns in which it is always the same, such as a clock, are left out.
    """
    has_next = frames.to_go > 0

    def change(at: slice) -> np.ndarray:
        steps = np.full((at.stop - at.start, frames.state.shape[1]), np.nan, np.float32)
        before = np.flatnonzero(has_next[at])
        steps[before] = frames.state[at.start + before + 1] - frames.state[at.start + before]
        return steps

    steps = in_blocks(len(frames), change)
    if not has_next.any():
        return steps[:, :0]
    _, spread = moments(steps, has_next)
    moving = spread > CONSTANT
    scale = spread[moving].astype(np.float32)
    return in_blocks(len(frames), lambda at: steps[at][:, moving] / scale)


def _spread(steps: np.ndarray, has_next: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """Variance of the displacements of rows (Q, k), unbiased, averaged over dimensions, (Q,)."""
    out = np.full(len(rows), np.nan)
    if not steps.shape[1]:
        return out
    known = (rows >= 0) & has_next[rows]
    count = known.sum(axis=1)
    values = np.where(known[:, :, None], steps[rows].astype(np.float64), 0.0)
    mean = values.sum(axis=1) / np.maximum(count, 1)[:, None]
    squares = np.sum((values - mean[:, None]) ** 2 * known[:, :, None], axis=1)
    enough = count >= FEWEST
    out[enough] = np.mean(squares[enough] / (count[enough] - 1)[:, None], axis=1)
    return out


def _sensor_noise(frames: Frames, steps: np.ndarray) -> float:
    """Variance of one reading of the state, averaged over dimensions, where nothing moves."""
    begin = np.flatnonzero(frames.to_go >= WINDOW)
    if not len(begin) or not steps.shape[1]:
        return float("nan")
    still = begin[_unmoved(frames.state, begin) & _unmoved(frames.action, begin)]
    if len(still) < FEWEST_STILL:
        return float("nan")
    # The ends of a window were chosen to lie together; the readings in its middle were not. One that is too
    # high moves the displacement before it up and the one after it down by as much.
    middle = still + WINDOW // 2
    before, after = (steps[rows] - steps[rows].mean(axis=0) for rows in (middle - 1, middle))
    return max(0.0, -float(np.mean(before * after, dtype=np.float64)))


def _unmoved(values: np.ndarray, begin: np.ndarray) -> np.ndarray:
    if not values.shape[1]:
        return np.ones(len(begin), bool)
    net = np.sqrt(np.mean((values[begin + WINDOW] - values[begin]) ** 2, axis=1))
    return net <= STILL_SHARE * np.quantile(net, FAST_QUANTILE)
