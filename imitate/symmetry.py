"""Mirror symmetry of a task: a second demonstration for each that was recorded.

Where a task looks and works the same in a mirror, a mirrored demonstration is as true as the recorded one.
The environment says how its arrays change; training with `data.mirror=true` then mirrors a random half of
the windows.
"""

import dataclasses
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from imitate.errors import ConfigError
from imitate.types import Batch


@dataclass(frozen=True)
class Reflection:
    """How one array changes in the mirror: value i becomes signs[i] · value[order[i]] + offsets[i]."""

    order: tuple[int, ...]
    signs: tuple[float, ...]
    offsets: tuple[float, ...]

    def __call__(self, values: Tensor) -> Tensor:
        """Reflect (…, D), in the array's own units; twice gives back `values` (angles: up to a turn)."""
        return values[..., list(self.order)] * values.new_tensor(self.signs) + values.new_tensor(self.offsets)


@dataclass(frozen=True)
class Mirror:
    """The reflections of a task's observations, by name, and of its action."""

    obs: Mapping[str, Reflection]
    action: Reflection

    def require(self, names: Iterable[str]) -> None:
        """Raise ConfigError where one of the observations `names` has no reflection."""
        for name in names:
            if name not in self.obs:
                raise ConfigError(
                    f"data.mirror is true, but the environment does not say how {name!r} looks in the mirror "
                    f"(known: {', '.join(sorted(self.obs))}): choose others by data.obs, or set it to false"
                )

    def half(self, batch: Batch, generator: np.random.Generator) -> Batch:
        """`batch` with each window mirrored or not, by the toss of a coin."""
        tossed = torch.from_numpy(generator.random((len(batch), 1, 1)) < 0.5)

        def mirrored(obs: Mapping[str, Tensor]) -> dict[str, Tensor]:
            return {name: torch.where(tossed, self.obs[name](value), value) for name, value in obs.items()}

        action = torch.where(tossed, self.action(batch.action), batch.action)
        outcome = batch.outcome and dataclasses.replace(batch.outcome, obs=mirrored(batch.outcome.obs))
        return Batch(mirrored(batch.obs), action, batch.is_pad, batch.weight, outcome)
