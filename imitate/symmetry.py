"""Mirror symmetry of a task: a second demonstration for each that was recorded.

Where a task looks and works the same in a mirror, a mirrored demonstration is as true as the recorded one.
The environment says how its arrays change; training with `data.mirror=true` then mirrors a random half of
the windows.
"""

import dataclasses
from collections.abc import Callable, Iterable, Mapping
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


def across_the_diagonal(pictures: Tensor) -> Tensor:
    """Square pictures (…, N, N, C) mirrored at the diagonal from the lower left to the upper right corner.

    A point (x, y) comes to (N - y, N - x), as by `Reflection((1, 0), (-1, -1), (N, N))`.
    """
    return pictures.transpose(-3, -2).flip(-3, -2)


@dataclass(frozen=True)
class Mirror:
    """How a task's observations, by name, and its action change: each of them undoes itself."""

    obs: Mapping[str, Callable[[Tensor], Tensor]]
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
        tossed = torch.from_numpy(generator.random(len(batch)) < 0.5)

        def some(values: Tensor, reflect: Callable[[Tensor], Tensor]) -> Tensor:
            return torch.where(tossed.view(-1, *[1] * (values.ndim - 1)), reflect(values), values)

        def mirrored(obs: Mapping[str, Tensor]) -> dict[str, Tensor]:
            return {name: some(value, self.obs[name]) for name, value in obs.items()}

        action = some(batch.action, self.action)
        outcome = batch.outcome and dataclasses.replace(batch.outcome, obs=mirrored(batch.outcome.obs))
        return Batch(mirrored(batch.obs), action, batch.is_pad, batch.weight, outcome)
