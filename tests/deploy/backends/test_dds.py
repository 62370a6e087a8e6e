"""ROS 2 over DDS: bytes on the wire against cyclonedds' own codec, and robots in other processes."""

import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from cyclonedds.core import Policy, Qos
from cyclonedds.domain import Domain, DomainParticipant
from cyclonedds.pub import DataWriter
from cyclonedds.topic import Topic as DdsTopic
from dds_arm import LOOPBACK, Dimension, Float64MultiArray, Header, JointState, Layout, String, Time
from debian_packages import need_cyclone_c
from hypothesis import given
from hypothesis import strategies as st
from reporting_arm import said, started

from imitate.deploy.backends.dds import DdsConfig
from imitate.deploy.backends.dds_network import DdsNetwork
from imitate.deploy.backends.dds_transport import DdsTransport
from imitate.deploy.backends.dds_types import ros_name, ros_type, topic_class, topic_name, type_name
from imitate.deploy.command import Command
from imitate.deploy.description import JointSource, RobotDescription, Target
from imitate.deploy.ros_types import decode, encode, type_hash
from imitate.deploy.transport import Topic
from imitate.errors import ConfigError, RobotError

ARM = Path(__file__).parents[2] / "stand_ins" / "dds_arm.py"
STATES = Topic("/joint_states", "sensor_msgs/msg/JointState")
PICTURE = Topic("/picture", "sensor_msgs/msg/Image")
ABOUT = Topic("/robot_description", "std_msgs/msg/String", latched=True)
COMMANDS = Topic("/commands", "std_msgs/msg/Float64MultiArray")
# Domains of this file alone, in case tests run beside one another.
DOMAIN = 140 + os.getpid() % 80
NETWORK = DdsNetwork(DOMAIN, "lo", ("127.0.0.1",))


def arm(rate_hz: float, states: int) -> AbstractContextManager[subprocess.Popen[str]]:
    """The stand-in, which waits until somebody commands it."""
    return started([sys.executable, str(ARM), str(DOMAIN), str(rate_hz), str(states)])


numbers = st.lists(st.floats(allow_nan=False), max_size=4)
names = st.lists(st.text("abcäß_/", max_size=5), max_size=4)


@given(sec=st.integers(-(2**31), 2**31 - 1), nanosec=st.integers(0, 2**32 - 1), name=names, position=numbers)
def test_bytes_are_those_of_cyclonedds(
    sec: int, nanosec: int, name: list[str], position: list[float]
) -> None:
    theirs = JointState(Header(Time(sec, nanosec), "base"), name, position, [], position).serialize()
    message = {
        "header": {"stamp": {"sec": sec, "nanosec": nanosec}, "frame_id": "base"},
        "name": name,
        "position": np.array(position),
        "effort": np.array(position),
    }
    assert encode(message, STATES.type) == bytes(theirs)
    found = decode(bytes(theirs), STATES.type)
    assert (found["header"], found["name"]) == (message["header"], name)
    assert found["position"].tolist() == found["effort"].tolist() == position
    assert found["velocity"].tolist() == []


@given(labels=names, data=numbers)
def test_nested_sequences_are_those_of_cyclonedds(labels: list[str], data: list[float]) -> None:
    dimensions = [Dimension(label, 3, 1) for label in labels]
    theirs = Float64MultiArray(Layout(dimensions, 2), data).serialize()
    dim = [{"label": label, "size": 3, "stride": 1} for label in labels]
    assert encode({"layout": {"dim": dim, "data_offset": 2}, "data": data}, COMMANDS.type) == bytes(theirs)


def test_names_of_topics_and_types() -> None:
    assert topic_name("/arm/joint_states") == "rt/arm/joint_states"
    assert ros_name("rt/arm/joint_states") == "/arm/joint_states"
    assert ros_name("rq/switchRequest") is None
    assert type_name("sensor_msgs/msg/JointState") == "sensor_msgs::msg::dds_::JointState_"
    assert ros_type("sensor_msgs::msg::dds_::JointState_") == "sensor_msgs/msg/JointState"
    assert ros_type("vendor::Thing") == "vendor::Thing"
    # The hashes that ROS 2 itself computes for these types.
    starts = {
        STATES.type: "a13ee3a3",
        COMMANDS.type: "1025ddc6",
        "sensor_msgs/msg/CompressedImage": "15640771",
    }
    assert {name: type_hash(name)[:15] for name in starts} == {n: f"RIHS01_{x}" for n, x in starts.items()}


def test_settings_of_the_network(monkeypatch: pytest.MonkeyPatch) -> None:
    assert DdsNetwork(3).config() is None
    config = DdsNetwork(3, "192.168.1.2", ("10.0.0.1",)).config()
    assert config is not None
    assert 'address="192.168.1.2"' in config and '<Peer address="10.0.0.1"/>' in config
    monkeypatch.setenv("ROS_DOMAIN_ID", "42")
    assert (DdsNetwork().domain_id(), DdsNetwork(3).domain_id()) == (42, 3)
    monkeypatch.setenv("ROS_DOMAIN_ID", "many")
    with pytest.raises(ConfigError, match="ROS_DOMAIN_ID is 'many'"):
        DdsNetwork().domain_id()
    with pytest.raises(ConfigError, match=r"robot.domain is 233"):
        DdsNetwork(233)


