"""How smooth a recorded signal is."""

import numpy as np

# The settings of Balasubramanian et al. (2015) for movements of a person's arm.
MAX_CUTOFF_HZ = 10.0
MIN_AMPLITUDE = 0.05
# Zero padding to 2⁴ times the length, so that the arc is that of the spectrum and not of its sampling.
PADDING = 4


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


def speed_profile(values: np.ndarray) -> np.ndarray:
    """The length of each step of the path `values` (T, D), (T - 1,) float64 in units per step."""
    return np.linalg.norm(np.diff(values.astype(np.float64), axis=0), axis=1)


def spectral_arc_length(speed: np.ndarray, rate_hz: float | None = None) -> float:
    """SPARC of a speed profile (T,): negative, nearer to 0 where smoother; the amplitude does not matter.

    Balasubramanian, Melendez-Calderon, Roby-Brami & Burdet, "On the analysis of movement smoothness"
    (J. NeuroEngineering and Rehabilitation 12:112, 2015): the length of the curve of the normalised
    magnitude spectrum V(f) / V(0), with f / f_c on the other axis, for f from 0 to f_c. f_c is the highest
    frequency whose amplitude reaches 0.05, but at most 10 Hz. Without a rate there is no such bound. NaN for
    fewer than four steps, and where nothing moves.
    """
    if len(speed) < 4 or not np.isfinite(speed).all() or not np.any(speed > 0):
        return float("nan")
    padded = 2 ** (int(np.ceil(np.log2(len(speed)))) + PADDING)
    magnitude = np.abs(np.fft.rfft(speed.astype(np.float64), padded))
    amplitude = magnitude / magnitude[0]
    frequency = np.arange(len(amplitude)) * (rate_hz or 1.0) / padded
    below = len(amplitude) if rate_hz is None else int(np.searchsorted(frequency, MAX_CUTOFF_HZ, "right"))
    last = int(np.flatnonzero(amplitude[:below] >= MIN_AMPLITUDE)[-1])
    if last == 0:
        return float("nan")
    curve = amplitude[: last + 1]
    return -float(np.sum(np.hypot(1.0 / last, np.diff(curve))))
