"""Tools in closed loop: a real plant follows the twists and poses that the gate lets through."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from imitate.deploy.command import Command
from imitate.deploy.safety.bounds import GroupBounds
from imitate.deploy.safety.by_kind import JumpLimits, ToolLimits
from imitate.deploy.safety.filters import RefusedError
from imitate.deploy.safety.joints import Measured
from imitate.deploy.safety.pose import PoseFilter
from imitate.deploy.safety.rotation import times, turn_between, turned, unit
from imitate.deploy.safety.tool import TwistFilter
from imitate.deploy.safety.vectors import stopping_inside

LIMITS = ToolLimits((-0.3, -0.3, 0.0), (0.3, 0.3, 0.6), 0.5, 2.0, 1.0, 5.0, 0.02, 0.05)
AXES = ("x", "y", "z", "roll", "pitch", "yaw")
H = 0.01


def twist_filter(names: tuple[str, ...] = AXES) -> TwistFilter:
    return TwistFilter(GroupBounds("twist", names, len(names), tool=LIMITS), LIMITS, JumpLimits(), H)


def twist(values: list[float], names: tuple[str, ...] = AXES) -> Command:
    return Command("tool", "twist", names, np.array([values], float), np.zeros(1), 0.0, 1)


def pose(values: list[float]) -> Command:
    return Command("tool", "pose", (), np.array([values], float), np.zeros(1), 0.0, 1)


@settings(max_examples=25)
@given(st.lists(st.tuples(*[st.floats(-5, 5)] * 3), min_size=1, max_size=20), st.integers(1, 40))
def test_a_tool_never_leaves_its_workspace(twists, ticks: int) -> None:
    gate, place = twist_filter(), np.array([0.0, 0.0, 0.3])
    for k in range(len(twists) * ticks):
        state = Measured([*place.tolist(), 0.0, 0.0, 0.0, 1.0], k * H, 0.0)
        sent, _ = gate.limit(twist([*twists[k // ticks], 0, 0, 0]), state, k == 0)
        place = place + sent.values[0, :3] * H
        assert np.all(place >= np.array(LIMITS.low) - 1e-8)
        assert np.all(place <= np.array(LIMITS.high) + 1e-8)


def test_speeds_are_limited_by_length_and_keep_their_direction() -> None:
    gate = twist_filter()
    state = Measured([0.0, 0.0, 0.3, 0.0, 0.0, 0.0, 1.0], 0.0, 0.0)
    for k in range(60):
        sent, findings = gate.limit(twist([3.0, 4.0, 0.0, 0.0, 3.0, 0.0]), state, k == 0)
    assert sent.values[0] == pytest.approx([0.3, 0.4, 0.0, 0.0, 1.0, 0.0])
    assert {rule for rule, _ in findings} == {"speed", "turn"}


def test_a_tool_outside_of_its_workspace_may_only_come_back() -> None:
    gate = twist_filter(("x",))
    state = Measured([0.5, 0.0, 0.3, 0.0, 0.0, 0.0, 1.0], 0.0, 0.0)
    assert gate.limit(twist([0.01], ("x",)), state, True)[0].values.tolist() == [[0.0]]
    assert gate.limit(twist([-0.01], ("x",)), state, False)[0].values.tolist() == [[-0.01]]


def test_a_tool_that_is_suddenly_elsewhere_is_stopped() -> None:
    gate = twist_filter()
    gate.limit(twist([0.0] * 6), Measured([0, 0, 0.3, 0, 0, 0, 1.0], 0.0, 0.0), True)
    with pytest.raises(RefusedError, match="jump"):
        gate.limit(twist([0.0] * 6), Measured([0.2, 0, 0.3, 0, 0, 0, 1.0], H, 0.0), False)


def follow(poses: list[list[float]], ticks: int) -> np.ndarray:
    gate, here = PoseFilter(LIMITS, JumpLimits(), H), [0.0, 0.0, 0.3, 0.0, 0.0, 0.0, 1.0]
    sent = [here]
    for k in range(len(poses) * ticks):
        found, _ = gate.limit(pose(poses[k // ticks]), Measured(sent[-1], k * H, 0.0), k == 0)
        sent.append(found.values[0].tolist())
    return np.array(sent)


def test_a_far_pose_is_reached_and_not_overshot() -> None:
    half = math.sin(math.pi / 4)
    sent = follow([[0.2, -0.2, 0.5, 0.0, 0.0, half, half]], 400)
    assert sent[-1] == pytest.approx([0.2, -0.2, 0.5, 0.0, 0.0, half, half], abs=1e-9)
    assert sent[:, 0].max() <= 0.2 + 1e-3
    steps = np.linalg.norm(np.diff(sent[:, :3], axis=0), axis=1)
    assert steps.max() <= 0.5 * H + 1e-9


def circling(k: int) -> list[float]:
    """A tool that goes round and turns, speeding up from rest within the limits."""
    angle = 0.5 * (k * H) ** 2 if k < 200 else 2.0 + 2.0 * (k - 200) * H
    half = angle / 8
    return [0.1 * math.cos(angle), 0.1 * math.sin(angle), 0.3, 0.0, 0.0, math.sin(half), math.cos(half)]


def test_a_course_within_the_limits_passes_unchanged() -> None:
    gate = PoseFilter(LIMITS, JumpLimits(), H)
    for k in range(400):
        sent, findings = gate.limit(pose(circling(k)), Measured(circling(k - 1), k * H, 0.0), k == 0)
        assert findings == []
        assert sent.values[0] == pytest.approx(circling(k), abs=1e-15)


def test_a_course_that_was_left_is_joined_again() -> None:
    gate, here = PoseFilter(LIMITS, JumpLimits(), H), [0.05, 0.0, 0.3, 0.0, 0.0, 0.0, 1.0]
    for k in range(200, 700):
        sent, _ = gate.limit(pose(circling(k)), Measured(here, k * H, 0.0), k == 200)
        here = sent.values[0].tolist()
    assert here == pytest.approx(circling(699), abs=1e-9)


def test_the_shorter_way_round_is_taken() -> None:
    sent = follow([[0.0, 0.0, 0.3, 0.0, 0.0, -math.sin(0.1), -math.cos(0.1)]], 200)
    angles = 2 * np.arctan2(sent[:, 5], sent[:, 6])
    assert np.abs(np.unwrap(angles)).max() == pytest.approx(0.2, abs=1e-2)


@pytest.mark.parametrize("quaternion", [[0, 0, 0, 0], [0, 0, 0, 2.0], [1, 1, 1, 1]])
def test_what_is_no_rotation_is_refused(quaternion) -> None:
    with pytest.raises(RefusedError, match="length"):
        follow([[0.0, 0.0, 0.3, *quaternion]], 1)


directions = st.tuples(*[st.floats(-1, 1)] * 4).filter(lambda q: sum(x * x for x in q) > 0.01)


@given(directions, directions)
def test_rotations_are_those_of_another_library(a, b) -> None:
    a, b = unit(a), unit(b)
    ours, theirs = times(a, b), (Rotation.from_quat(a) * Rotation.from_quat(b)).as_quat()
    assert abs(np.dot(ours, theirs)) == pytest.approx(1.0, abs=1e-9)
    turn = turn_between(a, b)
    assert math.hypot(*turn) <= math.pi + 1e-9
    assert abs(np.dot(turned(a, turn), b)) == pytest.approx(1.0, abs=1e-9)


@given(st.floats(0.0, 0.004), st.floats(-0.3, 0.3), st.floats(-0.3, 0.3), st.floats(-0.2, -0.01))
def test_a_tool_at_a_wall_slides_along_it(above: float, x: float, y: float, down: float) -> None:
    low, high = (-1.0, -1.0, 0.014), (1.0, 1.0, 1.0)
    speed = stopping_inside((0.0, 0.0, 0.014 + above), (x, y, 0.0), (x, y, down), (low, high), 20.0, 0.01)
    assert speed[:2] == pytest.approx((x, y))
    ahead = 0.01 + math.hypot(*speed) / 40.0
    assert down - 1e-9 <= speed[2] <= 1e-12 and above + speed[2] * ahead >= -1e-8
