"""The rosbridge backend over real sockets, in both dialects: every message there and back."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from bridged_arm import Pilot, bridged_arm, robot_at, wait_until
from every_form import TARGETS, command, everything
from quirky_bridge import QuirkyBridge
from tiny_arm import TinyConfig

from imitate.deploy import messages
from imitate.deploy.backends.rosbridge import RosbridgeConfig
from imitate.deploy.command import Command
from imitate.deploy.description import StopSource
from imitate.deploy.images import encoded
from imitate.deploy.transport import Topic
from imitate.errors import ConfigError, RobotError

pytestmark = pytest.mark.timeout(60)
BOTH = pytest.mark.parametrize("ros", [1, 2])
PICTURE = np.random.default_rng(0).integers(0, 256, (6, 8, 3), np.uint8)


@contextmanager
def everything_bridged(ros: Any) -> Iterator[tuple[Any, QuirkyBridge, dict[str, Any]]]:
    bridge, received = QuirkyBridge(ros=ros), {}
    for topic, kind in (
        ("/joint_states", messages.JOINT_STATE), ("/camera", messages.COMPRESSED_IMAGE),
        ("/takeover", messages.TWIST), ("/stop", messages.BOOL),
    ):  # fmt: skip
        bridge.advertise(Topic(topic, kind), "/arm")
    for group, target in TARGETS.items():
        topic = Topic(target.topic, messages.TYPES[target.form])
        bridge.listen(topic, "/arm", lambda message, at, group=group: received.update({group: message}))
    bridge.start()
    robot = robot_at(bridge.port, ros, everything())
    try:
        robot.connect(5.0)
        # Commands and states share the first connection; the camera has the second.
        wait_until(lambda: len(bridge.graph.nodes("/camera", False)) == 1)
        yield robot, bridge, received
    finally:
        robot.close()
        bridge.close()


@BOTH
def test_every_command_arrives_as_it_was_meant(ros: int) -> None:
    with everything_bridged(ros) as (robot, bridge, received):

        def arrived() -> bool:
            """Whether all did; a machine that stalls for a ping's time loses the connection, and frames."""
            given_up_s = time.monotonic() + 2.0
            for group in set(TARGETS) - set(received):
                wait_until(lambda group=group: robot.send(command(group)))  # type: ignore[misc]
            while len(received) < len(TARGETS) and time.monotonic() < given_up_s:
                time.sleep(0.002)
            return len(received) == len(TARGETS)

        wait_until(arrived)
        assert bridge.dropped == []
    np.testing.assert_array_equal(received["values"]["data"], [0.1, 0.2])
    points = received["trajectory"]["points"]
    np.testing.assert_array_equal([point["positions"] for point in points], [[0.1, 0.2], [0.3, 0.4]])
    assert points[1]["time_from_start"] == {"sec": 0, "nanosec": 200_000_000}
    assert messages.seconds(received["trajectory"]["header"]) is None
    assert received["twist"]["twist"]["linear"]["x"] == 0.1
    assert received["twist"]["header"]["frame_id"] == "base"
    assert abs((messages.seconds(received["twist"]["header"]) or 0) - time.time()) < 5
    np.testing.assert_array_equal(received["jog"]["velocities"], [0.1, 0.2])
    assert received["pose"]["pose"]["position"] == {"x": 1, "y": 2, "z": 3}


def test_commands_that_follow_each_other_at_once_leave() -> None:
    """Small frames that wait a moment to be sent together are no congestion."""
    with everything_bridged(2) as (robot, _, _):
        left = 0
        for _ in range(100):
            left += sum(robot.send(command("twist")) for _ in range(3))
            time.sleep(0.002)
    assert left >= 297  # a busy machine may hold this test up for longer than a command is good


@BOTH
def test_every_observation_arrives_as_it_was_published(ros: int) -> None:
    with everything_bridged(ros) as (robot, bridge, _):
        twist = messages.twist_stamped(("x", "yaw"), np.array([0.5, -0.5]), 1.0)
        picture = {"header": messages.header(2.0), "format": "png", "data": encoded(PICTURE)}

        def publish_and_look() -> bool:
            for name, value in (("b", 2.0), ("a", 1.0)):
                bridge.publish("/joint_states", messages.joint_state([name], np.array([value]), 3.0))
            bridge.publish("/camera", picture)
            bridge.publish("/takeover", twist)
            bridge.publish("/stop", {"data": True})
            snapshot = robot.read()
            return len(snapshot.observations) == 2 and snapshot.stop is not None and bool(snapshot.takeover)

        wait_until(publish_and_look)
        found = robot.read()
    assert found.observations["state"].value.tolist() == [1, 2]
    assert found.observations["state"].stamp_s == 3.0
    assert found.measured["pose"].value.tolist() == [1, 2]
    np.testing.assert_array_equal(found.observations["camera"].value, PICTURE)
    assert found.takeover["twist"].value.tolist() == [0.5, -0.5]
    assert found.stop is not None and found.stop.value.tolist() == [1.0]


