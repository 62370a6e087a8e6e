"""One joint: what passes, what is slowed, and that a stop is always possible."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from imitate.deploy.safety.axis import Motion, coming_to_rest, toward_position, toward_velocity
from imitate.deploy.safety.bounds import AxisBounds


@st.composite
def axes(draw) -> AxisBounds:
    half = draw(st.floats(0.03, 10))
    jerk = draw(st.one_of(st.just(math.inf), st.floats(1, 1e4)))
    velocity, acceleration = draw(st.floats(0.1, 10)), draw(st.floats(0.3, 100))
    period = draw(st.sampled_from((0.001, 0.01, 0.02, 0.1)))
    return AxisBounds.make(-half, half, velocity, acceleration, jerk, period, 0.0)


def arm(jerk: float = math.inf, period: float = 0.01) -> AxisBounds:
    return AxisBounds.make(-3.0, 3.0, 2.0, 10.0, jerk, period, 0.0)


def driven(targets: list[float], axis: AxisBounds) -> list[Motion]:
    motions = [Motion(0.0)]
    for target in targets:
        inside = min(max(target, axis.lower), axis.upper)
        motions.append(toward_position(motions[-1], inside, axis.lower, axis.upper, axis)[0])
    return motions


def require_kept(motions: list[Motion], axis: AxisBounds) -> None:
    """From the positions alone."""
    positions = np.array([0.0, 0.0, *(m.position for m in motions)])
    assert positions.min() >= axis.lower - 1e-9
    assert positions.max() <= axis.upper + 1e-9
    rates = positions
    for most in (axis.velocity, axis.acceleration, axis.jerk):
        rates = np.diff(rates) / axis.period
        assert np.abs(rates).max() <= most * (1 + 1e-5)


@settings(max_examples=60)
@given(axes(), st.lists(st.floats(-20, 20), min_size=1, max_size=60), st.integers(1, 20))
def test_every_limit_is_kept_whatever_is_asked(axis: AxisBounds, targets, times: int) -> None:
    require_kept(driven([t for t in targets for _ in range(times)], axis), axis)


@settings(max_examples=40)
@given(axes(), st.lists(st.floats(-20, 20), min_size=1, max_size=30), st.integers(1, 20))
def test_a_stop_keeps_every_limit_and_ends(axis: AxisBounds, targets, times: int) -> None:
    motions = driven([t for t in targets for _ in range(times)], axis)
    longest = abs(motions[-1].velocity) / axis.acceleration + 4 * axis.acceleration / axis.brake_jerk
    for _ in range(int(2 * longest / axis.period) + 20):
        motions.append(coming_to_rest(motions[-1], axis.lower, axis.upper, axis))
    require_kept(motions, axis)
    assert (motions[-1].velocity, motions[-1].acceleration) == (0.0, 0.0)


@pytest.mark.parametrize("jerk", [math.inf, 100.0, 500.0])
def test_a_course_within_the_limits_passes_unchanged(jerk: float) -> None:
    axis = arm(jerk)
    course = [0.5 - 0.5 * math.cos(min(k, 300) * 0.01 * math.pi / 3) for k in range(400)]
    assert [m.position for m in driven(course, axis)[1:]] == course


JERKS = [(math.inf, 0.01), (50.0, 0.01), (100.0, 0.01), (500.0, 0.02), (math.inf, 0.1)]


@pytest.mark.parametrize(("jerk", "period"), JERKS)
def test_a_far_target_is_reached_in_good_time_and_not_overshot(jerk: float, period: float) -> None:
    axis = arm(jerk, period)
    positions = np.array([m.position for m in driven([1.0] * int(3 / period), axis)])
    fastest_s = 1.0 / 2.0 + 2.0 / 10.0 + (0.0 if math.isinf(jerk) else 10.0 / jerk)
    late = np.nonzero(positions != 1.0)[0][-1] * period
    assert positions.max() <= 1.0 + 0.004
    assert positions[-1] == 1.0
    assert late <= 1.1 * fastest_s + 0.1
    assert np.diff(positions).min() >= -0.004, "it must not turn back before it is there"


def test_a_course_that_was_left_is_joined_again() -> None:
    axis = arm(500.0)
    course = [0.3 + 0.005 * k for k in range(300)]
    motions = driven(course, axis)
    assert [m.position for m in motions[-50:]] == course[-50:]


def test_rules_name_what_was_in_the_way() -> None:
    axis, rest = arm(1000.0), Motion(0.0)
    assert toward_position(rest, 1e-4, -3, 3, axis)[1] is None
    assert toward_position(rest, 1.0, -3, 3, axis)[1] == "velocity"
    assert toward_position(rest, 0.01, -3, 3, axis)[1] == "acceleration"
    assert toward_position(Motion(0.0, 0.0, -9.0), 5e-4, -3, 3, axis)[1] == "jerk"
    assert toward_position(Motion(2.9, 1.4, 0.0, 2.9), 2.914, -3, 3, arm())[1] == "braking"


def test_velocities_end_at_a_limit_of_position() -> None:
    axis, motion = arm(200.0), Motion(2.0)
    for _ in range(400):
        motion = toward_velocity(motion, 2.0, axis.lower, axis.upper, axis)[0]
    assert 2.95 < motion.position <= 3.0
    assert abs(motion.velocity) < 0.02


@settings(max_examples=60)
@given(axes(), st.lists(st.floats(-20, 20), min_size=1, max_size=60), st.integers(1, 20))
def test_velocities_keep_every_limit(axis: AxisBounds, targets, times: int) -> None:
    motions = [Motion(0.0)]
    for target in (t for t in targets for _ in range(times)):
        motions.append(toward_velocity(motions[-1], target, axis.lower, axis.upper, axis)[0])
    require_kept(motions, axis)
