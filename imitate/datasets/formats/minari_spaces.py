"""Gymnasium spaces as Minari writes them down: JSON with a type, a shape and bounds.

https://minari.farama.org/main/content/dataset_standards/ (sections on supported spaces and image encoding)
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from imitate.errors import SpecError
from imitate.types import ArraySpec

# Minari keeps images of at least this many pixels a side as JPEG.
SMALLEST_JPEG = 32
DEEPEST = 8


@dataclass(frozen=True)
class Leaf:
    """One array of a space: its type as written, shape, and bounds (None where it has none)."""

    type: str
    shape: tuple[int, ...] = ()
    low: np.ndarray | None = None
    high: np.ndarray | None = None

    @property
    def may_be_jpeg(self) -> bool:
        """Whether Minari (since 0.5.4) keeps arrays of this space as JPEG files."""
        large = len(self.shape) in (2, 3) and min(self.shape[:2]) >= SMALLEST_JPEG
        return self.type == "box uint8" and large

    def bounded(self, spec: ArraySpec) -> ArraySpec:
        """`spec` with the bounds of this space, where it is a vector and they are finite."""
        if self.low is None or self.high is None or len(spec.shape) != 1:
            return spec
        low, high = self.low.ravel(), self.high.ravel()
        if low.size != spec.size or high.size != spec.size or not np.isfinite([low, high]).all():
            return spec
        return replace(spec, low=tuple(low.tolist()), high=tuple(high.tolist()))


def leaf_spaces(space: Any, name: str = "", depth: int = 0) -> Iterator[tuple[str, Leaf]]:
    """(name, leaf) of every array of a space in its order; names of nested ones are outer.inner.

    Raises SpecError for what is no space.
    """
    if not isinstance(space, dict) or not isinstance(space.get("type"), str) or depth > DEEPEST:
        raise SpecError(f"a space is {str(space)[:60]!r}, expected JSON with a type")
    kind, inner = space["type"].lower(), space.get("subspaces")
    if kind == "dict" and isinstance(inner, dict):
        parts = list(inner.items())
    elif kind == "tuple" and isinstance(inner, list):
        parts = [(f"_index_{index}", part) for index, part in enumerate(inner)]
    else:
        yield name, _leaf(kind, space)
        return
    for key, part in parts:
        yield from leaf_spaces(part, f"{name}.{key}" if name else key, depth + 1)


def _leaf(kind: str, space: dict[str, Any]) -> Leaf:
    shape = space.get("shape", ())
    if not isinstance(shape, list | tuple) or not all(isinstance(size, int) and size >= 0 for size in shape):
        raise SpecError(f"a space has shape {str(shape)[:60]}, expected whole numbers")
    try:
        low, high = _bounds(kind, space)
    except (KeyError, TypeError, ValueError) as error:
        raise SpecError(f"a {kind} space has bounds that are no numbers ({error})") from error
    if kind != "box":
        return Leaf(kind, tuple(shape), low, high)
    if low is not None and low.size not in (1, math.prod(shape)):
        raise SpecError(f"a box space has {low.size} bounds, expected {math.prod(shape)}")
    return Leaf(f"box {space.get('dtype', '')}", tuple(shape), low, high)


def _bounds(kind: str, space: dict[str, Any]) -> tuple[np.ndarray | None, np.ndarray | None]:
    if kind == "box":
        low, high = (np.asarray(space[side], np.float64) for side in ("low", "high"))
    elif kind == "discrete":
        low = np.asarray([space.get("start", 0)], np.float64)
        high = low + float(space["n"]) - 1
    elif kind == "multidiscrete":
        high = np.asarray(space["nvec"], np.float64) - 1
        low = np.asarray(space.get("start", np.zeros_like(high)), np.float64)
        high = high + low
    else:
        return None, None
    return low, high
