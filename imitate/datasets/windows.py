"""Which rows make up a training window: pure integer arithmetic, no data."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np


class Windows(NamedTuple):
    """Rows (B, To) observed and (B, Tp) acted in, which of the latter are padding, and the episode (B,)."""

    obs_rows: np.ndarray
    action_rows: np.ndarray
    is_pad: np.ndarray
    episodes: np.ndarray


class WindowSampler:
    """One window per step of each chosen episode; no window reaches into another episode.

    The window of step t observes steps t-To+1 … t and predicts the actions of steps t-To+1 … t-To+Tp.
    Steps outside the episode are replaced by its first or last step, and marked as padding for actions:

        episode of 4 steps, To = 2, Tp = 4:   t = 0   observes 0 0   acts 0 0 1 2   padded 1 0 0 0
                                              t = 3   observes 2 3   acts 2 3 3 3   padded 0 0 1 1

    Steps that do not count cut an episode: no window is theirs, and what lies beyond them as seen from the
    step of a window is padding, too.
    """

    def __init__(
        self,
        episode_ends: np.ndarray,
        obs_steps: int,
        pred_steps: int,
        episodes: Sequence[int] | None = None,
        counts: np.ndarray | None = None,
    ) -> None:
        """Windows over `episode_ends` (E,), of all episodes or only those with the indices `episodes`.

        `counts` (N,) bool says of each step whether it is to be learnt from; without it, all are.
        """
        ends = np.asarray(episode_ends, np.int64)
        chosen = np.arange(len(ends)) if episodes is None else np.asarray(episodes, np.int64)
        last = ends[chosen]
        first = np.concatenate([[0], ends])[chosen]
        lengths = last - first
        within = np.arange(lengths.sum()) - np.repeat(np.cumsum(lengths) - lengths, lengths)
        starts = np.repeat(first, lengths)
        # One table, so that a random window costs one look-up in memory instead of four.
        self._table = np.column_stack(
            [starts + within, starts, np.repeat(last - 1, lengths), np.repeat(chosen, lengths)]
        )
        self._counts = None if counts is None or counts.all() else counts
        if self._counts is not None:
            self._table = self._table[self._counts[self._table[:, 0]]]
        self._obs_offsets = np.arange(1 - obs_steps, 1)
        self._action_offsets = np.arange(1 - obs_steps, 1 - obs_steps + pred_steps)

    def __len__(self) -> int:
        return len(self._table)

    @property
    def episodes(self) -> np.ndarray:
        """(W,) the episode of each window."""
        return self._table[:, 3]

    def windows(self, indices: np.ndarray) -> Windows:
        """Everything about the windows `indices` (B,), rows oldest first."""
        table = self._table[indices]
        newest, first, last = table[:, 0:1], table[:, 1:2], table[:, 2:3]
        observed = newest + self._obs_offsets
        wanted = newest + self._action_offsets
        acted = np.minimum(np.maximum(wanted, first), last)
        is_pad = acted != wanted
        if self._counts is not None:
            is_pad |= self._beyond_a_cut(~self._counts[acted])
        return Windows(np.maximum(observed, first, out=observed), acted, is_pad, table[:, 3])

    def _beyond_a_cut(self, is_cut: np.ndarray) -> np.ndarray:
        """Where steps (B, Tp) lie at or behind a cut one, seen from the step of the window."""
        now = len(self._obs_offsets) - 1
        later = np.logical_or.accumulate(is_cut[:, now:], axis=1)
        earlier = np.logical_or.accumulate(is_cut[:, :now][:, ::-1], axis=1)[:, ::-1]
        return np.concatenate([earlier, later], axis=1)

    def obs_rows(self, indices: np.ndarray) -> np.ndarray:
        """Rows (B, To) that the windows `indices` (B,) observe, oldest first."""
        return self.windows(indices).obs_rows

    def action_rows(self, indices: np.ndarray) -> np.ndarray:
        """Rows (B, Tp) whose actions the windows predict."""
        return self.windows(indices).action_rows

    def is_pad(self, indices: np.ndarray) -> np.ndarray:
        """(B, Tp) bool: where a predicted step lies outside the episode."""
        return self.windows(indices).is_pad
