"""Recordings played as robots: bags of ROS 1 and 2, and sessions of our own."""

import threading
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from recorded_session import HEADER, SPEC, command, observed, record, record_steps
from rosbags.rosbag1 import Writer as Writer1
from rosbags.rosbag2 import StoragePlugin
from rosbags.rosbag2 import Writer as Writer2
from rosbags.typesys import Stores, get_typestore

from imitate.deploy.backends.replay import ReplayConfig
from imitate.deploy.backends.replay_session import SessionRobot
from imitate.deploy.backends.replay_transport import ReplayTransport
from imitate.deploy.description import JointSource, RobotDescription, Target
from imitate.deploy.robot import Robot
from imitate.deploy.ros_types import encode, encode_ros1
from imitate.deploy.safety.limits import JointLimits, Limits
from imitate.deploy.topic_robot import TopicRobot
from imitate.deploy.transport import Topic
from imitate.errors import ConfigError, RobotError
from imitate.parts import to_json

STATES = Topic("/joint_states", "sensor_msgs/msg/JointState")
BEGAN_NS = 1_700_000_000_000_000_000
PERIOD_S = 0.02
COUNT = 20


def state(count: int) -> dict[str, Any]:
    header = {"stamp": {"sec": count, "nanosec": 1}, "frame_id": "base"}
    return {"header": header, "name": ["b", "a"], "position": np.array([0.5, float(count)])}


def write_bag(path: Path, kind: str) -> Path:
    """COUNT states PERIOD_S apart, in the format `kind`; gives the path to play."""
    if kind == "ros1":
        path = path.with_suffix(".bag")
        store = get_typestore(Stores.ROS1_NOETIC)
        with Writer1(path) as writer:
            connection = writer.add_connection(STATES.name, STATES.type, typestore=store)
            for count in range(COUNT):
                at_ns = BEGAN_NS + round(count * PERIOD_S * 1e9)
                writer.write(connection, at_ns, encode_ros1(state(count), STATES.type))
        return path
    plugin = StoragePlugin.SQLITE3 if kind == "sqlite3" else StoragePlugin.MCAP
    store = get_typestore(Stores.ROS2_JAZZY)
    with Writer2(path, version=9, storage_plugin=plugin) as writer:
        connection = writer.add_connection(STATES.name, STATES.type, typestore=store)
        for count in range(COUNT):
            at_ns = BEGAN_NS + round(count * PERIOD_S * 1e9)
            writer.write(connection, at_ns, encode(state(count), STATES.type))
    return next(path.glob("*.mcap")) if kind == "bare mcap" else path


def wait_for_end(robot: Robot | ReplayTransport) -> None:
    deadline_s = time.monotonic() + 20.0
    while robot.is_connected():
        assert time.monotonic() < deadline_s
        time.sleep(0.01)


@pytest.mark.parametrize("kind", ["sqlite3", "mcap", "bare mcap", "ros1"])
def test_every_message_of_a_bag_comes_in_its_time(kind: str, tmp_path: Path) -> None:
    transport = ReplayTransport(write_bag(tmp_path / "bag", kind), speed=2.0)
    came: list[tuple[Any, float]] = []
    began_s = time.monotonic()
    transport.open([STATES], [], lambda _, message, at_s: came.append((message, at_s)), 1.0)
    assert transport.publish("/commands", {"data": [1.0]})
    survey = transport.survey()
    wait_for_end(transport)
    assert not transport.publish("/commands", {"data": [2.0]})
    transport.close()
    assert [message["position"][1] for message, _ in came] == list(range(COUNT))
    assert came[3][0]["name"] == ["b", "a"]
    assert {**came[3][0]["header"], "seq": 0} == {**state(3)["header"], "seq": 0}
    # Played twice as fast, never faster.
    assert came[-1][1] - began_s > 0.95 * (COUNT - 1) * PERIOD_S / 2.0
    assert [(topic, message) for _, topic, message in transport.published] == [("/commands", {"data": [1.0]})]
    assert survey.topics is not None and survey.topics["/joint_states"].type == STATES.type


