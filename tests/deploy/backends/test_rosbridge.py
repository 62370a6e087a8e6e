"""The rosbridge backend over real sockets, in both dialects: every message there and back."""

import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import pytest
from bridged_arm import Bridged, Pilot, bridged_arm, robot_at, wait_until
from quirky_bridge import QuirkyBridge
from tiny_arm import TinyConfig, description
from websockets.sync.server import serve

from imitate.deploy import messages
from imitate.deploy.backends.rosbridge import RosbridgeConfig
from imitate.deploy.backends.rosbridge_client import RosbridgeTransport
from imitate.deploy.command import Command
from imitate.deploy.description import ImageSource, JointSource, RobotDescription, StopSource, Target
from imitate.deploy.images import encoded
from imitate.deploy.transport import Topic
from imitate.errors import ConfigError, RobotError

pytestmark = pytest.mark.timeout(60)
BOTH = pytest.mark.parametrize("ros", [1, 2])
PICTURE = np.random.default_rng(0).integers(0, 256, (6, 8, 3), np.uint8)

TARGETS = {
    "values": Target("joint_position", "/values", ("a", "b"), "values", ("a", "b")),
    "trajectory": Target("joint_position", "/trajectory", ("c", "d"), "trajectory", ("a", "b")),
    "twist": Target("twist", "/twist", ("e", "f"), "twist", ("x", "yaw"), frame="base"),
    "jog": Target("joint_velocity", "/jog", ("g", "h"), "joint_jog", ("a", "b")),
    "pose": Target("pose", "/pose", tuple("ijklmno"), "pose"),
}
VALUES = {
    "values": ([[0.1, 0.2]], [0.0]),
    "trajectory": ([[0.1, 0.2], [0.3, 0.4]], [0.1, 0.2]),
    "twist": ([[0.1, 0.2]], [0.0]),
    "jog": ([[0.1, 0.2]], [0.0]),
    "pose": ([[1, 2, 3, 0, 0, 0, 1]], [0.0]),
}


def everything() -> RobotDescription:
    state = JointSource("/joint_states", ("a", "b"))
    return RobotDescription(
        observations={"state": state, "camera": ImageSource("/camera", (6, 8))},
        measured=dict.fromkeys(TARGETS, state),
        targets=TARGETS,
        takeover={"twist": "/takeover"},
        stop=StopSource("/stop"),
    )


def command(group: str, made_s: float | None = None) -> Command:
    values, times = VALUES[group]
    target = TARGETS[group]
    made = time.monotonic() if made_s is None else made_s
    return Command(group, target.kind, target.names, np.array(values, float), np.array(times), made, 1)


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
        for group in TARGETS:
            assert robot.send(command(group)), group
        wait_until(lambda: len(received) == len(TARGETS))
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
    before = threading.active_count()
    robot = RosbridgeConfig(everything(), "ws://127.0.0.1:9", ros=1).build()
    with pytest.raises(RobotError, match=r"127\.0\.0\.1:9 .*refused.*roslaunch rosbridge_server"):
        robot.connect(0.5)
    assert threading.active_count() == before


@pytest.mark.parametrize("url", ["localhost:9090", "http://x:1", "ws://"])
def test_a_wrong_url_is_refused(url: str) -> None:
    with pytest.raises(ConfigError, match=r"robot\.url"):
        RosbridgeConfig(everything(), url)


def test_no_thread_is_left_behind() -> None:
    before = threading.active_count()
    with bridged_arm(config=TinyConfig(cameras=("front",))):
        assert threading.active_count() > before
    assert threading.active_count() == before


@contextmanager
def raw_server() -> Iterator[tuple[int, list[Any], list[Any]]]:
    """A server that only listens: what the client says, word by word, and the connections."""
    heard: list[Any] = []
    connections: list[Any] = []

    def listen(websocket: Any) -> None:
        connections.append(websocket)
        number = len(connections) - 1
        for data in websocket:
            heard.append((number, json.loads(data)))

    with serve(listen, "127.0.0.1", 0) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield server.socket.getsockname()[1], heard, connections
        server.shutdown()
        thread.join()


