"""The steps of a data set as points in two spaces: what every measure of neighbours compares."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from imitate.datasets.quality.features import standardizing
from imitate.datasets.quality.room import in_blocks, joined


@dataclass(frozen=True)
class Frames:
    """All steps, episode after episode.

    state: (N, F) and action: (N, A), float32, standardised per column over all steps; columns that never
    change are left out, so F or A may be 0. lengths: (E,) int64 steps of each episode, all at least 1.
    """

    state: np.ndarray
    action: np.ndarray
    lengths: np.ndarray
    still: np.ndarray | float = 0.0

    @classmethod
    def of(cls, states: Sequence[np.ndarray], actions: Sequence[np.ndarray]) -> "Frames":
        """From the features (T, F) and actions (T, Da) of each episode, all finite."""
        lengths = np.array([len(part) for part in actions], np.int64)
        state, action = joined(states), joined(actions)
        scaled = standardizing(action)
        still = scaled(np.zeros((1, action.shape[1])))[0].astype(np.float32)
        return cls(_apply(standardizing(state), state), _apply(scaled, action), lengths, still)

    def __len__(self) -> int:
        return len(self.action)

    @cached_property
    def starts(self) -> np.ndarray:
        """The first row of each episode, (E,) int64."""
        return np.concatenate([[0], np.cumsum(self.lengths)[:-1]])

    @cached_property
    def episode(self) -> np.ndarray:
        """The episode of each row, (N,) int32."""
        return np.repeat(np.arange(len(self.lengths), dtype=np.int32), self.lengths)

    @cached_property
    def to_go(self) -> np.ndarray:
        """Steps from each row to the last of its episode, (N,) int64; 0 at that last row."""
        return np.repeat(self.starts + self.lengths - 1, self.lengths) - np.arange(len(self))

    def rows(self, index: int) -> slice:
        """The rows of one episode."""
        return slice(int(self.starts[index]), int(self.starts[index] + self.lengths[index]))

    def episode_means(self, values: np.ndarray) -> np.ndarray:
        """The mean of `values` (N,) over each episode, (E,) float64, NaN left out; NaN where all are."""
        known = np.isfinite(values)
        count = len(self.lengths)
        sums = np.bincount(self.episode[known], values[known], minlength=count)
        counts = np.bincount(self.episode[known], minlength=count)
        return np.divide(sums, counts, out=np.full(count, np.nan), where=counts > 0)


def _apply(scaled: Callable[[np.ndarray], np.ndarray], values: np.ndarray) -> np.ndarray:
    return in_blocks(len(values), lambda at: scaled(values[at]).astype(np.float32))
