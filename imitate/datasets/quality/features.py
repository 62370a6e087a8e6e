"""The vector in which two moments of a demonstration are compared."""

from collections.abc import Callable, Mapping

import numpy as np

from imitate.datasets.quality.room import in_blocks, moments
from imitate.types import ArraySpec

# Below this spread, relative to the size of the values, float32 data is constant up to rounding.
CONSTANT = 1e-6


def state_features(obs: Mapping[str, np.ndarray], specs: Mapping[str, ArraySpec]) -> np.ndarray:
    """All state observations side by side, (T, F) float64; images are left out.

    Angles that wrap at 2π enter as sine and cosine, so that 0 and 2π are the same place.
    """
    states = {key: spec for key, spec in specs.items() if not spec.is_image}

    def rows(at: slice) -> np.ndarray:
        return np.concatenate([vector_features(obs[key][at], spec) for key, spec in states.items()], axis=1)

    return in_blocks(len(obs[next(iter(states))]), rows)


def vector_features(values: np.ndarray, spec: ArraySpec) -> np.ndarray:
    """One array (T, …) as (T, F) float64, its wrapping angles replaced by sine and cosine."""
    flat = values.reshape(len(values), -1).astype(np.float64)
    plain = [i for i in range(flat.shape[1]) if i not in spec.circular]
    angles = flat[:, list(spec.circular)]
    return np.concatenate([flat[:, plain], np.sin(angles), np.cos(angles)], axis=1)


def standardize(values: np.ndarray, fit: np.ndarray | None = None) -> np.ndarray:
    """(N, F) float64 with mean 0 and standard deviation 1 per column over the rows `fit` (N,) bool, or all.

    Columns that never change in those rows are dropped.
    """
    scaled = standardizing(values, fit)
    return in_blocks(len(values), lambda at: scaled(values[at]))


def standardizing(values: np.ndarray, fit: np.ndarray | None = None) -> Callable[[np.ndarray], np.ndarray]:
    """What `standardize` does, for any rows (n, F)."""
    mean, std = moments(values, fit)
    moving = std > CONSTANT * np.maximum(1.0, np.abs(mean))
    return lambda rows: (rows[:, moving] - mean[moving]) / std[moving]
