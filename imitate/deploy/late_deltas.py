"""What becomes of displacements that a late chunk asked for in the past: they are still to be gone.

A chunk of deltas is a path from where the robot was observed. Dropping the deltas of the past as they are
would drop that part of the path, and with it the correction that the chunk was made for; so what lies between
the path and where the robot was sent meanwhile is gone in the next steps, as fast as the action's range
allows. Absolute actions and rates need none of it.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from imitate.deploy.description import Target
from imitate.deploy.fit import action_names
from imitate.spec import ArraySpec


@dataclass(frozen=True)
class Deltas:
    """Which elements of the action (Da,) are displacements, and their range."""

    is_delta: np.ndarray
    low: np.ndarray
    high: np.ndarray

    @classmethod
    def of(cls, action: ArraySpec, targets: Mapping[str, Target]) -> "Deltas":
        """As the targets that take them say; without a range nothing is bounded."""
        names = {name for target in targets.values() if target.meaning == "delta" for name in target.action}
        is_delta = np.array([name in names for name in action_names(action)])
        low = np.array(action.low) if action.low else np.full(action.size, -np.inf)
        high = np.array(action.high) if action.high else np.full(action.size, np.inf)
        return cls(is_delta, low, high)

    def carried(self, chunk: np.ndarray, late: int, executed: np.ndarray) -> np.ndarray:
        """`chunk` (Ta, Da) with what its `late` first actions ask beyond `executed` (Da,) put after them."""
        left = np.where(self.is_delta, chunk[:late].sum(axis=0) - executed, 0.0)
        found = chunk.copy()
        for row in found[late:]:
            wanted = row + left
            row[:] = np.where(self.is_delta, np.clip(wanted, self.low, self.high), row)
            left = np.where(self.is_delta, wanted - row, 0.0)
        return found
