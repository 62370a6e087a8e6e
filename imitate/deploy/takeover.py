"""A person in place of the policy: what they command goes through the same gate."""

from collections.abc import Callable, Mapping

import numpy as np

from imitate.deploy.command import Command
from imitate.deploy.description import Target
from imitate.deploy.robot import Snapshot

TAKEOVER_S = 0.3
"""A person is in charge until so long after their last message."""


def commanded_by_person(
    snapshot: Snapshot, targets: Mapping[str, Target], now_s: float, sequence: Callable[[], int]
) -> list[Command]:
    """What a person commands now, one command for each group that they move; empty where nobody does.

    An invalid reading counts as somebody being there who cannot be understood, and moves nothing.
    """
    found = []
    for group, reading in snapshot.takeover.items():
        if now_s - reading.arrived_s <= TAKEOVER_S and reading.valid:
            target = targets[group]
            values = np.asarray(reading.value, np.float64)[None]
            found.append(Command(group, target.kind, target.names, values, np.zeros(1), now_s, sequence()))
    return found
