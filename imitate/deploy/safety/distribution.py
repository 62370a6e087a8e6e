"""Whether the policy sees what it was trained on: the distance to the nearest training observation.

Nearest-neighbour distance as a novelty score, with the threshold taken from episodes that were not trained
on (Pimentel et al. 2014, A review of novelty detection, section 3): a share of `quantile` of what is known
to be ordinary lies below it.
"""

from dataclasses import dataclass
from typing import Literal

import numpy as np

from imitate.errors import ConfigError, DataError

STILLEST = 0.05
"""The least spread of an element, in that of the median one."""

Action = Literal["none", "warn", "slow", "hold"]


@dataclass(frozen=True)
class DistributionConfig:
    """mode: what follows unfamiliar observations.

    quantile: of the held-out distances, below which observations are familiar. consecutive: how many
    unfamiliar ones in a row count. slow: the share of the speed that is left in mode "slow".
    """

    mode: Literal["warn", "slow", "hold"] = "warn"
    quantile: float = 0.99
    consecutive: int = 3
    slow: float = 0.5

    def __post_init__(self) -> None:
        if self.mode not in ("warn", "slow", "hold"):
            raise ConfigError(f"distribution.mode is {self.mode!r}, expected warn, slow or hold")
        if not 0 < self.quantile < 1:
            raise ConfigError(f"distribution.quantile is {self.quantile}, expected between 0 and 1")
        if self.consecutive < 1:
            raise ConfigError(f"distribution.consecutive is {self.consecutive}, expected at least 1")
        if not 0 < self.slow < 1:
            raise ConfigError(f"distribution.slow is {self.slow}, expected between 0 and 1")


@dataclass(frozen=True)
class Familiarity:
    """One observation's distance and the threshold, in standard deviations of the training data.

    outside: whether this one lies above it. action: what to do, once enough in a row did. scale: the share
    of the speed that is left.
    """

    distance: float
    threshold: float
    outside: bool
    action: Action = "none"
    scale: float = 1.0


class DistributionGate:
    """Compares flattened observations (D,) with those of the training data.

    train: (n, D), a few thousand at most. held_out: (m, D) of episodes that are not in `train`. Elements
    count in units of their own spread; those that never change in training in that of the median element,
    and those that hardly change in STILLEST of it. Raises DataError where
    the arrays are empty, not finite, or do not fit each other.
    """

    def __init__(
        self, train: np.ndarray, held_out: np.ndarray, config: DistributionConfig | None = None
    ) -> None:
        self._config = config or DistributionConfig()
        train, held_out = _checked("train", train), _checked("held_out", held_out)
        if train.shape[1] != held_out.shape[1]:
            raise DataError(
                f"distribution: train has {train.shape[1]} elements per observation, "
                f"held_out {held_out.shape[1]}"
            )
        self._mean, self._scale = train.mean(axis=0), _spread(train)
        # [-2 x, x²] times [y, 1], plus y², is the squared distance of x and y: one product per query.
        points = (train - self._mean) / self._scale
        self._rows = np.hstack([-2 * points, np.square(points).sum(axis=1, keepdims=True)])
        self._query = np.ones(train.shape[1] + 1)
        distances = np.array([self._distance(row) for row in held_out])
        self.threshold = float(np.quantile(distances, self._config.quantile))
        self._in_a_row = 0

    def check(self, observation: np.ndarray) -> Familiarity:
        """Judge one observation (D,); one that is not finite, or not of that size, is as far as can be."""
        config, distance = self._config, np.inf
        if observation.shape == self._mean.shape and np.isfinite(observation).all():
            distance = self._distance(observation)
        outside = distance > self.threshold
        self._in_a_row = self._in_a_row + 1 if outside else 0
        if self._in_a_row < config.consecutive:
            return Familiarity(distance, self.threshold, outside)
        scale = {"warn": 1.0, "slow": config.slow, "hold": 0.0}[config.mode]
        return Familiarity(distance, self.threshold, outside, config.mode, scale)

    def reset(self) -> None:
        """Start counting anew, as at the start of an episode."""
        self._in_a_row = 0

    def _distance(self, observation: np.ndarray) -> float:
        query = self._query
        np.subtract(observation, self._mean, out=query[:-1])
        query[:-1] /= self._scale
        squared = (self._rows @ query).min() + query[:-1] @ query[:-1]
        return float(np.sqrt(max(0.0, squared)))


def _checked(name: str, array: np.ndarray) -> np.ndarray:
    if array.ndim != 2 or not array.size:
        raise DataError(f"distribution: {name} has shape {array.shape}, expected (n, D) and not empty")
    if not np.isfinite(array).all():
        raise DataError(f"distribution: {name} is not finite everywhere")
    return np.asarray(array, np.float64)


def _spread(train: np.ndarray) -> np.ndarray:
    """Standard deviations (D,), none below STILLEST of the usual one, and 1 where nothing ever changes."""
    spread = train.std(axis=0)
    changing = spread[spread > 1e-9]
    usual = float(np.median(changing)) if len(changing) else 1.0
    # A joint that only trembled in training is not a thousand times out of place where it moves a little.
    return np.where(spread > 1e-9, np.maximum(spread, STILLEST * usual), usual)
