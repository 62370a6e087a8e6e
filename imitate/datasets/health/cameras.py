"""Cameras under another name: swapped in some episodes, or absent from another store."""

from collections.abc import Mapping
from itertools import combinations

import numpy as np

from imitate.datasets.health.finding import Finding
from imitate.datasets.health.recording import Group
from imitate.types import DataSpec

CHECK = "cameras bear the same names"
FEWEST_EPISODES = 5
TOLD_APART, SURELY = 0.85, 1.15
"""Share of the episodes whose pictures must lie nearer to those of the same name, and the factor by which those
of an episode must lie nearer to those of the other name."""


def check(group: Group) -> list[Finding]:
    """Pairs of cameras whose mean pictures are swapped in some episodes."""
    cameras = [key for key, array in group.spec.obs.items() if array.is_image]
    if len(group) < FEWEST_EPISODES:
        return []
    return [finding for one, other in combinations(cameras, 2) for finding in _swapped(group, one, other)]


def _swapped(group: Group, one: str, other: str) -> list[Finding]:
    first, second = (np.array([each.films[key].mean for each in group.recordings]) for key in (one, other))
    a, b = np.median(first, axis=0), np.median(second, axis=0)
    as_named = _distance(first, a) + _distance(second, b)
    exchanged = _distance(first, b) + _distance(second, a)
    swapped = np.flatnonzero(as_named > SURELY * exchanged)
    if not len(swapped) or np.mean(exchanged > SURELY * as_named) < TOLD_APART:
        return []
    what = f"what {one} shows looks like {other} in the other episodes, and the reverse"
    fix = f"Exchange {one} and {other} in these episodes; give cameras fixed serial numbers, not indices."
    return [Finding(CHECK, "error", group.ids(swapped), what, fix)]


def _distance(pictures: np.ndarray, usual: np.ndarray) -> np.ndarray:
    return np.asarray(np.abs(pictures - usual).mean(axis=(1, 2, 3)))


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