def said(heard: list[Any], op: str) -> dict[str, dict[str, Any]]:
    return {entry["topic"]: entry for _, entry in heard if entry["op"] == op}


@BOTH
def test_what_the_client_says_to_a_server(ros: int) -> None:
    with raw_server() as (port, heard, connections):
        robot = robot_at(port, ros, everything())
        robot.connect(5.0)
        robot.send(command("twist"))
        wait_until(lambda: len(heard) == len(TARGETS) + 4 + 1)
        robot.close()
    types = "sensor_msgs/" if ros == 1 else "sensor_msgs/msg/"
    advertised, subscribed = said(heard, "advertise"), said(heard, "subscribe")
    assert set(advertised) == {target.topic for target in TARGETS.values()}
    assert all(entry["queue_size"] == 1 for entry in advertised.values())
    assert subscribed["/joint_states"]["type"] == f"{types}JointState"
    assert subscribed["/joint_states"]["compression"] == "none"
    assert subscribed["/camera"]["type"] == f"{types}CompressedImage"
    assert subscribed["/camera"]["compression"] == "cbor"
    camera = {number for number, entry in heard if entry.get("topic") == "/camera"}
    others = {number for number, entry in heard if entry.get("topic") != "/camera"}
    assert len(connections) == 2 and not camera & others
    header = said(heard, "publish")["/twist"]["msg"]["header"]
    assert set(header["stamp"]) == ({"secs", "nsecs"} if ros == 1 else {"sec", "nanosec"})
    assert all(isinstance(part, int) for part in header["stamp"].values())
    assert ("seq" in header) == (ros == 1)


def gripper(ros: Any) -> RobotDescription:
    source = JointSource("/joint_states", ("g",), unit="m")
    target = Target("gripper", "/grip", ("g",), "gripper_command", ("g",), max_effort=9.0)
    return RobotDescription({}, {"g": source}, {"g": target})


def close_gripper(robot: Any, opening: float) -> bool:
    made = time.monotonic()
    return bool(robot.send(Command("g", "gripper", ("g",), np.array([[opening]]), np.zeros(1), made, 1)))


def test_a_gripper_takes_a_goal_of_a_ros_2_action_where_the_opening_changes() -> None:
    bridge, goals = QuirkyBridge(ros=2), []
    bridge.provide_action("/grip", lambda goal: {"position": goals.append(goal) or 0.0})
    bridge.start()
    robot = robot_at(bridge.port, 2, gripper(2))
    robot.connect(5.0)
    for opening in (0.05, 0.0505, 0.0495, 0.04, 0.04, 0.05):
        assert close_gripper(robot, opening)
    wait_until(lambda: len(goals) == 3)
    assert [goal["command"]["position"] for goal in goals] == [0.05, 0.04, 0.05]
    assert goals[0]["command"]["max_effort"] == 9.0
    robot.close()
    assert not close_gripper(robot, 0.0)
    bridge.close()


def test_a_gripper_takes_a_goal_on_the_topic_of_a_ros_1_action() -> None:
    with raw_server() as (port, heard, _):
        robot = robot_at(port, 1, gripper(1))
        robot.connect(5.0)
        assert close_gripper(robot, 0.03) and close_gripper(robot, 0.01)
        wait_until(lambda: len(heard) == 4)
        robot.close()
    assert said(heard, "advertise")["/grip/goal"]["type"] == "control_msgs/GripperCommandActionGoal"
    goals = [entry["msg"] for _, entry in heard if entry["op"] == "publish"]
    assert [goal["goal"]["command"]["position"] for goal in goals] == [0.03, 0.01]
    assert goals[0]["goal_id"]["id"] != goals[1]["goal_id"]["id"]


