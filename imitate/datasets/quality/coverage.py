"""How well each state is covered by other demonstrations.

State similarity of Belkhale, Cui & Sadigh, "Data Quality in Imitation Learning" (arXiv 2306.02437): how many
neighbours lie within a radius; state diversity is its inverse. Here episodes count, not frames.
"""

from dataclasses import dataclass

import numpy as np

from imitate.datasets.quality.neighbour_index import Neighbours

NEAREST = 5


@dataclass(frozen=True)
class Coverage:
    """Per row (N,), NaN where not examined or no other episode is known.

    similar: number of other episodes that come within `radius`, at most as many as neighbours were asked for.
    novelty: distance to the fifth nearest other episode, or to the last where there are fewer. radius and
    novelty are root mean square differences in standard deviations of the data set. mean_similar, alone:
    over all examined rows, the mean of `similar` and the share of rows where it is 0.
    """

    similar: np.ndarray
    novelty: np.ndarray
    radius: float
    mean_similar: float
    alone: float


def coverage(neighbours: Neighbours, radius: float | None = None) -> Coverage:
    """Coverage of the examined rows by neighbours with similar states.

    By default the radius is the median of all novelties, so half of all rows have at least five episodes (or
    all) within it. To compare data sets, standardise them together and give both the radius of the one.
    """
    most = int(neighbours.found.sum(axis=1).max(initial=0))
    nothing = np.full(neighbours.size, np.nan)
    if not most:
        return Coverage(nothing, nothing, float("nan"), float("nan"), float("nan"))
    distance = neighbours.distances[:, min(NEAREST, most) - 1].astype(np.float64)
    known = neighbours.found[:, 0]
    if radius is None:
        radius = float(np.median(distance[known]))
    similar = np.where(known, np.sum(neighbours.distances <= np.float32(radius), axis=1), np.nan)
    return Coverage(
        similar=neighbours.per_row(similar),
        novelty=neighbours.per_row(np.where(np.isfinite(distance), distance, np.nan)),
        radius=radius,
        mean_similar=float(np.nanmean(similar)),
        alone=float(np.mean(similar[known] == 0)),
    )
