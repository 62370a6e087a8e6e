"""Numbers that never change: everywhere, or in a few episodes only."""

import numpy as np

from imitate.datasets.health.finding import Finding, listed
from imitate.datasets.health.recording import Group
from imitate.datasets.quality.features import CONSTANT

CHECK = "numbers change"
FEWEST_EPISODES, FEWEST_STEPS = 5, 4
STUCK_SHARE = 0.1
"""Of the episodes: where more hold a number still, that is part of the task."""


def check(group: Group) -> list[Finding]:
    """Columns that are constant in all episodes, and those stuck in few."""
    chosen = [i for i, one in enumerate(group.recordings) if len(one) >= FEWEST_STEPS]
    if not chosen or not group.columns:
        return []
    spans = np.array([np.ptp(group.recordings[i].values, axis=0) for i in chosen])
    sizes = np.abs(group.rows).max(axis=0)
    moves = spans > CONSTANT * sizes
    constant = np.ptp(group.rows, axis=0) <= CONSTANT * sizes
    return [
        *_no_action(group, np.array(chosen), moves),
        *_everywhere(group, constant),
        *_somewhere(group, np.array(chosen), moves),
    ]


def _no_action(group: Group, chosen: np.ndarray, moves: np.ndarray) -> list[Finding]:
    still = chosen[~moves[:, group.actions].any(axis=1)]
    if not len(still):
        return []
    what = f"no number of the action changes from the first to the last step of {len(still)} episodes"
    fix = "There is nothing to imitate: look whether the commands reached the recorder."
    return [Finding(CHECK, "error", () if len(still) == len(group) else group.ids(still), what, fix)]


def _everywhere(group: Group, constant: np.ndarray) -> list[Finding]:
    names = [str(group.columns[i]) for i in np.flatnonzero(constant)]
    if not names:
        return []
    what = f"{len(names)} of {len(constant)} numbers have one value in all episodes: {listed(names)}"
    return [
        Finding(CHECK, "notice", (), what, "They teach nothing: leave them out with data.obs, or ignore.")
    ]


def _somewhere(group: Group, chosen: np.ndarray, moves: np.ndarray) -> list[Finding]:
    if len(chosen) < FEWEST_EPISODES:
        return []
    found: dict[tuple[int, ...], list[str]] = {}
    for i, column in enumerate(group.columns):
        stuck = chosen[~moves[:, i]]
        if 0 < len(stuck) <= max(1.0, STUCK_SHARE * len(chosen)):
            found.setdefault(tuple(int(e) for e in stuck), []).append(str(column))
    return [
        Finding(
            CHECK,
            "warning",
            group.ids(episodes),
            f"{listed(names)} never changes here, but does in {len(chosen) - len(episodes)} other episodes",
            "Look whether the sensor or the channel was dead; if so, leave these episodes out.",
        )
        for episodes, names in found.items()
    ]
