"""Commands as messages: the layout of each form, and what is refused before it is sent."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from imitate.deploy import messages
from imitate.deploy.command import Command
from imitate.deploy.description import Target
from imitate.errors import RobotError

JOINTS = ("a", "b")


def command(
    kind: str, names: tuple[str, ...], values: object, times: object = (0.0,), **more: object
) -> Command:
    array = np.array(values, np.float64)
    return Command("arm", kind, names, array, np.array(times, np.float64), 0.0, 7, **more)  # type: ignore[arg-type]


def target(kind: str, form: str, names: tuple[str, ...] = JOINTS, **more: object) -> Target:
    action = tuple(f"u{i}" for i in range(7 if kind == "pose" else len(names)))
    return Target(kind, "/topic", action, form, names, **more)  # type: ignore[arg-type]


@given(st.floats(0, 4e9))
def test_a_stamp_keeps_a_time_to_the_nanosecond(time_s: float) -> None:
    stamp = messages.stamp(time_s)
    assert 0 <= stamp["nanosec"] < 1_000_000_000
    assert stamp["sec"] + stamp["nanosec"] * 1e-9 == pytest.approx(time_s, abs=1e-6)


def test_a_zero_or_missing_stamp_is_no_time() -> None:
    assert messages.seconds(messages.header(0.0)) is None
    assert messages.seconds(None) is None
    assert messages.seconds({"stamp": {"sec": None, "nanosec": 0}}) is None
    assert messages.seconds(messages.header(12.5)) == 12.5


@pytest.mark.parametrize(
    "sec", [float("nan"), float("inf"), -3, 10**400, "7", [1, 2], np.array([1.0, 2.0]), None]
)
def test_a_stamp_that_is_nonsense_is_no_time(sec: object) -> None:
    assert messages.seconds({"stamp": {"sec": sec, "nanosec": 0}}) is None


def test_values_are_a_multi_array() -> None:
    message = messages.message_of(
        command("joint_position", JOINTS, [[1, 2]]), target("joint_position", "values"), 9
    )
    assert message["data"].tolist() == [1, 2]
    assert message["layout"] == {"dim": [], "data_offset": 0}


def test_a_trajectory_starts_now_and_has_positions_velocities_and_times() -> None:
    velocities = np.array([[5.0, 6.0], [0.0, 0.0]])
    made = command("joint_position", JOINTS, [[1, 2], [3, 4]], (0.1, 0.25), velocities=velocities)
    message = messages.message_of(made, target("joint_position", "trajectory"), 99.0)
    assert message["header"]["stamp"] == {"sec": 0, "nanosec": 0}
    assert message["joint_names"] == ["a", "b"]
    first, last = message["points"]
    assert first["positions"].tolist() == [1, 2]
    assert first["velocities"].tolist() == [5, 6]
    assert first["time_from_start"] == {"sec": 0, "nanosec": 100_000_000}
    assert last["time_from_start"] == {"sec": 0, "nanosec": 250_000_000}
    assert not len(first["accelerations"])


def test_a_twist_is_stamped_and_zero_where_nothing_is_named() -> None:
    made = command("twist", ("z", "yaw"), [[0.1, -0.2]])
    message = messages.message_of(made, target("twist", "twist", ("z", "yaw"), frame="base"), 12.5)
    assert message["header"] == {"stamp": {"sec": 12, "nanosec": 500_000_000}, "frame_id": "base"}
    assert message["twist"]["linear"] == {"x": 0, "y": 0, "z": 0.1}
    assert message["twist"]["angular"] == {"x": 0, "y": 0, "z": -0.2}


def test_jog_pose_and_gripper_goal() -> None:
    jog = messages.message_of(
        command("joint_velocity", JOINTS, [[1, 2]]), target("joint_velocity", "joint_jog"), 1.0
    )
    assert jog["velocities"].tolist() == [1, 2]
    assert jog["header"]["stamp"]["sec"] == 1
    pose = messages.message_of(command("pose", (), [[1, 2, 3, 0, 0, 0, 1]]), target("pose", "pose", ()), 1.0)
    assert pose["pose"]["position"] == {"x": 1, "y": 2, "z": 3}
    assert pose["pose"]["orientation"] == {"x": 0, "y": 0, "z": 0, "w": 1}
    grip = target("gripper", "gripper_command", ("g",), max_effort=15.0)
    goal = messages.message_of(command("gripper", ("g",), [[0.04]]), grip, 1.0)
    assert goal == {"command": {"position": 0.04, "max_effort": 15.0}}


GOOD = command("joint_position", JOINTS, [[1, 2], [3, 4]], (0.1, 0.2))


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"values": np.array([[1, np.nan], [3, 4]])}, "not finite"),
        ({"values": np.array([[1, np.inf], [3, 4]])}, "not finite"),
        ({"velocities": np.array([[0, 0], [0, np.nan]])}, "not finite"),
        ({"velocities": np.zeros((1, 2))}, "velocities"),
        ({"values": np.zeros((2, 3))}, "shape"),
        ({"values": np.zeros(2)}, "shape"),
        ({"values": np.zeros((0, 2)), "times_s": np.zeros(0)}, "shape"),
        ({"times_s": np.array([0.1])}, "shape"),
        ({"times_s": np.array([0.2, 0.1])}, "rising"),
        ({"times_s": np.array([0.1, 0.1])}, "rising"),
        ({"times_s": np.array([-0.1, 0.1])}, "rising"),
        ({"times_s": np.array([0.1, np.inf])}, "not finite"),
        ({"names": ("b", "a")}, "expected"),
        ({"kind": "joint_velocity"}, "expected joint_position"),
    ],
)
def test_what_a_robot_would_drop_or_misread_is_refused_here(change: dict[str, object], expected: str) -> None:
    messages.message_of(GOOD, target("joint_position", "trajectory"), 1.0)
    with pytest.raises(RobotError, match=expected):
        messages.message_of(replace(GOOD, **change), target("joint_position", "trajectory"), 1.0)  # type: ignore[arg-type]


def test_a_streamed_form_takes_one_point() -> None:
    with pytest.raises(RobotError, match="2 points"):
        messages.message_of(GOOD, target("joint_position", "values"), 1.0)
