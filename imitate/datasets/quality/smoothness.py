"""How smooth a recorded signal is."""

import numpy as np


def mean_squared_jerk(values: np.ndarray, rate_hz: float | None = None) -> np.ndarray:
    """Mean squared third derivative of `values` (T, D) per dimension, (D,) in (unit / s³)².

    The quantity that human reaching movements minimise (Flash & Hogan, J. Neuroscience 5, 1985). It is
    taken by finite differences, so noise of standard deviation s adds 20 s² rate⁶. Without a rate, time
    counts in steps. NaN for fewer than four steps.
    """
    if len(values) < 4:
        return np.full(values.shape[1], np.nan)
    jerk = np.diff(values.astype(np.float64), n=3, axis=0) * (rate_hz or 1.0) ** 3
    return np.mean(jerk**2, axis=0)
