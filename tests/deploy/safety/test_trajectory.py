"""Trajectories as a controller follows them: checked between points too, and given time where needed."""

import math

import numpy as np
import pytest

from imitate.deploy.command import Command
from imitate.deploy.safety.bounds import AxisBounds, GroupBounds
from imitate.deploy.safety.course import Course
from imitate.deploy.safety.filters import RefusedError
from imitate.deploy.safety.joints import Measured
from imitate.deploy.safety.trajectory import TrajectoryFilter

AXIS = AxisBounds.make(-2.0, 2.0, 1.0, 5.0, math.inf, 0.01, 0.0)
TIMES = np.arange(1, 11) * 0.1


def gate() -> TrajectoryFilter:
    bounds = GroupBounds("joint_position", ("a",), 1, (AXIS,), is_trajectory=True)
    return TrajectoryFilter(bounds, (AXIS,), 0.3, 0.01)


def trajectory(values: np.ndarray, velocities: np.ndarray | None, times: np.ndarray = TIMES) -> Command:
    columns = None if velocities is None else velocities[:, None]
    return Command("arm", "joint_position", ("a",), values[:, None], times, 0.0, 1, columns)


def smooth(distance: float) -> tuple[np.ndarray, np.ndarray]:
    """From rest to rest in 1 s, with a peak of 1.5 times the mean velocity: 3 u² - 2 u³."""
    u = TIMES
    return distance * (3 * u**2 - 2 * u**3), distance * 6 * (u - u**2)


def at(time_s: float, position: float = 0.0) -> Measured:
    return Measured([position], time_s, 0.0)


def test_a_trajectory_within_the_limits_passes_unchanged() -> None:
    values, velocities = smooth(0.5)
    sent, findings = gate().limit(trajectory(values, velocities), at(0.0), True)
    assert findings == []
    assert np.array_equal(sent.values[:, 0], values)
    assert np.allclose(sent.times_s, TIMES)
    assert np.allclose(sent.velocities[:, 0], velocities)


def test_one_that_is_too_fast_takes_longer_on_the_same_way() -> None:
    values, velocities = smooth(1.2)
    sent, findings = gate().limit(trajectory(values, velocities), at(0.0), True)
    assert findings[0][0] == "velocity"
    assert np.array_equal(sent.values[:, 0], values)
    assert 1.8 <= sent.times_s[-1] <= 2.5
    assert np.abs(sent.velocities).max() <= 1.0


def test_one_that_no_time_mends_is_refused() -> None:
    values, velocities = smooth(1.9)
    with pytest.raises(RefusedError, match="too fast"):
        gate().limit(trajectory(values, velocities, TIMES / 10), at(0.0), True)


def test_points_outside_are_moved_inside_and_stand_still_there() -> None:
    values, velocities = np.array([0.1, 3.0]), np.array([0.1, 0.0])
    sent, findings = gate().limit(trajectory(values, velocities, np.array([1.0, 4.0])), at(0.0), True)
    assert findings[0] == ("position", "1 of 2 points")
    assert sent.values[-1, 0] == 2.0


def test_a_cubic_that_swings_beyond_a_limit_between_two_points_is_seen() -> None:
    values, velocities = np.array([1.9, 1.9]), np.array([0.9, 0.0])
    with pytest.raises(RefusedError, match="position"):
        gate().limit(trajectory(values, velocities, np.array([3.0, 5.0])), at(0.0, 1.0), True)


def test_positions_alone_are_checked_as_straight_lines() -> None:
    values = np.linspace(0.09, 0.9, 10)
    sent, findings = gate().limit(trajectory(values, None), at(0.0), True)
    assert sent.velocities is None
    assert findings[0][0] == "acceleration"
    chords = np.diff(np.concatenate([[0.0], sent.values[:, 0]])) / np.diff(
        np.concatenate([[0.0], sent.times_s])
    )
    assert np.abs(chords).max() <= 1.0


def test_the_last_velocity_becomes_0() -> None:
    sent, findings = gate().limit(
        trajectory(np.array([0.1]), np.array([0.2]), np.array([1.0])), at(0.0), True
    )
    assert findings[0][0] == "end"
    assert sent.velocities[-1, 0] == 0.0


@pytest.mark.parametrize("times", [[0.2, 0.1], [0.1, 0.1], [-0.1, 0.1]])
def test_times_must_rise(times) -> None:
    with pytest.raises(RefusedError, match="rise"):
        gate().limit(trajectory(np.zeros(2), None, np.array(times)), at(0.0), True)


def test_a_robot_that_is_not_on_its_trajectory_is_stopped() -> None:
    judged, (values, velocities) = gate(), smooth(0.6)
    judged.limit(trajectory(values, velocities), at(0.0), True)
    with pytest.raises(RefusedError, match="jump"):
        judged.limit(trajectory(values, velocities), at(0.7), False)


def test_a_hold_brakes_along_the_way_and_then_stays() -> None:
    judged, (values, velocities) = gate(), smooth(0.6)
    judged.limit(trajectory(values, velocities), at(0.0), True)
    sent = judged.stop(0.5)
    here, moving = 0.3, 0.9
    assert sent.values[-1, 0] == pytest.approx(here + moving**2 / 2 / 5.0, abs=0.01)
    assert sent.velocities[-1, 0] == 0.0
    course = Course(
        np.concatenate([[0.0], sent.times_s]),
        np.vstack([[here], sent.values]),
        np.vstack([[moving], sent.velocities]),
    )
    assert np.abs(course.accelerations()).max() <= 5.0 * (1 + 1e-6)
    assert not judged.is_still
    rest = judged.stop(5.0)
    assert judged.is_still
    assert rest.values.tolist() == [sent.values[-1].tolist()]


def test_a_new_trajectory_goes_on_from_the_velocity_of_the_old_one() -> None:
    judged, (values, velocities) = gate(), smooth(0.6)
    judged.limit(trajectory(values, velocities), at(0.0), True)
    sent, _ = judged.limit(
        trajectory(np.array([0.0]), np.array([0.0]), np.array([0.05])), at(0.5, 0.3), False
    )
    assert sent.times_s[0] > 0.3, "turning round from 0.9 m/s at 5 m/s² takes time"


def test_a_course_knows_where_it_is() -> None:
    values, velocities = smooth(1.0)
    zero = np.zeros((1, 1))
    course = Course(
        np.concatenate([[0.0], TIMES]),
        np.vstack([zero, values[:, None]]),
        np.vstack([zero, velocities[:, None]]),
    )
    for u in np.linspace(0, 1, 23):
        place, speed = course.at(u)
        assert place[0] == pytest.approx(3 * u**2 - 2 * u**3)
        assert speed[0] == pytest.approx(6 * (u - u**2), abs=1e-9)
    assert np.abs(course.peak_velocities()).max() == pytest.approx(1.5)
    assert np.abs(course.accelerations()).max() == pytest.approx(6.0)
    assert np.abs(course.jerks()).max() == pytest.approx(12.0)
