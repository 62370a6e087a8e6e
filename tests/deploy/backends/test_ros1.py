"""ROS 1: a real master and a rospy node as the robot, both in processes of the system's Python."""

import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from debian_packages import ROS1_PYTHON, need_ros1
from own_machine import free_port
from reporting_arm import said, started

from imitate.deploy.backends.ros1 import Ros1Config
from imitate.deploy.backends.ros1_transport import Ros1Transport, ros1_type, ros2_type
from imitate.deploy.command import Command
from imitate.deploy.description import JointSource, RobotDescription, Target
from imitate.deploy.ros_types import decode_ros1, definition_ros1, encode_ros1
from imitate.deploy.transport import Topic
from imitate.errors import ConfigError, RobotError

ARM = Path(__file__).parents[2] / "stand_ins" / "ros1_arm.py"
STATES = Topic("/joint_states", "sensor_msgs/msg/JointState")
PICTURE = Topic("/picture", "sensor_msgs/msg/CompressedImage")
STRANGE = Topic("/strange", "std_msgs/msg/String")
COMMANDS = Topic("/commands", "std_msgs/msg/Float64MultiArray")


def wait_for_port(port: int) -> None:
    deadline_s = time.monotonic() + 30.0
    while time.monotonic() < deadline_s:
        with socket.socket() as found:
            if found.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.05)
    raise AssertionError("the master did not start")


