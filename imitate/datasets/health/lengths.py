"""Episodes too short to be a demonstration."""

import numpy as np

from imitate.datasets.health.finding import Finding
from imitate.datasets.health.recording import Group

CHECK = "episodes are long enough"
FEWEST_STEPS = 4
SHORT_SHARE = 0.2
"""Of the median length: a recording that was stopped by mistake."""
COMPARED = 5


def check(group: Group) -> list[Finding]:
    """Episodes of fewer than four steps, or far shorter than the usual one."""
    lengths = np.array([len(one) for one in group.recordings])
    usual = float(np.median(lengths))
    least = max(FEWEST_STEPS, SHORT_SHARE * usual if len(lengths) >= COMPARED else 0.0)
    short = np.flatnonzero(lengths < least)
    if not len(short):
        return []
    low, high = int(lengths[short].min()), int(lengths[short].max())
    span = f"{low}" if low == high else f"{low} to {high}"
    return [
        Finding(
            CHECK,
            "warning",
            group.ids(short),
            f"only {span} steps long; the median is {usual:g}",
            "Look at them: recordings that were stopped early are best left out.",
        )
    ]
