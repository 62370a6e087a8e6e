"""An excursion that has nothing to do with the task, so that curation can be tested on a known fault."""

from dataclasses import dataclass, field

import numpy as np

from imitate.env import Expert
from imitate.types import ArraySpec

EARLIEST_STEP, LATEST_STEP = 3, 12
REACH = 0.6
"""How fast it wanders, as a fraction of half the action range."""


@dataclass
class Wandering:
    """`expert`, who for `steps` of its steps goes somewhere else, and comes back by itself.

    Only the first two dimensions of the action leave what the expert wants; they take a direction for the
    first half of the excursion and one at right angles to it for the second. When and where to is drawn from
    `rng`. It takes an action of which 0 is standing still in those dimensions.
    """

    expert: Expert
    spec: ArraySpec
    steps: int
    rng: np.random.Generator
    _step: int = field(default=0, init=False)

    def __post_init__(self) -> None:
        self._start = int(self.rng.integers(EARLIEST_STEP, LATEST_STEP + 1))
        angle = self.rng.uniform(0.0, 2 * np.pi)
        self._way = REACH * np.array([np.cos(angle), np.sin(angle)])
        self._half_range = (np.array(self.spec.high[:2]) - np.array(self.spec.low[:2])) / 2

    def act(self) -> np.ndarray:
        """The expert's action, or during the excursion one that leads away."""
        action = np.array(self.expert.act())
        gone = self._step - self._start
        self._step += 1
        if 0 <= gone < self.steps:
            way = self._way if gone < self.steps / 2 else np.array([-self._way[1], self._way[0]])
            action[:2] = way * self._half_range
        return action
