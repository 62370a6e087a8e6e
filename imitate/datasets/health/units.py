"""Numbers in another unit than they should be: degrees for radians, millimetres for metres."""

import numpy as np

from imitate.datasets.health.finding import Finding, listed
from imitate.datasets.health.recording import Group

CHECK = "units are plausible and the same"
FEWEST_EPISODES = 5
SCALES = {180.0 / np.pi: "degrees for radians", 1000.0: "a factor of 1000", 100.0: "a factor of 100"}
FAR, BEYOND = 12.0, 4.0
"""The factor that an episode must be off from the median, and from what a fifth of the episodes reach."""
USUAL = 0.2
STEADY = 2.0
"""An episode in which little moves has small numbers too: only where four fifths of the episodes reach the
median up to this factor are small ones suspicious."""

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
    sizes = np.array([np.quantile(np.abs(one.values), 0.9, axis=0) for one in group.recordings])
    found: dict[tuple[bool, tuple[int, ...]], list[tuple[str, float]]] = {}
    for i, column in enumerate(group.columns):
        for is_large in (True, False):
            episodes, factor = _off(sizes[:, i], is_large)
            if len(episodes):
                found.setdefault((is_large, tuple(episodes)), []).append((str(column), factor))
    return [_finding(group, large, episodes, named) for (large, episodes), named in found.items()]


def _off(sizes: np.ndarray, is_large: bool) -> tuple[list[int], float]:
    """Episodes whose size (E,) is far beyond that of the others, and by which factor."""
    usual = float(np.median(sizes))
    if usual <= 0:
        return [], 1.0
    far = float(np.quantile(sizes, 1 - USUAL if is_large else USUAL))
    if is_large:
        off = np.flatnonzero((sizes >= FAR * usual) & (sizes >= BEYOND * far))
    else:
        off = np.flatnonzero((sizes <= usual / FAR) & (far >= usual / STEADY) & (sizes > 0))
    return [int(i) for i in off], float(np.median(sizes[off]) / usual) if len(off) else 1.0


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
        size = float(np.abs(group.rows[:, i]).max())
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
