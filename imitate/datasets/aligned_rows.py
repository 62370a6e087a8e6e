"""Rows of episodes that were moved so that they end at the goal; see imitate.alignment."""

from collections.abc import Mapping

import numpy as np
import torch
from torch import Tensor

from imitate.alignment import Alignment, Motions
from imitate.datasets.episode_store import ACTION, EpisodeStore
from imitate.datasets.rows import Rows
from imitate.types import ArraySpec


class AlignedRows:
    """Another array's rows, each moved with its episode."""

    def __init__(
        self, rows: Rows, name: str, alignment: Alignment, motions: Motions, ends: np.ndarray
    ) -> None:
        """`ends` (E,) are the rows after the last of each episode."""
        self._rows, self._name = rows, name
        self._alignment, self._motions, self._ends = alignment, motions, ends

    def take(self, rows: np.ndarray) -> Tensor:
        """See Rows."""
        values = self._rows.take(rows)
        episode = np.searchsorted(self._ends, rows.reshape(-1), side="right")
        flat = values.reshape(len(episode), -1).numpy()
        return torch.from_numpy(self._alignment.moved(self._name, flat, self._motions, episode)).view_as(
            values
        )


class ClippedRows:
    """Another array's rows, kept inside the range of its spec."""

    def __init__(self, rows: Rows, spec: ArraySpec) -> None:
        self._rows = rows
        self._low, self._high = torch.tensor(spec.low), torch.tensor(spec.high)

    def take(self, rows: np.ndarray) -> Tensor:
        """See Rows."""
        return self._rows.take(rows).clamp(self._low, self._high)


def aligned(
    rows: Mapping[str, Rows], store: EpisodeStore, alignment: Alignment, action: ArraySpec
) -> dict[str, Rows]:
    """`rows` of `store` with each episode moved; raises ConfigError where an array cannot be moved.

    An action that was moved out of the range of `action` is cut off there, as environments do.
    """
    alignment.require(rows)
    ends = np.asarray(store.episode_ends)
    last = rows[alignment.anchor[0]].take(ends[:, None] - 1)[:, 0].numpy()
    motions = alignment.motions(last)
    found: dict[str, Rows] = {
        name: AlignedRows(each, name, alignment, motions, ends) for name, each in rows.items()
    }
    if action.low:
        found[ACTION] = ClippedRows(found[ACTION], action)
    return found
