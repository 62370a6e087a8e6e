"""Transitions that lead elsewhere than similar ones do: another robot, a slip, a push."""

import numpy as np

from imitate.datasets.quality.diversity import displacements
from imitate.datasets.quality.frames import Frames
from imitate.datasets.quality.neighbour_index import Neighbours

FEWEST = 4  # Neighbours with a next step below which nothing is expected.
CHUNK = 4096


def out_of_dynamics(frames: Frames, neighbours: Neighbours) -> np.ndarray:
    """(N,) how surprising each displacement s′ − s is: 1 is ordinary for the data set, 0 is as expected.

    The residual of a k-nearest-neighbour regression: root mean square distance of the displacement from the
    median of those of `neighbours` (of NeighbourIndex.of_transitions(frames)), over how far these lie from
    their own median, so that contact, where everything spreads, is no surprise. NaN for last steps, rows not
    examined or without enough neighbours, and where every displacement is the same.
    """
    steps = displacements(frames)
    has_next = frames.to_go > 0
    residual, local = np.full((2, len(neighbours.query)), np.nan)
    for low in range(0, len(residual), CHUNK):
        part = slice(low, low + CHUNK)
        rows = neighbours.rows[part]
        known = (rows >= 0) & has_next[rows]
        residual[part], local[part] = _residuals(steps, neighbours.query[part], rows, known)
    residual[~has_next[neighbours.query]] = np.nan
    # Where neighbours agree to the last digit, what is typical for the data set keeps the ratio finite.
    scale = np.sqrt(local**2 + _typical(local) ** 2)
    ratio = np.divide(residual, scale, out=np.full(len(scale), np.nan), where=scale > 0)
    return neighbours.per_row(ratio / _typical(ratio))


def _residuals(
    steps: np.ndarray, query: np.ndarray, rows: np.ndarray, known: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Distances (Q,) of the own displacement, and the median one of the neighbours', from their median."""
    residual, local = np.full((2, len(rows)), np.nan)
    enough = known.sum(axis=1) >= FEWEST
    if not steps.shape[1] or not enough.any():
        return residual, local
    near = np.where(known[enough][:, :, None], steps[rows[enough]], np.float32(np.nan))
    middle = _median(near, known[enough])
    residual[enough] = np.sqrt(np.mean((steps[query[enough]] - middle) ** 2, axis=1))
    distance = np.sqrt(np.mean((near - middle[:, None]) ** 2, axis=2))
    local[enough] = _median(distance[:, :, None], known[enough])[:, 0]
    return residual, local


def _median(values: np.ndarray, known: np.ndarray) -> np.ndarray:
    """The median (Q, D) of (Q, k, D) over the known (Q, k); the others are NaN, which sort to the end."""
    count = known.sum(axis=1)[:, None, None]
    ordered = np.sort(values, axis=1)
    low, high = (np.take_along_axis(ordered, at, axis=1)[:, 0] for at in ((count - 1) // 2, count // 2))
    return (low + high) / 2


def _typical(values: np.ndarray) -> float:
    """The median of what is known and not zero; NaN where nothing is."""
    positive = values[np.isfinite(values) & (values > 0)]
    return float(np.median(positive)) if len(positive) else float("nan")
