"""Numbers in another unit than they should be: degrees for radians, millimetres for metres."""

import numpy as np

from imitate.datasets.health.finding import Finding, listed
from imitate.datasets.health.recording import Group

CHECK = "units are plausible and the same"
FEWEST_EPISODES = 5
SCALES = {180.0 / np.pi: "degrees for radians", 1000.0: "a factor of 1000", 100.0: "a factor of 100"}
FAR, BEYOND, THROUGHOUT = 12.0, 4.0, 2.0
"""The factors by which the size of an episode must be off from the median, from what a fifth of the episodes
reach, and at each of LEVELS: another unit changes small and large numbers alike, what falls off a table does
not."""
LEVELS = (0.9, 0.2, 0.5, 1.0)
"""Quantiles of an episode's absolute values; the first is called its size."""
USUAL, STEADY = 0.2, 2.0
"""Where little moves in a fifth of the episodes, one more with small numbers is nothing special: these must
reach the median up to this factor."""

MOST = {"rad": (4 * np.pi, "degrees"), "m": (20.0, "millimetres"), "rad/s": (60.0, "degrees per second")}
MOST |= {"m/s": (20.0, "millimetres per second")}
LEAST = {"deg": (2 * np.pi, "radians"), "mm": (2.0, "metres")}
"""Of a unit: the largest (smallest) size that a robot's numbers may well reach, and what else it may be."""


def check(group: Group) -> list[Finding]:
    """Episodes whose numbers are a known factor larger or smaller, and sizes that no robot reaches."""
    return [*_between(group), *_declared(group)]


def _between(group: Group) -> list[Finding]:
    if len(group) < FEWEST_EPISODES:
        return []
    # (level, episode, column)
    sizes = np.stack([np.quantile(np.abs(one.values), LEVELS, axis=0) for one in group.recordings], axis=1)
    found: dict[tuple[bool, tuple[int, ...]], list[tuple[str, float]]] = {}
    for i, column in enumerate(group.columns):
        for is_large in (True, False):
            episodes, factor = _off(sizes[..., i], is_large)
            if len(episodes):
                found.setdefault((is_large, tuple(episodes)), []).append((str(column), factor))
    return [_finding(group, large, episodes, named) for (large, episodes), named in found.items()]


def _off(sizes: np.ndarray, is_large: bool) -> tuple[list[int], float]:
    """Episodes whose sizes (L, E) are far from those of the others, and by which factor."""
    usual = np.median(sizes, axis=1)
    low, high = np.quantile(sizes[0], (USUAL, 1 - USUAL))
    if low < usual[0] / STEADY or usual[0] <= 0:
        return [], 1.0
    known = usual > 0
    ratios = sizes[known] / usual[known, None]
    if is_large:
        off = (ratios[0] >= FAR) & (sizes[0] >= BEYOND * high) & (ratios.min(axis=0) >= THROUGHOUT)
    else:
        off = (ratios[0] <= 1 / FAR) & (ratios[-1] <= 1 / FAR) & (ratios.max(axis=0) <= 1 / THROUGHOUT)
        off &= (sizes[0] <= low / BEYOND) & (sizes[0] > 0)
    chosen = np.flatnonzero(off)
    return [int(i) for i in chosen], float(np.median(ratios[0, chosen])) if len(chosen) else 1.0


def _finding(group: Group, large: bool, episodes: tuple[int, ...], named: list[tuple[str, float]]) -> Finding:
    factor = float(np.median([factor for _, factor in named]))
    times = factor if large else 1 / factor
    guess = min(SCALES, key=lambda scale: abs(np.log(times / scale)))
    words = f"{times:.3g} times {'larger' if large else 'smaller'}"
    what = f"{listed([name for name, _ in named])}: {words} than in the other episodes, as by {SCALES[guess]}"
    fix = "Convert these episodes to the unit of the others, or leave them out."
    return Finding(CHECK, "error", group.ids(episodes), what, fix)


def _declared(group: Group) -> list[Finding]:
    found: dict[tuple[str, str], list[str]] = {}
    largest: dict[tuple[str, str], float] = {}
    for i, column in enumerate(group.columns):
        # Of most episodes: a single one in another unit is told by comparing.
        size = float(np.median([np.abs(one.values[:, i]).max() for one in group.recordings]))
        other = _other_unit(column.unit, size)
        if other:
            found.setdefault((column.unit, other), []).append(str(column))
            largest[column.unit, other] = max(size, largest.get((column.unit, other), 0.0))
    return [
        Finding(
            CHECK,
            "warning",
            (),
            f"{listed(names)} reach {largest[unit, other]:.4g} and are declared in {unit}: rather {other}",
            f"Convert to {unit}, or declare the unit that it is.",
        )
        for (unit, other), names in found.items()
    ]


def _other_unit(unit: str, size: float) -> str:
    if unit in MOST and size > MOST[unit][0]:
        return MOST[unit][1]
    if unit in LEAST and 0 < size < LEAST[unit][0]:
        return LEAST[unit][1]
    return ""
