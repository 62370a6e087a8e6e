"""Which rows make up a training window: pure integer arithmetic, no data."""

from collections.abc import Sequence

import numpy as np


class WindowSampler:
    """One window per step of each chosen episode; no window reaches into another episode.

    The window of step t observes steps t-To+1 … t and predicts the actions of steps t-To+1 … t-To+Tp.
    Steps outside the episode are replaced by its first or last step, and marked as padding for actions:

        episode of 4 steps, To = 2, Tp = 4:   t = 0   observes 0 0   acts 0 0 1 2   padded 1 0 0 0
                                              t = 3   observes 2 3   acts 2 3 3 3   padded 0 0 1 1
    """

    def __init__(
        self,
        episode_ends: np.ndarray,
        obs_steps: int,
        pred_steps: int,
        episodes: Sequence[int] | None = None,
    ) -> None:
        """Windows over `episode_ends` (E,), of all episodes or only those with the indices `episodes`."""
        ends = np.asarray(episode_ends, np.int64)
        chosen = np.arange(len(ends)) if episodes is None else np.asarray(episodes, np.int64)
        last = ends[chosen]
        first = np.concatenate([[0], ends])[chosen]
        lengths = last - first
        self._episode = np.repeat(chosen, lengths)
        self._first = np.repeat(first, lengths)
        self._last = np.repeat(last - 1, lengths)
        within = np.arange(len(self._first)) - np.repeat(np.cumsum(lengths) - lengths, lengths)
        self._newest = self._first + within
        self._obs_offsets = np.arange(1 - obs_steps, 1)
        self._action_offsets = np.arange(1 - obs_steps, 1 - obs_steps + pred_steps)

    def __len__(self) -> int:
        return len(self._newest)

    def episodes(self, indices: np.ndarray) -> np.ndarray:
        """The episode (B,) of each window."""
        return self._episode[indices]

    def obs_rows(self, indices: np.ndarray) -> np.ndarray:
        """Rows (B, To) that the windows `indices` (B,) observe, oldest first."""
        rows = self._newest[indices][:, None] + self._obs_offsets
        return np.maximum(rows, self._first[indices][:, None], out=rows)

    def action_rows(self, indices: np.ndarray) -> np.ndarray:
        """Rows (B, Tp) whose actions the windows predict."""
        rows = self._newest[indices][:, None] + self._action_offsets
        np.maximum(rows, self._first[indices][:, None], out=rows)
        return np.minimum(rows, self._last[indices][:, None], out=rows)

    def is_pad(self, indices: np.ndarray) -> np.ndarray:
        """(B, Tp) bool: where a predicted step lies outside the episode."""
        rows = self._newest[indices][:, None] + self._action_offsets
        return (rows < self._first[indices][:, None]) | (rows > self._last[indices][:, None])