def test_services_and_actions_are_refused_in_one_line() -> None:
    transport = DdsTransport(NETWORK)
    for attempt in (
        lambda: transport.call("/switch", "std_srvs/srv/Trigger", {}, 1.0),
        lambda: transport.send_goal("/gripper", "control_msgs/action/GripperCommand", {}),
        lambda: topic_class("std_srvs/srv/Trigger"),
    ):
        with pytest.raises(RobotError, match="rosbridge") as refused:
            attempt()
        assert "\n" not in str(refused.value)
    gripper = Target("gripper", "/gripper", ("open",), "gripper_command", ("finger",))
    joints = JointSource("/joint_states", ("finger",))
    with pytest.raises(ConfigError, match="gripper_command"):
        DdsConfig(RobotDescription({"joints": joints}, {"gripper": joints}, {"gripper": gripper}))


def native_threads() -> int:
    return sum(1 for _ in Path("/proc/self/task").iterdir())


@pytest.mark.timeout(60)
def test_nobody_is_there_and_nothing_is_left_behind() -> None:
    transport, tasks = DdsTransport(NETWORK), native_threads()
    with pytest.raises(RobotError, match="nobody is there for /joint_states, /commands") as refused:
        transport.open([STATES], [COMMANDS], lambda *_: None, 0.5)
    assert "\n" not in str(refused.value) and str(DOMAIN) in str(refused.value)
    transport.close()
    assert not transport.is_connected()
    assert not transport.publish("/commands", {"data": [1.0]})
    for _ in range(50):
        if native_threads() <= tasks:
            break
        time.sleep(0.1)
    assert native_threads() <= tasks
    assert not [thread for thread in threading.enumerate() if thread.name == "dds"]


@pytest.mark.timeout(120)
def test_a_robot_in_another_process() -> None:
    came: dict[str, list[dict[str, Any]]] = {}
    transport = DdsTransport(NETWORK)

    def take(topic: str, message: Any, arrived_s: float) -> None:
        assert 0.0 <= time.monotonic() - arrived_s < 5.0
        came.setdefault(topic, []).append(message)
        if topic == "/joint_states":
            transport.publish("/commands", {"data": np.array([message["position"][1], 1.0, 2.0])})

    with arm(100.0, 200) as child:
        transport.open([STATES, PICTURE, ABOUT], [COMMANDS], take, 30.0)
        try:
            assert transport.is_connected()
            survey = transport.survey()
            report = said(child)
        finally:
            transport.close()
    assert survey.remarks == () and survey.use_sim_time is False and survey.topics is not None
    assert survey.topics["/joint_states"].type == STATES.type
    assert len(survey.topics["/joint_states"].publishers or ()) == 1
    assert len(survey.topics["/commands"].subscribers or ()) == 1
    # On a busy machine a KEEP_LAST 1 reader passes over some, here and there; what comes is in order.
    counts = [message["position"][1] for message in came["/joint_states"]]
    answers = [command[0] for command in report["commands"]]
    assert counts == sorted(set(counts)) and answers == sorted(set(answers))
    assert len(answers) > 40 and set(answers) <= set(counts)
    assert all(command[1:] == [1.0, 2.0] for command in report["commands"])
    first = came["/joint_states"][0]
    assert first["name"] == ["b", "a"] and first["header"]["frame_id"] == "base"
    expected = np.random.default_rng(0).integers(0, 256, 24 * 32 * 3).astype(np.uint8).tobytes()
    assert came["/picture"][0]["data"] == expected
    assert came["/robot_description"] == [{"data": "<robot/>"}]
    assert np.percentile(report["delays_ms"], 50) < 100.0


@pytest.mark.timeout(120)
def test_a_robot_that_dies_and_comes_again_is_found_again() -> None:
    counts: list[float] = []
    transport = DdsTransport(NETWORK)

    def take(topic: str, message: Any, arrived_s: float) -> None:
        counts.append(message["position"][1])

    with arm(50.0, 10_000) as child:
        transport.open([STATES], [COMMANDS], take, 30.0)
        try:
            wait_for(lambda: len(counts) > 3)
            child.kill()
            child.wait(10)
            time.sleep(0.3)
            died = len(counts)
            time.sleep(0.5)
            assert len(counts) == died
            with arm(50.0, 10_000) as again:
                wait_for(lambda: len(counts) > died + 3)
                assert transport.publish("/commands", {"data": np.array([-1.0, 5.0])})
                time.sleep(0.3)
                assert again.stdin is not None
                again.stdin.close()
                report = said(again)
        finally:
            transport.close()
    assert report["commands"] == [[-1.0, 5.0]]


