"""What each dimension of an array does over a whole data set: range, spread, time spent at its limits."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from imitate.datasets.quality.features import CONSTANT
from imitate.types import ArraySpec

# A dimension that rests at an extreme in this share of all steps has probably met a limit.
SATURATED_SHARE = 0.05


@dataclass(frozen=True)
class DimensionRange:
    """One dimension over all finite steps, in its own unit.

    at_min, at_max: shares of steps at exactly the smallest and the largest value. distinct: number of
    different values. low, high: the declared range, None where nobody declared one.
    """

    name: str
    unit: str
    min: float
    max: float
    mean: float
    std: float
    at_min: float
    at_max: float
    distinct: int
    low: float | None = None
    high: float | None = None

    @property
    def is_constant(self) -> bool:
        """Never changes, up to rounding: it can teach nothing."""
        return self.std <= CONSTANT * max(1.0, abs(self.mean))

    @property
    def is_two_valued(self) -> bool:
        """A switch, such as an open or closed gripper."""
        return self.distinct == 2

    @property
    def is_saturated(self) -> bool:
        """Spends a noticeable share of time at an extreme, without being constant or a switch."""
        switches = self.is_constant or self.is_two_valued
        return not switches and max(self.at_min, self.at_max) >= SATURATED_SHARE

    @property
    def leaves_range(self) -> bool:
        """Goes beyond its declared range by more than rounding."""
        if self.low is None or self.high is None:
            return False
        slack = 1e-4 * (self.high - self.low)
        return self.min < self.low - slack or self.max > self.high + slack


def dimension_ranges(values: np.ndarray, spec: ArraySpec, key: str) -> list[DimensionRange]:
    """The range of every dimension of `values` (N, …); unnamed dimensions are called key[0], key[1], …

    Values that are not finite are left out; a dimension without any finite value gets NaN.
    """
    flat = values.reshape(len(values), -1)
    return [_one(flat[:, i].astype(np.float64), spec, key, i) for i in range(flat.shape[1])]


def _one(column: np.ndarray, spec: ArraySpec, key: str, i: int) -> DimensionRange:
    column = column[np.isfinite(column)]
    if not len(column):
        column = np.array([np.nan])
    return DimensionRange(
        name=spec.names[i] if spec.names else f"{key}[{i}]",
        unit=spec.units[i] if spec.units else "",
        min=float(column.min()),
        max=float(column.max()),
        mean=float(column.mean()),
        std=float(column.std()),
        at_min=float(np.mean(column == column.min())),
        at_max=float(np.mean(column == column.max())),
        distinct=len(np.unique(column)),
        low=declared_limit(spec.low, i),
        high=declared_limit(spec.high, i),
    )


def declared_limit(limits: Sequence[float], i: int) -> float | None:
    """The declared limit of element `i`; None where nobody declared one, or one without end."""
    return float(limits[i]) if limits and np.isfinite(limits[i]) else None
