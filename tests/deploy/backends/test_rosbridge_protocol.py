"""What the client says to a server, word by word, and what it makes of a server's words."""

import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import pytest
from bridged_arm import bridged_arm, robot_at, wait_until
from every_form import TARGETS, command, everything
from quirky_bridge import QuirkyBridge
from websockets.sync.server import serve

from imitate.deploy import messages
from imitate.deploy.backends.rosbridge_client import RosbridgeTransport
from imitate.deploy.backends.rosbridge_dialect import Dialect
from imitate.deploy.command import Command
from imitate.deploy.description import JointSource, RobotDescription, Target
from imitate.deploy.transport import Topic
from imitate.errors import RobotError

pytestmark = pytest.mark.timeout(60)
BOTH = pytest.mark.parametrize("ros", [1, 2])


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


GARBAGE: list[str | bytes] = [
    "", "x", "[]", "null", '{"op":"publish"}', '{"op":"publish","topic":"/joint_states","msg":[]}',
    '{"op":"publish","topic":"/joint_states","msg":{"header":"h","name":3,"position":{}}}',
    '{"op":"publish","topic":"/joint_states","msg":{"header":{"stamp":{"sec":1e999,"nanosec":0}},"name":["a","b"]}}',
    '{"op":"publish","topic":"/joint_states","msg":{"name":["a","b"],"position":[1,' + "9" * 400 + "]}}",
    '{"op":"publish","topic":["/joint_states"],"msg":{}}', '{"op":"fragment","id":"1"}', '{"op":"fragment"}',
    '{"op":"fragment","id":"1","data":3,"num":"x","total":1}', '{"op":"status","level":"error"}',
    "[" * 100_000, b"", b"\xff", b"\x9f" * 5000, b"\xd9\xff\xff", b"\xa1\x62op\x67publish",
]  # fmt: skip


def test_no_nonsense_of_a_server_ends_the_client() -> None:
    """After all of it, a right message still comes, on the same connection."""
    state = messages.joint_state(["b", "a"], np.array([2.0, 1.0]), 4.0)
    good = json.dumps({"op": "publish", "topic": "/joint_states", "msg": Dialect(2).encode(state)})

    def speak(websocket: Any) -> None:
        for data in [*GARBAGE, good]:
            websocket.send(data)
        for _ in websocket:
            pass

    with serve(speak, "127.0.0.1", 0) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        robot = robot_at(server.socket.getsockname()[1], 2, everything())
        robot.connect(5.0)
        wait_until(lambda: robot.read().measured["jog"].valid if robot.read().measured else False)
        assert robot.read().measured["jog"].value.tolist() == [1.0, 2.0]
        assert robot.send(command("twist"))
        robot.close()
        server.shutdown()
        thread.join()
