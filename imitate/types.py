"""The types that flow between the parts: DataSpec, Episode, Batch, ActionChunk.

Notation used everywhere: B batch, T steps of an episode, To observation horizon, Tp prediction horizon,
Ta action horizon, Da action dimensions. A window that ends at step t observes steps t-To+1 … t and
predicts actions t-To+1 … t-To+Tp; the executed slice starts at step t (index To-1 of the prediction).
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor

from imitate.errors import SpecError
from imitate.spec import ArraySpec as ArraySpec
from imitate.spec import DataSpec as DataSpec
from imitate.spec import require_match as require_match

TWO_PI = 2.0 * math.pi


@dataclass(frozen=True)
class Episode:
    """One demonstration or rollout in raw physical units.

    obs: {name: (T, …)}; action: (T, Da); obs[t] is seen before action[t] is taken. success is None where
    nobody judged it. `metadata` holds further JSON values (seed, style, noise).
    """

    id: str
    obs: Mapping[str, np.ndarray]
    action: np.ndarray
    success: bool | None = None
    source: str = ""
    operator: str = ""
    rate_hz: float | None = None
    metadata: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.action.ndim != 2 or len(self.action) == 0:
            raise SpecError(
                f"episode {self.id!r}: action has shape {self.action.shape}, expected (T, Da), T > 0"
            )
        for key, array in self.obs.items():
            if len(array) != len(self.action):
                raise SpecError(
                    f"episode {self.id!r}: observation {key!r} has {len(array)} steps, "
                    f"the action has {len(self.action)}"
                )

    def __len__(self) -> int:
        return len(self.action)

    def __repr__(self) -> str:
        arrays = {**self.obs, "action": self.action}
        shapes = ", ".join(f"{key} {a.shape} {a.dtype}" for key, a in arrays.items())
        return f"Episode({self.id!r}, {shapes}, success={self.success})"


@dataclass
class Outcome:
    """What came of the actions of training windows, for policies that learn what a step is worth.

    obs: {name: (B, Tp, …)} what was observed after each action; after the last one of an episode nothing
    was, and the last observation stands there again. is_last: (B, Tp) bool, True at that last action.
    success: (B,) float32, 0 where the episode was judged a failure, else 1.
    """

    obs: dict[str, Tensor]
    is_last: Tensor
    success: Tensor

    def map(self, change: Callable[[Tensor], Tensor]) -> "Outcome":
        """The same with `change` made to every tensor."""
        obs = {key: change(value) for key, value in self.obs.items()}
        return Outcome(obs, change(self.is_last), change(self.success))


@dataclass
class Batch:
    """Training windows in raw units; images stay uint8 until they are on the device.

    obs: {name: (B, To, …)}; action: (B, Tp, Da) float32; is_pad: (B, Tp) bool, True where the window
    reaches past its episode (there the edge value is repeated); weight: (B,) float32, 1 for most;
    outcome: only for policies that ask for it (Policy.needs_outcome).
    """

    obs: dict[str, Tensor]
    action: Tensor
    is_pad: Tensor
    weight: Tensor
    outcome: Outcome | None = None

    def map(self, change: Callable[[Tensor], Tensor]) -> "Batch":
        """The same batch with `change` made to every tensor."""
        return Batch(
            {key: change(value) for key, value in self.obs.items()},
            change(self.action),
            change(self.is_pad),
            change(self.weight),
            self.outcome and self.outcome.map(change),
        )

    def to(self, device: torch.device | str) -> "Batch":
        """The same batch on `device` (pinned memory is copied without waiting)."""
        return self.map(lambda tensor: tensor.to(device, non_blocking=True))

    def __len__(self) -> int:
        return len(self.action)


@dataclass
class Modes:
    """Several ways to go on, the most likely first: values (B, n, T, Da) in physical units, score (B, n).

    The first value belongs to the newest observation's step; T may exceed the Ta that are executed. Scores
    are logarithms of probabilities. `scale` (Da,) is the physical size of one normalised unit of each action
    element, to compare differences of elements in different units (0: the element never changes).
    """

    values: Tensor
    score: Tensor
    scale: Tensor

    def first(self, count: int) -> "Modes":
        """The `count` most likely ones."""
        return Modes(self.values[:, :count], self.score[:, :count], self.scale)


@dataclass
class ActionChunk:
    """Actions to execute: values (B, Ta, Da) in physical units, the first one at step `start`.

    `start` counts control steps from the newest observation (0: the step it was seen at). `score` (B,) is
    larger for chunks that the policy holds more likely, None where the policy does not say. `modes` are the
    alternatives that a policy weighed, where it can name them.
    """

    values: Tensor
    start: int = 0
    score: Tensor | None = None
    modes: Modes | None = None
