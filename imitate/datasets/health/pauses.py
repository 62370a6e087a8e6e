"""Standing still before the first motion and after the last one."""

import numpy as np

from imitate.datasets.health.finding import Finding
from imitate.datasets.health.recording import Group
from imitate.datasets.quality.idle import idle_ends

CHECK = "no pause at start and end"
PAUSE_S = 1.0
PAUSE_STEPS = 10
"""Where the rate is unknown."""


def check(group: Group) -> list[Finding]:
    """Episodes that start or end with at least a second in which nothing moves."""
    if group.still <= 0.0:
        return []  # Nothing ever moves.
    idle = np.array([idle_ends(speed, group.still) for speed in group.speeds]).reshape(-1, 2)
    least = np.array([PAUSE_S * one.rate_hz if one.rate_hz else PAUSE_STEPS for one in group.recordings])
    found = []
    for end, label in enumerate(("start", "end")):
        paused = np.flatnonzero(idle[:, end] >= np.maximum(least, 3))
        if len(paused):
            steps = idle[paused, end]
            rates = [group.recordings[int(i)].rate_hz for i in paused]
            found.append(
                Finding(
                    CHECK,
                    "warning",
                    group.ids(paused),
                    f"nothing moves in {steps.min()} to {steps.max()} steps at the {label}"
                    + (f", up to {steps.max() / rates[0]:.3g} s" if rates[0] else ""),
                    "Cut them off (imitate data trim … idle=true): a policy learns to stand still there.",
                )
            )
    return found
