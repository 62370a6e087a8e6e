"""Cameras under another name: swapped in some episodes, or absent from another store."""

from collections.abc import Mapping
from itertools import combinations

import numpy as np

from imitate.datasets.health.finding import Finding
from imitate.datasets.health.recording import Group
from imitate.types import DataSpec

CHECK = "cameras bear the same names"
FEWEST_EPISODES = 5
NEAREST, MOST_COMPARED = 3, 500
TOLD_APART, SURELY = 0.85, 1.05
"""Share of the episodes whose pictures must lie nearer to those of the same name, and the factor by which
those of an episode must lie nearer to those of the other name."""


def check(group: Group) -> list[Finding]:
    """Pairs of cameras whose mean pictures are swapped in some episodes: see those most similar elsewhere."""
    cameras = [key for key, array in group.spec.obs.items() if array.is_image]
    if len(group) < FEWEST_EPISODES:
        return []
    return [finding for one, other in combinations(cameras, 2) for finding in _swapped(group, one, other)]


def _swapped(group: Group, one: str, other: str) -> list[Finding]:
    first, second = (_pictures(group, camera) for camera in (one, other))
    as_named = _nearest(first, first) + _nearest(second, second)
    exchanged = _nearest(first, second) + _nearest(second, first)
    swapped = np.flatnonzero(as_named > SURELY * exchanged)
    if not len(swapped) or np.mean(exchanged > SURELY * as_named) < TOLD_APART:
        return []
    what = f"what {one} shows looks like {other} in the other episodes, and the reverse"
    fix = f"Exchange {one} and {other} in these episodes; give cameras fixed serial numbers, not indices."
    return [Finding(CHECK, "error", group.ids(swapped), what, fix)]


def _pictures(group: Group, camera: str) -> np.ndarray:
    return np.array([one.films[camera].mean.ravel() for one in group.recordings])


def _nearest(pictures: np.ndarray, others: np.ndarray) -> np.ndarray:
    """From each of the pictures (E, P) to the nearest three of other episodes, the mean distance (E,)."""
    chosen = np.unique(np.linspace(0, len(others) - 1, min(MOST_COMPARED, len(others))).round().astype(int))
    lengths = (pictures**2).sum(axis=1)[:, None] + (others[chosen] ** 2).sum(axis=1)
    squared = np.maximum(lengths - 2 * pictures @ others[chosen].T, 0.0)
    squared[chosen, np.arange(len(chosen))] = np.inf
    return np.asarray(np.sqrt(np.sort(squared, axis=1)[:, :NEAREST]).mean(axis=1))


def compare(specs: Mapping[str, DataSpec]) -> list[Finding]:
    """What differs between the cameras of several stores, {path: spec}, that shall be trained together."""
    cameras = {
        path: {key for key, array in spec.obs.items() if array.is_image} for path, spec in specs.items()
    }
    everywhere = set.union(*cameras.values())
    found = []
    for path, names in cameras.items():
        if absent := sorted(everywhere - names):
            what = f"{path} has no camera {', '.join(absent)}; it has {', '.join(sorted(names)) or 'none'}"
            found.append(
                Finding(CHECK, "error", (), what, "Rename or leave out cameras so that all stores agree.")
            )
    return found
