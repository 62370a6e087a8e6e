"""What a policy remembers of an episode, in simulation and on a robot: observations, and its last plan."""

from collections import deque
from collections.abc import Mapping, Sequence

import numpy as np

PLAN = "plan"
"""Among what a policy observes that begins where its last chunk ends: the rest of that chunk, `ahead`."""


class ObservationHistory:
    """The last To observations of an episode.

    Before To steps have passed the first observation is repeated, as the windows of training do at the
    start of an episode. Example with To 3: reset(a) gives a a a, then add(b) gives a a b.
    """

    def __init__(self, obs_steps: int) -> None:
        self._newest: deque[dict[str, np.ndarray]] = deque(maxlen=obs_steps)

    def reset(self, obs: Mapping[str, np.ndarray]) -> None:
        """Begin an episode with its first observation."""
        self._newest.extend([_copied(obs)] * (self._newest.maxlen or 1))

    def add(self, obs: Mapping[str, np.ndarray]) -> None:
        """Take in the observation after a step; it is copied."""
        self._newest.append(_copied(obs))

    def stacked(self) -> dict[str, np.ndarray]:
        """{name: (To, …)}, oldest first."""
        return {key: np.stack([obs[key] for obs in self._newest]) for key in self._newest[0]}


def ahead(planned: Sequence[np.ndarray] | np.ndarray, steps: int, size: int) -> np.ndarray:
    """Actions (n, Da = size) that are planned from now on, as (steps, Da) float32, NaN where none is.

    Without any, as at the start of an episode, everything is NaN.
    """
    plan = np.full((steps, size), np.nan, np.float32)
    known = planned[:steps]
    if len(known):
        plan[: len(known)] = known
    return plan


def _copied(obs: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    return {key: np.array(value) for key, value in obs.items()}