def test_a_bag_is_a_robot(tmp_path: Path) -> None:
    joints = JointSource("/joint_states", ("a", "b"))
    target = Target("joint_position", "/commands", ("a", "b"), "values", ("a", "b"))
    description = RobotDescription({"joints": joints}, {"arm": joints}, {"arm": target})
    robot = ReplayConfig(str(write_bag(tmp_path / "bag", "mcap")), description, speed=10.0).build()
    assert isinstance(robot, TopicRobot)
    robot.connect(1.0)
    wait_for_end(robot)
    found = robot.read().observations["joints"]
    robot.close()
    assert found.valid and found.value.tolist() == [COUNT - 1, 0.5]


def test_a_session_is_a_robot(tmp_path: Path) -> None:
    path = record(tmp_path / "s.mcap", lambda recorder: record_steps(recorder, range(8)))
    robot = ReplayConfig(str(path), speed=5.0).build()
    assert isinstance(robot, SessionRobot)
    assert robot.spec == SPEC
    assert robot.targets["arm"].names == ("shoulder", "elbow")
    assert robot.max_age_s["observations.joints"] == 0.15
    assert robot.max_age_s["measured.arm"] == pytest.approx(0.3)
    assert robot.read().observations == {}
    began_s = time.monotonic()
    robot.connect(1.0)
    assert robot.send(command(0, began_s))
    wait_for_end(robot)
    took_s = time.monotonic() - began_s
    last = robot.read()
    assert not robot.send(command(1, began_s))
    robot.close()
    assert took_s > 0.95 * 0.7 / 5.0
    for key, value in observed(7).items():
        np.testing.assert_array_equal(last.observations[key].value, value)
        assert began_s <= last.observations[key].arrived_s <= time.monotonic()
    assert last.measured["arm"].value.tolist() == [7.0, 0.5]
    assert last.stop is not None and not last.stop.value
    assert robot.measure().observations == {}
    assert [told.sequence for _, told in robot.sent] == [0]


def test_limits_are_those_of_the_session(tmp_path: Path) -> None:
    limits = Limits(joints={"elbow": JointLimits(velocity=1.0)})

    def recorded(name: str, told: Any) -> Limits:
        header = {**HEADER, "settings": {"robot": {"limits": told}}}
        return ReplayConfig(str(record(tmp_path / name, lambda recorder: None, header))).limits

    assert recorded("a.mcap", to_json(limits)) == limits
    strange = {"_target_": "imitate.deploy.safety.limits.Limits", "joints": {"x": {"_target_": "os.path.X"}}}
    assert recorded("b.mcap", strange) == Limits()
    assert recorded("c.mcap", None) == Limits()


def test_closing_early_leaves_no_thread(tmp_path: Path) -> None:
    transport = ReplayTransport(write_bag(tmp_path / "bag", "sqlite3"), speed=0.01)
    transport.open([STATES], [], lambda *_: None, 1.0)
    transport.close()
    transport.close()
    assert not [thread for thread in threading.enumerate() if thread.name == "replay"]


def test_what_cannot_be_played_is_said(tmp_path: Path) -> None:
    bag = write_bag(tmp_path / "bag", "bare mcap")
    with pytest.raises(RobotError, match=r"has none of /pose .*it has /joint_states \(sensor_msgs"):
        ReplayTransport(bag, 1.0).open(
            [Topic("/pose", "geometry_msgs/msg/PoseStamped")], [], lambda *_: None, 1.0
        )
    half = tmp_path / "half.mcap"
    half.write_bytes(bag.read_bytes()[:-100])
    with pytest.raises(RobotError, match=r"half.mcap cannot be played"):
        ReplayTransport(half, 1.0).open([STATES], [], lambda *_: None, 1.0)
    with pytest.raises(ConfigError, match="does not exist"):
        ReplayConfig(str(tmp_path / "nothing"))
    with pytest.raises(ConfigError, match=r"robot.path is missing"):
        ReplayConfig().build()
    with pytest.raises(ConfigError, match=r"robot.speed is 0"):
        ReplayConfig(str(bag), speed=0)
    with pytest.raises(ConfigError, match=r"robot.description is missing"):
        ReplayConfig(str(bag)).build()
