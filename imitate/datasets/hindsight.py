"""Pieces of demonstrations moved so that they reach the goal at once: many ends out of few.

A demonstration shows once how the goal is reached exactly, and all its other motions reach other places.
Where a task is the same wherever it is done in its plane (see imitate.alignment), any motion can be moved,
with the scene, so that what it reached is the goal: hindsight relabelling (Andrychowicz et al. 2017, arXiv
1707.01495) by a symmetry in place of a goal in the observation.
"""

import dataclasses
from collections.abc import Mapping

import numpy as np
import torch
from torch import Tensor

from imitate.alignment import Alignment, Motions
from imitate.datasets.episode_store import ACTION
from imitate.datasets.rows import Rows
from imitate.datasets.windows import Windows
from imitate.types import ArraySpec, Batch


class Hindsight:
    """Moves a share of the windows of a batch so that each reaches the goal within `reach` steps.

    What was done from that step on is padding. A window stays where nothing would be learnt from it,
    because the anchor of the alignment hardly moves (by less than `least`, in its own unit) until then, or
    where an action that counts would leave the range of `action`.
    """

    def __init__(
        self,
        rows: Mapping[str, Rows],
        alignment: Alignment,
        action: ArraySpec,
        share: float,
        reach: int = 32,
        least: float = 2.0,
    ) -> None:
        alignment.require(rows)
        self._anchor, self._alignment = rows[alignment.anchor[0]], alignment
        self._share, self._reach, self._least = share, reach, least
        self._low, self._high = (torch.tensor(bound) for bound in (action.low, action.high))

    def __call__(self, batch: Batch, windows: Windows, last: np.ndarray, rng: np.random.Generator) -> Batch:
        """`batch` of `windows`, a share of them moved; `last` (B,) is the last row of each one's episode."""
        now = windows.obs_rows[:, -1]
        end = np.minimum(now + rng.integers(1, self._reach + 1, len(now)), last)
        chosen = rng.random(len(now)) < self._share
        _, x, y, _ = self._alignment.anchor
        reached = self._anchor.take(np.stack([now, end], axis=1)).numpy()
        path = np.linalg.norm(reached[:, 1][:, [x, y]] - reached[:, 0][:, [x, y]], axis=1)
        motions = self._alignment.motions(reached[:, 1])
        action = self._moved(ACTION, batch.action, motions)
        is_pad = batch.is_pad | torch.from_numpy(windows.action_rows >= end[:, None])
        moves = torch.from_numpy(chosen & (path >= self._least)) & self._inside(action, is_pad)
        obs = {
            name: torch.where(moves[:, None, None], self._moved(name, value, motions), value)
            for name, value in batch.obs.items()
        }
        return dataclasses.replace(
            batch,
            obs=obs,
            action=torch.where(moves[:, None, None], action, batch.action),
            is_pad=torch.where(moves[:, None], is_pad, batch.is_pad),
        )

    def _moved(self, name: str, values: Tensor, motions: Motions) -> Tensor:
        window = np.repeat(np.arange(len(values)), values.shape[1])
        flat = values.reshape(len(window), -1).numpy()
        return torch.from_numpy(self._alignment.moved(name, flat, motions, window)).view_as(values)

    def _inside(self, action: Tensor, is_pad: Tensor) -> Tensor:
        if not len(self._low):
            return torch.ones(len(action), dtype=torch.bool)
        inside = ((action >= self._low) & (action <= self._high)).all(dim=-1)
        return (inside | is_pad).all(dim=1) & (~is_pad).any(dim=1)
