"""Properties of the course between setpoints."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from imitate.deploy.spline import evaluate, slopes

POINTS = arrays(np.float64, st.tuples(st.integers(2, 7), st.just(2)), elements=st.floats(-3, 3))


@given(POINTS)
def test_it_passes_through_every_point_and_ends_at_rest(points: np.ndarray) -> None:
    times = 0.1 * np.arange(len(points))
    velocities = slopes(times, points, np.zeros(2))
    for time, point in zip(times, points, strict=True):
        assert np.allclose(evaluate(times, points, velocities, time)[0], point)
    assert np.allclose(velocities[-1], 0)
    assert np.allclose(evaluate(times, points, velocities, 99.0)[1], 0)


@given(POINTS)
def test_started_at_rest_it_overshoots_no_point(points: np.ndarray) -> None:
    times = 0.1 * np.arange(len(points))
    velocities = slopes(times, points, np.zeros(2))
    for i in range(len(points) - 1):
        low, high = np.minimum(points[i], points[i + 1]), np.maximum(points[i], points[i + 1])
        for time in np.linspace(times[i], times[i + 1], 9):
            position, _ = evaluate(times, points, velocities, time)
            assert (position >= low - 1e-9).all() and (position <= high + 1e-9).all()


@given(POINTS, st.floats(0.0, 0.6), arrays(np.float64, 2, elements=st.floats(-2, 2)))
def test_the_velocity_is_the_derivative(points: np.ndarray, at: float, start: np.ndarray) -> None:
    times = 0.1 * np.arange(len(points))
    velocities = slopes(times, points, start)
    at = min(max(at, 1e-4), times[-1] - 1e-4)
    if np.abs(times - at).min() < 1e-4:
        return
    step = 1e-6
    before, after = (evaluate(times, points, velocities, at + s)[0] for s in (-step, step))
    assert np.allclose((after - before) / (2 * step), evaluate(times, points, velocities, at)[1], atol=1e-3)
