"""From one setpoint per control step to a smooth course through them."""

import numpy as np


def slopes(times_s: np.ndarray, points: np.ndarray, start: np.ndarray) -> np.ndarray:
    """Velocities (n, D) at `points` (n, D) for a cubic course that overshoots none but perhaps the first.

    Fritsch and Carlson 1980 in the form of Fritsch and Butland 1984: the weighted harmonic mean of the slopes
    on both sides, 0 where they differ in sign. `start` (D,) is the velocity at the first point, where the
    robot may be moving; the last one is 0, so that a course that is not continued ends at rest.
    """
    found = np.zeros_like(points)
    found[0] = start
    if len(points) < 3:
        return found
    width = np.diff(times_s)[:, None]
    chord = np.diff(points, axis=0) / width
    before, after = chord[:-1], chord[1:]
    same = before * after > 0
    w1, w2 = 2 * width[1:] + width[:-1], width[1:] + 2 * width[:-1]
    safe_before, safe_after = np.where(same, before, 1.0), np.where(same, after, 1.0)
    # Next to a course that all but stands still the mean is 0, which is what infinity gives.
    with np.errstate(over="ignore"):
        found[1:-1] = np.where(same, (w1 + w2) / (w1 / safe_before + w2 / safe_after), 0.0)
    return found


def evaluate(
    times_s: np.ndarray, points: np.ndarray, velocities: np.ndarray, at_s: float
) -> tuple[np.ndarray, np.ndarray]:
    """Position (D,) and velocity (D,) at `at_s` of the cubic Hermite course; constant outside of it."""
    if at_s <= times_s[0]:
        return points[0], velocities[0]
    if at_s >= times_s[-1]:
        return points[-1], np.zeros_like(points[-1])
    i = int(np.searchsorted(times_s, at_s, side="right")) - 1
    width = times_s[i + 1] - times_s[i]
    u = (at_s - times_s[i]) / width
    p0, p1, m0, m1 = points[i], points[i + 1], width * velocities[i], width * velocities[i + 1]
    position = (
        (1 + 2 * u) * (1 - u) ** 2 * p0
        + u * (1 - u) ** 2 * m0
        + u**2 * (3 - 2 * u) * p1
        + u**2 * (u - 1) * m1
    )
    velocity = (6 * u * (u - 1) * (p0 - p1) + (1 - 4 * u + 3 * u**2) * m0 + (3 * u**2 - 2 * u) * m1) / width
    return position, velocity