def test_services_answer_or_are_told_in_one_line() -> None:
    with bridged_arm() as ends:
        transport = RosbridgeTransport(f"ws://127.0.0.1:{ends.bridge.port}", 2)
        answer = transport.call("/simulation/reset", "imitate_msgs/srv/Reset", {"seed": 4}, 5.0)
        assert answer["success"] and ends.arm.status()["seed"] == 4
        with pytest.raises(RobotError, match="seed is -1"):
            transport.call("/simulation/reset", "imitate_msgs/srv/Reset", {"seed": -1}, 5.0)
        with pytest.raises(RobotError, match="/nothing"):
            transport.call("/nothing", "std_srvs/srv/Trigger", {}, 5.0)


def test_a_message_in_fragments_is_put_together() -> None:
    whole = json.dumps({"op": "publish", "topic": "/t", "msg": {"data": [1.0, 2.0]}})
    parts = [whole[:20], whole[20:40], whole[40:]]
    received = []

    def speak(websocket: Any) -> None:
        websocket.recv()
        for number in (1, 0, 2):
            piece = {"op": "fragment", "id": "7", "data": parts[number], "num": number, "total": 3}
            websocket.send(json.dumps(piece))
        for _ in websocket:
            pass

    with serve(speak, "127.0.0.1", 0) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        transport = RosbridgeTransport(f"ws://127.0.0.1:{server.socket.getsockname()[1]}", 2)
        transport.open([Topic("/t", messages.VALUES)], [], lambda *given: received.append(given), 5.0)
        wait_until(lambda: bool(received))
        transport.close()
        server.shutdown()
        thread.join()
    assert received[0][0] == "/t" and received[0][1]["data"].tolist() == [1.0, 2.0]


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


def findings(ends: Bridged, what: RobotDescription) -> list[str]:
    robot = robot_at(ends.bridge.port, 2, what)
    robot.connect(5.0)
    found = [f"{finding.level} {finding.text}" for finding in robot.findings()]
    robot.close()
    return found


def changed(**sources: Any) -> RobotDescription:
    plain = description()
    return RobotDescription(
        {**plain.observations, **sources}, plain.measured, plain.targets, state_rate_hz=50.0
    )


def test_a_check_finds_what_is_there_and_what_is_missing_or_mismatched() -> None:
    with bridged_arm(config=TinyConfig(cameras=("front",))) as ends:
        assert not [line for line in findings(ends, description()) if not line.startswith("ok")]
        found = findings(
            ends,
            changed(
                joints=JointSource("/joint_states", ("joint1", "joint9")),
                absent=JointSource("/joint_state", ("a",)),
                camera=ImageSource("/camera/front/compressed", (4, 6)),
                squeezed=ImageSource("/camera/front/compressed", (4, 4)),
            ),
        )
        wrong = findings(ends, changed(pose=ImageSource("/arm/twist", (4, 4))))
    text = "\n".join(found)
    assert "error observation joints: joints ['joint9'] do not come on /joint_states" in text
    assert "error observation absent: topic /joint_state" in text or "nothing came on /joint_state " in text
    assert "warning observation camera: pictures are 8 x 12, the policy sees 4 x 6" in text
    assert "another aspect ratio" in text
    assert any("has type geometry_msgs/msg/TwistStamped" in line for line in wrong)


def test_a_check_finds_who_else_commands_and_that_nobody_listens() -> None:
    with bridged_arm() as ends:
        ends.bridge.advertise(Topic("/arm/twist", messages.TWIST), "/joystick")
        ends.bridge.advertise(Topic("/clock", "rosgraph_msgs/msg/Clock"), "/gazebo")
        plain = description()
        lost = Target("gripper", "/gripper/command", ("gripper",), "values", ("gripper",))
        found = findings(
            ends,
            RobotDescription(
                plain.observations,
                plain.measured,
                {**plain.targets, "gripper": lost},
                stop=StopSource("/stop", required=True),
            ),
        )
    text = "\n".join(found)
    assert "warning command arm: /joystick also commands on /arm/twist" in text
    assert (
        "error command gripper: nobody listens to /gripper/command (did you mean '/gripper/commands'" in text
    )
    assert "simulated time" in text
    assert "error emergency stop: nothing came on /stop" in text
