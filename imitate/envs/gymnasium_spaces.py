"""The spaces of a gymnasium environment as arrays of a DataSpec.

Arrays are named and laid out as in Minari data sets, so that a policy trained on imported demonstrations of
an environment plays in it: a lone observation is called "observation", parts of dictionaries "outer.inner".

| space                     | array                                                              |
|---------------------------|--------------------------------------------------------------------|
| Box                       | float32 of its shape, a range where all its bounds are finite      |
| Box of uint8, (H, W, 3)   | image; grey ones, (H, W) or (H, W, 1), have three equal channels   |
| Discrete, MultiDiscrete   | whole numbers as float32: the choice itself, not a one-hot code    |
| MultiBinary               | 0 or 1                                                             |

Names and units stay empty, for a space does not tell them.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from gymnasium import spaces

from imitate.errors import ConfigError
from imitate.spec import ArraySpec

ALONE = "observation"
UNBOUNDED = 1e30
"""Older spaces write the largest float where they mean no bound."""

Space = spaces.Space[Any]


@dataclass(frozen=True)
class Leaf:
    """One array of an observation: `path` leads to it through dictionaries and tuples."""

    name: str
    path: tuple[Any, ...]
    spec: ArraySpec

    def of(self, observation: Any) -> np.ndarray:
        """The array (a copy) in an observation of the environment."""
        value = observation
        for key in self.path:
            value = value[key]
        if self.spec.is_image:
            picture = np.asarray(value, np.uint8)
            return np.array(np.broadcast_to(picture.reshape(*picture.shape[:2], -1), self.spec.shape))
        return np.array(value, np.float32).reshape(self.spec.shape)


def observation_leaves(space: Space, where: str) -> tuple[Leaf, ...]:
    """Every array of an observation space, in its order; raises ConfigError for a kind that is none above."""
    return tuple(
        Leaf(_plain(".".join(map(_key, path))) or ALONE, path, _spec(part, where))
        for path, part in _walk(space, ())
    )


def action_spec(space: Space, where: str) -> ArraySpec:
    """The action (Da,) of an action space; raises ConfigError for Dict, Tuple and the like."""
    spec = _spec(space, where)
    if spec.is_image:
        raise ConfigError(f"{where}: the action is an image {spec.shape}, expected a vector")
    return ArraySpec((spec.size,), low=spec.low, high=spec.high)


def to_action(values: np.ndarray, space: Space) -> Any:
    """The vector (Da,) as an element of `space`; whole numbers are the nearest ones."""
    if isinstance(space, spaces.Discrete):
        return int(np.rint(values[0]))
    shape = space.shape or ()
    if np.issubdtype(np.dtype(space.dtype or float), np.floating):
        return values.reshape(shape).astype(space.dtype)
    return np.rint(values).reshape(shape).astype(space.dtype)


def _walk(space: Space, path: tuple[Any, ...]) -> Iterator[tuple[tuple[Any, ...], Space]]:
    if isinstance(space, spaces.Dict | spaces.Tuple):
        parts = space.spaces.items() if isinstance(space, spaces.Dict) else enumerate(space.spaces)
        for key, part in parts:
            yield from _walk(part, (*path, key))
    else:
        yield path, space


def _key(key: Any) -> str:
    return f"_index_{key}" if isinstance(key, int) else str(key)


def _plain(name: str) -> str:
    """As the reader of Minari data sets names it."""
    name = re.sub(r"[^A-Za-z0-9_.\-]", "_", name).lstrip(".-")
    return "action_" if name == "action" else name


def _spec(space: Space, where: str) -> ArraySpec:
    if isinstance(space, spaces.Box):
        return _box(space, where)
    if isinstance(space, spaces.Discrete):
        start = float(space.start)
        return ArraySpec((1,), low=(start,), high=(start + float(space.n) - 1,))
    if isinstance(space, spaces.MultiDiscrete):
        start_of = np.asarray(space.start, np.float64)
        return _bounded(start_of.shape, start_of, start_of + space.nvec - 1)
    if isinstance(space, spaces.MultiBinary):
        return _bounded(space.shape, np.zeros(space.shape), np.ones(space.shape))
    raise ConfigError(
        f"{where} has a space {type(space).__name__}, expected Box, Discrete, MultiDiscrete or MultiBinary "
        f"(observations: also Dict and Tuple of these)"
    )


def _box(space: spaces.Box, where: str) -> ArraySpec:
    if space.dtype == np.uint8 and len(space.shape) > 1:
        grey = space.shape if len(space.shape) == 2 else space.shape[:2]
        if space.shape in (grey, (*grey, 1), (*grey, 3)):
            return ArraySpec((*grey, 3), "uint8")
        raise ConfigError(
            f"{where} has pictures {space.shape}, expected (height, width), with 1 or 3 channels behind"
        )
    return _bounded(space.shape, np.asarray(space.low, np.float64), np.asarray(space.high, np.float64))


def _bounded(shape: tuple[int, ...], low: np.ndarray, high: np.ndarray) -> ArraySpec:
    spec = ArraySpec(shape or (1,))
    if not (np.abs([low, high]) < UNBOUNDED).all():
        return spec
    return ArraySpec(spec.shape, low=tuple(low.ravel().tolist()), high=tuple(high.ravel().tolist()))
