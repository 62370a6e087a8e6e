"""By how many steps the action of one episode is shifted against its state, told by a model of the servos.

The cross-correlation of one episode peaks where the way it moves happens to put the peak: of an arm that
follows slowly it varies by a step or two without any fault. A model of the servo does not: the state's next
change depends on the action d steps ago, on where the state is, and on its last change (an autoregressive
model with exogenous input, Ljung, System Identification, 1999, section 4.2). It is fitted to the set, and an
episode is shifted by as much as makes the model err least in it.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

EXPLAINED = 0.1
"""Share of the state's change, of what its past leaves open, that the action must explain in the set."""
CLEARER = 0.05
"""Mean logarithm of the squared error by which an episode must rather be shifted than not."""
FEWEST_STEPS = 8
FLOOR = 1e-3
"""Of the error in the set: what is exact in simulation need not be more so."""


@dataclass(frozen=True)
class Servo:
    """Column `state` follows column `action` of `lag` steps ago.

    weights: (4,) of that action, of the state, of its last change, and a constant. error: mean square.
    """

    action: int
    state: int
    lag: int
    weights: np.ndarray
    error: float

    def curve(self, values: np.ndarray, reach: int) -> np.ndarray:
        """(2 reach + 1,) mean squared errors in (T, C), its action later by -reach to reach; NaN: few."""
        past, change = _known(values, self.state)
        asked = _earlier(values[:, self.action], self.lag - reach, self.lag + reach)
        left = (change - past @ self.weights[1:])[:, None] - self.weights[0] * asked
        known = np.isfinite(left)
        total = np.where(known, left, 0.0) ** 2
        enough = known.sum(axis=0) >= FEWEST_STEPS
        return np.where(enough, total.sum(axis=0) / known.sum(axis=0).clip(1), np.nan)


def servos(episodes: Sequence[np.ndarray], pairs: Sequence[tuple[int, int]], reach: int) -> list[Servo]:
    """Models, fitted to `episodes` (T, C), of the pairs of columns (action, state) where the action tells.

    Fitted twice: the second time without the episodes that the first models find shifted.
    """
    first = [one for one in (_fitted(episodes, *pair, reach) for pair in pairs) if one]
    shifts = np.array([shift(values, first, reach) for values in episodes]) if first else np.zeros(0)
    usual = [values for values, by in zip(episodes, shifts, strict=False) if by == np.median(shifts)]
    if len(usual) in (0, len(episodes)):
        return first
    return [one for one in (_fitted(usual, *pair, reach) for pair in pairs) if one]


def shift(values: np.ndarray, models: Sequence[Servo], reach: int) -> float:
    """By how many steps the state of one episode (T, C) follows later than usual; 0 where that is unclear."""
    # The logarithm leaves each model its own size of error in this episode.
    curves = [np.log(model.curve(values, reach) + FLOOR * model.error) for model in models]
    curve = np.mean(curves, axis=0)
    best = int(np.argmin(np.nan_to_num(curve, nan=np.inf)))
    return float(best - reach) if curve[reach] - curve[best] >= CLEARER else 0.0


def _fitted(episodes: Sequence[np.ndarray], action: int, state: int, reach: int) -> Servo | None:
    parts = [_known(values, state) for values in episodes]
    past, change = np.concatenate([one for one, _ in parts]), np.concatenate([one for _, one in parts])
    asked = np.concatenate([_earlier(values[:, action], -reach, reach) for values in episodes])
    fits = [_fit(asked[:, i], past, change) for i in range(2 * reach + 1)]
    best = int(np.argmin([left for _, _, left in fits]))
    weights, error, left = fits[best]
    # At the farthest lag nothing says that a farther one would not be better.
    if left > 1.0 - EXPLAINED or best in (0, 2 * reach):
        return None
    return Servo(action, state, best - reach, weights, error)


def _fit(asked: np.ndarray, past: np.ndarray, change: np.ndarray) -> tuple[np.ndarray, float, float]:
    """Weights, mean squared error, and the share of it that is left of the error without the action."""
    known = np.isfinite(asked)
    both, change = np.column_stack([asked, past])[known], change[known]
    weights, error = _least_squares(both, change)
    without = _least_squares(both[:, 1:], change)[1]
    return weights, error, error / without if without > 0 else 1.0


def _least_squares(inputs: np.ndarray, output: np.ndarray) -> tuple[np.ndarray, float]:
    if len(output) <= inputs.shape[1]:
        return np.zeros(inputs.shape[1]), 0.0
    # By the normal equations, which are much quicker than the inputs themselves, and exact enough here.
    weights = np.linalg.lstsq(inputs.T @ inputs, inputs.T @ output, rcond=None)[0]
    return weights, float(np.mean((inputs @ weights - output) ** 2))


def _known(values: np.ndarray, state: int) -> tuple[np.ndarray, np.ndarray]:
    """For t from 1 to T - 2: state, last change and 1, (T - 2, 3), and the change to t + 1, (T - 2,)."""
    change = np.diff(values[:, state])
    return np.stack([values[1:-1, state], change[:-1], np.ones(len(change) - 1)], axis=1), change[1:]


def _earlier(column: np.ndarray, first: int, last: int) -> np.ndarray:
    """(T - 2, last - first + 1) of a column (T,): what it was `first` to `last` steps before t.

    t is from 1 to T - 2; NaN before its start and after its end.
    """
    padded = np.pad(column, (max(0, last), max(0, -first)), constant_values=np.nan)
    windows = sliding_window_view(padded, last - first + 1)[:, ::-1]
    start = 1 + max(0, last) - last
    return np.asarray(windows[start : start + len(column) - 2])