@pytest.fixture(scope="module")
def master(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a running master; nodes find it, and everything stays on this machine."""
    need_ros1()
    port, home = free_port(), str(tmp_path_factory.mktemp("ros"))
    with pytest.MonkeyPatch.context() as patch:
        for name, value in {
            "ROS_MASTER_URI": f"http://127.0.0.1:{port}",
            "ROS_IP": "127.0.0.1",
            "ROS_HOME": home,
            "ROS_LOG_DIR": home,
        }.items():
            patch.setenv(name, value)
        silent = subprocess.DEVNULL
        with subprocess.Popen(
            ["rosmaster", "--core", "-p", str(port)], stdout=silent, stderr=silent
        ) as process:
            try:
                wait_for_port(port)
                yield f"http://127.0.0.1:{port}"
            finally:
                process.terminate()


def arm(rate_hz: float, states: int) -> AbstractContextManager[subprocess.Popen[str]]:
    return started([ROS1_PYTHON, str(ARM), str(rate_hz), str(states)])


def test_types_are_those_of_ros1() -> None:
    assert ros1_type("sensor_msgs/msg/JointState") == "sensor_msgs/JointState"
    assert ros1_type("std_srvs/srv/SetBool") == "std_srvs/SetBool"
    assert ros2_type("sensor_msgs/JointState") == "sensor_msgs/msg/JointState"
    # As in `rosmsg md5 sensor_msgs/JointState`.
    assert definition_ros1(STATES.type)[1] == "3066dcd76a6cfaef579bd0f34173e9fd"
    header = {"stamp": {"sec": 1, "nanosec": 2}, "frame_id": "x"}
    message = {"header": header, "name": ["a"], "position": [2.5]}
    data = encode_ros1(message, STATES.type)
    # Sequence number, seconds, nanoseconds, and the lengths of strings and arrays, without any padding.
    assert data[:13] == bytes([0, 0, 0, 0, 1, 0, 0, 0, 2, 0, 0, 0, 1])
    found = decode_ros1(data, STATES.type)
    assert found["header"] == {**header, "seq": 0}
    assert (found["name"], found["position"].tolist(), found["effort"].tolist()) == (["a"], [2.5], [])


@pytest.mark.timeout(120)
def test_a_robot_of_rospy(master: str) -> None:
    came: dict[str, list[dict[str, Any]]] = {}
    transport = Ros1Transport(master, ROS1_PYTHON)

    def take(topic: str, message: Any, arrived_s: float) -> None:
        assert 0.0 <= time.monotonic() - arrived_s < 5.0
        came.setdefault(topic, []).append(message)
        if topic == "/joint_states":
            transport.publish("/commands", {"data": np.array([message["position"][1], 1.0, 2.0])})

    with arm(100.0, 300) as child:
        try:
            transport.open([STATES, PICTURE, STRANGE], [COMMANDS], take, 30.0)
            assert transport.is_connected()
            survey = transport.survey()
            answer = transport.call("/enable", "std_srvs/srv/SetBool", {"data": True}, 10.0)
            with pytest.raises(RobotError, match="/nothing"):
                transport.call("/nothing", "std_srvs/srv/SetBool", {"data": True}, 0.2)
            report = said(child)
        finally:
            transport.close()
    assert answer == {"success": True, "message": "done"}
    assert survey.topics is not None and survey.use_sim_time is False
    assert survey.topics["/joint_states"].type == STATES.type
    assert survey.topics["/joint_states"].publishers == ("/arm",)
    assert survey.topics["/commands"].subscribers == ("/arm",)
    assert survey.remarks == (
        "/strange: geometry_msgs/PoseStamped comes, expected std_msgs/String; it is ignored",
    )
    assert "/strange" not in came
    # On a busy machine only the newest state may come; what comes is in order, and most is answered.
    counts = [message["position"][1] for message in came["/joint_states"]]
    assert counts == sorted(set(counts)) and len(counts) > 50
    answered = [command[0] for command in report["commands"]]
    assert answered == sorted(answered) and set(answered) <= set(counts) and len(answered) > 30
    assert came["/joint_states"][0]["name"] == ["b", "a"]
    assert came["/picture"][0]["data"] == bytes(range(256)) * 100
    assert np.percentile(report["delays_ms"], 50) < 50.0


@pytest.mark.timeout(120)
def test_a_frozen_node_delivers_nothing_old(master: str) -> None:
    transport = Ros1Transport(master, ROS1_PYTHON)
    with arm(20.0, 10_000) as child:
        try:
            transport.open([STATES], [COMMANDS], lambda *_: None, 30.0)
            assert transport._process is not None
            os.kill(transport._process.pid, signal.SIGSTOP)
            accepted = []
            for count in range(60):
                if transport.publish("/commands", {"data": np.array([float(count), time.monotonic()])}):
                    accepted.append(count)
                time.sleep(0.02)
            frozen = transport.is_connected()
            resumed_s = time.monotonic()
            os.kill(transport._process.pid, signal.SIGCONT)
            wait_for(transport.is_connected)
            sent_again = transport.publish("/commands", {"data": np.array([100.0, time.monotonic()])})
            time.sleep(0.5)
        finally:
            assert child.stdin is not None
            child.stdin.close()
            report = said(child)
            transport.close()
    # It was noticed within half a second, and of what was accepted until then only the new would pass.
    assert len(accepted) < 40 and not frozen and sent_again
    assert [command[0] for command in report["commands"] if command[1] < resumed_s - 0.1] == []
    assert report["commands"][-1][0] == 100.0


@pytest.mark.timeout(120)
def test_a_robot_that_dies_and_comes_again_is_found_again(master: str) -> None:
    counts: list[float] = []
    transport = Ros1Transport(master, ROS1_PYTHON)

    def take(topic: str, message: Any, arrived_s: float) -> None:
        counts.append(message["position"][1])

    with arm(50.0, 10_000) as child:
        transport.open([STATES], [COMMANDS], take, 30.0)
        try:
            wait_for(lambda: len(counts) > 3)
            child.kill()
            child.wait(10)
            wait_for(lambda: not transport.is_connected())
            assert not transport.publish("/commands", {"data": np.array([-1.0])})
            died = len(counts)
            with arm(50.0, 10_000) as again:
                wait_for(lambda: len(counts) > died + 3 and transport.is_connected())
                assert transport.publish("/commands", {"data": np.array([-2.0])})
                time.sleep(0.3)
                assert again.stdin is not None
                again.stdin.close()
                report = said(again)
        finally:
            transport.close()
    assert report["commands"] == [[-2.0]]


def wait_for(is_so: Callable[[], bool]) -> None:
    deadline_s = time.monotonic() + 30.0
    while not is_so():
        assert time.monotonic() < deadline_s, "it did not happen in time"
        time.sleep(0.02)


@pytest.mark.timeout(120)
def test_the_robot_contract_over_ros1(master: str) -> None:
    joints = JointSource("/joint_states", ("a", "b"), max_age_s=0.5)
    target = Target("joint_position", "/commands", ("a", "b"), "values", ("a", "b"))
    description = RobotDescription({"joints": joints}, {"arm": joints}, {"arm": target})
    with arm(50.0, 10_000) as child:
        robot = Ros1Config(description).build()
        try:
            robot.connect(30.0)
            began_s = time.monotonic()
            while "joints" not in robot.read().observations and time.monotonic() < began_s + 10.0:
                time.sleep(0.02)
            found = robot.read().observations["joints"]
            values, now_s = np.array([[7.0, 8.0]]), time.monotonic()
            sent = robot.send(Command("arm", "joint_position", ("a", "b"), values, np.zeros(1), now_s, 0))
            time.sleep(0.3)
        finally:
            assert child.stdin is not None
            child.stdin.close()
            report = said(child)
            robot.close()
    assert sent and report["commands"] == [[7.0, 8.0]]
    assert found.valid and found.value[1] == 0.5


@pytest.mark.timeout(120)
def test_what_is_not_there_is_named_and_nothing_is_left_behind(master: str) -> None:
    nowhere = f"http://127.0.0.1:{free_port()}"
    for transport, expected in (
        (Ros1Transport(nowhere, ROS1_PYTHON), "no master answers"),
        (Ros1Transport(master, sys.executable), "has no rospy"),
        (Ros1Transport(master, "/nonexistent/python"), "does not start"),
        (Ros1Transport(master, ROS1_PYTHON), "nobody is there for /joint_states, /commands"),
    ):
        with pytest.raises(RobotError, match=expected) as refused:
            transport.open([STATES], [COMMANDS], lambda *_: None, 0.5)
        assert "\n" not in str(refused.value)
        assert not transport.is_connected() and not transport.publish("/commands", {"data": [1.0]})
        transport.close()
    assert not [thread for thread in threading.enumerate() if thread.name == "ros1"]
    with pytest.raises(RobotError, match="rosbridge"):
        Ros1Transport(master, ROS1_PYTHON).send_goal("/gripper", "control_msgs/action/GripperCommand", {})
    with pytest.raises(RobotError, match="rosbridge"):
        Ros1Transport(master, ROS1_PYTHON).open(
            [], [Topic("/g", "control_msgs/action/GripperCommand")], lambda *_: None, 1.0
        )
    with pytest.raises(ConfigError, match=r"robot.master"):
        Ros1Config(RobotDescription({}, {}, {}), master="localhost:11311")