@BOTH
def test_nan_at_the_robot_is_an_invalid_reading_here(ros: int) -> None:
    with everything_bridged(ros) as (robot, bridge, _):

        def publish_and_look() -> bool:
            bridge.publish("/joint_states", messages.joint_state(["a", "b"], np.array([np.nan, 1.0]), 3.0))
            return "state" in robot.read().observations

        wait_until(publish_and_look)
        assert not robot.read().observations["state"].valid


def test_nothing_that_is_not_finite_or_does_not_fit_is_sent() -> None:
    with everything_bridged(2) as (robot, bridge, received):
        bad = command("values")
        bad.values[0, 0] = np.nan
        with pytest.raises(RobotError, match="finite"):
            robot.send(bad)
        with pytest.raises(RobotError, match="no_such"):
            robot.send(Command("no_such", "gripper", (), np.zeros((1, 1)), np.zeros(1), 0.0, 1))
        assert not robot.send(command("values", made_s=time.monotonic() - 0.2))
        assert robot.send(command("twist"))
        wait_until(lambda: "twist" in received)
        assert "values" not in received and bridge.dropped == []


def test_before_connecting_and_after_closing_nothing_is_sent() -> None:
    robot = RosbridgeConfig(everything(), "ws://127.0.0.1:9").build()
    assert not robot.is_connected() and not robot.send(command("values"))
    robot.close()
    with everything_bridged(2) as (robot, _, _):
        robot.close()
        robot.close()
        assert not robot.is_connected() and not robot.send(command("values"))


def test_a_robot_that_is_not_there_is_told_in_one_line_and_leaves_no_thread() -> None:
    before = set(threading.enumerate())  # one of an earlier test may yet end
    robot = RosbridgeConfig(everything(), "ws://127.0.0.1:9", ros=1).build()
    with pytest.raises(RobotError, match=r"127\.0\.0\.1:9 .*refused.*roslaunch rosbridge_server"):
        robot.connect(0.5)
    assert set(threading.enumerate()) <= before


@pytest.mark.parametrize("url", ["localhost:9090", "http://x:1", "ws://"])
def test_a_wrong_url_is_refused(url: str) -> None:
    with pytest.raises(ConfigError, match=r"robot\.url"):
        RosbridgeConfig(everything(), url)


def test_no_thread_is_left_behind() -> None:
    before = set(threading.enumerate())
    with bridged_arm(config=TinyConfig(cameras=("front",))):
        assert set(threading.enumerate()) - before
    assert set(threading.enumerate()) <= before


@BOTH
def test_the_ros_1_server_cannot_send_joint_states_as_cbor_which_is_why_they_are_json(ros: int) -> None:
    with bridged_arm(ros) as ends:
        state = messages.joint_state(["joint1"], np.zeros(1), 1.0)
        assert (ends.bridge.cbor_frame("/joint_states", state) is None) == (ros == 1)
        assert ends.robot.read().observations["joints"].valid


@BOTH
def test_the_loop_from_state_to_command_is_quick(ros: int) -> None:
    with bridged_arm(ros, TinyConfig()) as ends:
        assert Pilot(ends.robot).stream(1.0) >= 20
        wait_until(lambda: len(ends.arm.applied) > 20)
        ages = [entry.time_s - entry.values[0] for entry in ends.arm.applied]
    assert max(ages) < 0.1
    assert np.median(ages) < 0.05


@pytest.mark.parametrize("agrees", [True, False])
def test_servo_is_switched_to_the_commands_that_will_come(agrees: bool) -> None:
    bridge, asked = QuirkyBridge(ros=2), []

    def switch(request: Any) -> dict[str, Any]:
        asked.append(request)
        return {"success": agrees}

    bridge.provide("/servo_node/switch_command_type", switch)
    bridge.start()
    described = everything()
    twist = next(group for group, target in described.targets.items() if target.form == "twist")
    target = replace(described.targets[twist], servo="/servo_node/switch_command_type")
    robot = robot_at(bridge.port, 2, replace(described, targets={**described.targets, twist: target}))
    try:
        robot.connect(5.0)
        if agrees:
            robot.prepare()
        else:
            with pytest.raises(RobotError, match="does not switch to twist commands, which"):
                robot.prepare()
    finally:
        robot.close()
        bridge.close()
    assert asked == [{"command_type": 1}]


def test_only_what_servo_takes_is_switched_to() -> None:
    values = next(target for target in TARGETS.values() if target.form == "values")
    with pytest.raises(ConfigError, match="joint_jog, twist, pose"):
        replace(values, servo="/servo_node/switch_command_type")


@BOTH
def test_an_alarm_calls_the_service_of_the_stop_and_waits_for_nobody(ros: Any) -> None:
    bridge, called = QuirkyBridge(ros=ros), threading.Event()

    def stop(request: Any) -> dict[str, Any]:
        called.set()
        time.sleep(0.5)
        return {"success": True, "message": ""}

    bridge.provide("/stop_all", stop)
    bridge.advertise(Topic("/joint_states", messages.JOINT_STATE), "/arm")
    bridge.start()
    described = replace(everything(), stop=StopSource("/stop", service="/stop_all"))
    robot = robot_at(bridge.port, ros, described)
    try:
        robot.connect(5.0)
        began_s = time.monotonic()
        robot.alarm()
        assert time.monotonic() - began_s < 0.1
        assert called.wait(5.0)
    finally:
        robot.close()
        bridge.close()