@pytest.mark.timeout(60)
def test_closing_while_another_thread_publishes() -> None:
    domain = Domain(DOMAIN + 1, LOOPBACK)
    robot, transport = DdsTransport(DdsNetwork(DOMAIN + 1)), DdsTransport(DdsNetwork(DOMAIN + 1))
    opening = threading.Thread(target=lambda: robot.open([COMMANDS], [STATES], lambda *_: None, 10.0))
    opening.start()
    transport.open([STATES], [COMMANDS], lambda *_: None, 10.0)
    opening.join(20)
    answers: list[bool] = []
    failures: list[BaseException] = []

    def publish() -> None:
        try:
            while not answers or answers[-1]:
                answers.append(transport.publish("/commands", {"data": [1.0]}) and transport.is_connected())
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=publish) for _ in range(2)]
    for thread in threads:
        thread.start()
    wait_for(lambda: len(answers) > 50)
    transport.close()
    for thread in threads:
        thread.join(10)
    robot.close()
    del domain
    assert not failures and answers[0] and not any(thread.is_alive() for thread in threads)


def wait_for(is_so: Callable[[], bool]) -> None:
    deadline_s = time.monotonic() + 30.0
    while not is_so():
        assert time.monotonic() < deadline_s, "it did not happen in time"
        time.sleep(0.02)


@pytest.mark.timeout(120)
def test_the_robot_contract_over_dds() -> None:
    joints = JointSource("/joint_states", ("a", "b"), max_age_s=0.5)
    target = Target("joint_position", "/commands", ("a", "b"), "values", ("a", "b"))
    description = RobotDescription({"joints": joints}, {"arm": joints}, {"arm": target})
    with arm(100.0, 10_000) as child:
        robot = DdsConfig(description, DOMAIN, "lo", ("127.0.0.1",)).build()
        try:
            robot.connect(30.0)
            began = time.monotonic()
            while "joints" not in robot.read().observations and time.monotonic() < began + 10.0:
                time.sleep(0.02)
            first = robot.read()
            sent = robot.send(
                Command(
                    "arm",
                    "joint_position",
                    ("a", "b"),
                    np.array([[7.0, 8.0]]),
                    np.zeros(1),
                    time.monotonic(),
                    0,
                )
            )
            time.sleep(0.2)
            second = robot.read()
        finally:
            assert child.stdin is not None
            child.stdin.close()
            report = said(child)
            robot.close()
    assert sent and report["commands"] == [[7.0, 8.0]]
    # The arm names its joints b, a: they are found by name.
    assert first.observations["joints"].value[1] == 0.5
    assert second.observations["joints"].value[0] > first.observations["joints"].value[0]
    assert second.observations["joints"].valid


@pytest.mark.timeout(60)
def test_a_publisher_that_does_not_fit_is_named() -> None:
    domain = Domain(DOMAIN + 1, LOOPBACK)
    participant = DomainParticipant(DOMAIN + 1)
    volatile = Qos(Policy.Reliability.Reliable(0), Policy.Durability.Volatile)
    about = DataWriter(participant, DdsTopic(participant, "rt/robot_description", String), qos=volatile)
    states = DataWriter(participant, DdsTopic(participant, "rt/joint_states", JointState))
    transport = DdsTransport(DdsNetwork(DOMAIN + 1))
    try:
        transport.open([STATES, ABOUT], [], lambda *_: None, 10.0)
        (remark,) = transport.survey().remarks
    finally:
        transport.close()
    assert remark.startswith("/robot_description: a publisher there does not fit")
    assert "DURABILITY (theirs Volatile, ours TransientLocal)" in remark and "RELIABILITY" not in remark
    del about, states, participant, domain


def built_peer(folder: Path) -> Path:
    """The peer in C, built with Debian's Cyclone DDS; see debian_packages for where that is absent."""
    need_cyclone_c()
    here = Path(__file__).parent
    subprocess.run(["idlc", str(here / "ros_messages.idl")], cwd=folder, check=True, capture_output=True)
    sources = [str(here / "cyclone_peer.c"), "ros_messages.c", "-I.", "-lddsc"]
    subprocess.run(["cc", "-o", "peer", *sources], cwd=folder, check=True)
    return folder / "peer"


@pytest.mark.slow
@pytest.mark.timeout(120)
def test_a_robot_in_c_with_the_dds_of_ros_humble_to_jazzy(tmp_path: Path) -> None:
    peer, counts = built_peer(tmp_path), []
    transport = DdsTransport(NETWORK)

    def take(topic: str, message: Any, arrived_s: float) -> None:
        assert message["name"] == ["b", "a"] and message["header"]["stamp"]["nanosec"] == 7
        counts.append(message["position"][1])
        transport.publish("/commands", {"data": np.array([counts[-1], 1.0, 2.0])})

    environment = {**os.environ, "CYCLONEDDS_URI": LOOPBACK}
    command = [str(peer), str(DOMAIN)]
    with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True) as child:
        try:
            transport.open([STATES], [COMMANDS], take, 30.0)
            remarks = transport.survey().remarks
            text, _ = child.communicate(timeout=30)
        finally:
            transport.close()
            if child.poll() is None:
                child.kill()
    commands, fits = map(int, text.split())
    assert remarks == ()
    assert counts == sorted(set(counts)) and len(counts) > 40
    assert commands > 0.9 * len(counts) and fits == 1
