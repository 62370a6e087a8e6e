"""A client of rosbridge: topics, services and actions of ROS 1 and ROS 2 over WebSockets.

A small client of our own, since the usual one keeps commands while disconnected and sends them later.
"""

import itertools
import time
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from typing import Any, Literal

from imitate.deploy.backends.rosbridge_connection import Connection, failures, open_socket
from imitate.deploy.backends.rosbridge_dialect import Dialect, frame, generic_type, parse
from imitate.deploy.messages import COMPRESSED_IMAGE, IMAGE, header
from imitate.deploy.transport import Message, OnMessage, Survey, Topic, TopicSurvey
from imitate.errors import RobotError

IMAGES = (COMPRESSED_IMAGE, IMAGE)
OWN_NODES = ("rosbridge_websocket", "rosapi")
"""Nodes that stand for clients of the bridge, of which we are one."""
SURVEY_TIMEOUT_S = 5.0
LAUNCH = {
    1: "roslaunch rosbridge_server rosbridge_websocket.launch",
    2: "ros2 launch rosbridge_server rosbridge_websocket_launch.xml",
}


class RosbridgeTransport:
    """A transport (see imitate.deploy.transport) to the rosbridge server at `url`.

    Commands and states share one connection, every camera has its own: a slow picture never delays a
    joint. States come as JSON, pictures as CBOR (the ROS 1 server's CBOR fails on lists of text).
    """

    def __init__(self, url: str, ros: Literal[1, 2]) -> None:
        self._url, self._dialect = url, Dialect(ros)
        self._types: dict[str, str] = {}
        self._watched: tuple[str, ...] = ()
        self._connections: list[Connection] = []
        self._on_message: OnMessage = _ignore
        self._numbers = itertools.count(1)

    def open(
        self,
        subscriptions: Sequence[Topic],
        publications: Sequence[Topic],
        on_message: OnMessage,
        timeout_s: float,
    ) -> None:
        """Connect every stream; RobotError where one of them is not there in `timeout_s`."""
        self._on_message = on_message
        self._types = {topic.name: topic.type for topic in subscriptions}
        self._watched = tuple(topic.name for topic in (*subscriptions, *publications))
        self._connections = self._streams(subscriptions, publications)
        for connection in self._connections:
            connection.start()
        deadline_s = time.monotonic() + timeout_s
        for connection in self._connections:
            if not connection.wait_open(max(0.0, deadline_s - time.monotonic())):
                self.close()
                raise self._unreachable(connection.problem, timeout_s)

    def publish(self, topic: str, message: Message) -> bool:
        """Send one `publish` operation on the connection of commands."""
        if not self._connections:
            return False
        body = self._dialect.encode(message)
        return self._connections[0].send(frame({"op": "publish", "topic": topic, "msg": body}))

    def send_goal(self, action: str, action_type: str, goal: Message) -> bool:
        """A goal: an operation of its own in ROS 2, a message on the topic ACTION/goal in ROS 1."""
        name = f"imitate-{next(self._numbers)}"
        if self._dialect.ros == 1:
            goal_id = {"stamp": {"sec": 0, "nanosec": 0}, "id": f"{name}-{time.time_ns()}"}
            return self.publish(f"{action}/goal", {"header": header(0.0), "goal_id": goal_id, "goal": goal})
        body = {"action": action, "action_type": action_type, "args": self._dialect.encode(goal)}
        text = frame({"op": "send_action_goal", "id": name, **body, "feedback": False})
        return bool(self._connections) and self._connections[0].send(text)

    def call(self, service: str, service_type: str, request: Message, timeout_s: float) -> dict[str, Any]:
        """Call a service on a connection of its own, so that it delays no command."""
        body = {"type": self._dialect.type_name(service_type), "args": self._dialect.encode(request)}
        try:
            with open_socket(self._url, timeout_s) as current:
                return self._ask(current, service, body, timeout_s)
        except failures() as error:
            raise self._unreachable(str(error) or f"no answer of {service}", timeout_s) from error

    def is_connected(self) -> bool:
        """Whether the connection of commands is open."""
        return bool(self._connections) and self._connections[0].is_open()

    def survey(self) -> Survey:
        """Ask rosapi which topics there are, and who is at the ends of ours."""
        try:
            with open_socket(self._url, SURVEY_TIMEOUT_S) as current:
                return self._survey(current)
        except (RobotError, OSError, failures()[1]) as error:
            text = f"rosapi does not answer ({error}), so topics cannot be listed: is its node running?"
            return Survey(None, remarks=(text,))

    def close(self) -> None:
        """Close every connection."""
        for connection in self._connections:
            connection.close()
        self._connections = []

    def _streams(self, subscriptions: Sequence[Topic], publications: Sequence[Topic]) -> list[Connection]:
        pictures = [topic for topic in subscriptions if topic.type in IMAGES]
        states = [topic for topic in subscriptions if topic.type not in IMAGES]
        advertised = [self._advertise(topic) for topic in publications if not self._is_ros2_action(topic)]
        return [
            self._connection(advertised, self._subscribe(states, "none"), newest_only=False),
            *(self._connection([], self._subscribe([t], "cbor"), newest_only=True) for t in pictures),
        ]

    def _connection(self, advertised: list[str], subscribed: dict[str, str], newest_only: bool) -> Connection:
        renews = self._dialect.ros == 2
        return Connection(self._url, advertised, subscribed, self._receive, newest_only, renews)

    def _is_ros2_action(self, topic: Topic) -> bool:
        return "/action/" in topic.type and self._dialect.ros == 2

    def _advertise(self, topic: Topic) -> str:
        name, message_type = topic.name, self._dialect.type_name(topic.type)
        if "/action/" in topic.type:
            name, message_type = f"{name}/goal", f"{message_type}ActionGoal"
        # A longer queue would keep commands for subscribers that come late.
        return frame({"op": "advertise", "topic": name, "type": message_type, "queue_size": 1})

    def _subscribe(self, topics: Iterable[Topic], compression: str) -> dict[str, str]:
        return {
            topic.name: frame(
                {
                    "op": "subscribe",
                    "id": topic.name,
                    "topic": topic.name,
                    "type": self._dialect.type_name(topic.type),
                    "compression": compression,
                    "throttle_rate": 0,
                    "queue_length": 0,
                }
            )
            for topic in topics
        }

    def _receive(self, operation: dict[str, Any], arrived_s: float) -> None:
        topic, message = operation.get("topic"), operation.get("msg")
        if operation.get("op") == "publish" and topic in self._types and isinstance(message, Mapping):
            # What cannot be decoded is no message; its age will tell.
            with suppress(ValueError):
                self._on_message(topic, self._dialect.decode(message, self._types[topic]), arrived_s)

    def _survey(self, current: Any) -> Survey:
        listed = self._ask(current, "/rosapi/topics", {}, SURVEY_TIMEOUT_S)
        types = dict(zip(listed["topics"], map(generic_type, listed["types"]), strict=True))
        topics = {}
        for name, found in types.items():
            is_ours = name in self._watched
            topics[name] = TopicSurvey(
                found,
                self._nodes(current, "publishers", name) if is_ours else None,
                self._nodes(current, "subscribers", name) if is_ours else None,
            )
        return Survey(topics, use_sim_time="/clock" in types)

    def _nodes(self, current: Any, end: str, topic: str) -> tuple[str, ...]:
        answer = self._ask(current, f"/rosapi/{end}", {"args": {"topic": topic}}, SURVEY_TIMEOUT_S)
        return tuple(
            node for node in answer[end] if not any(part in node.rpartition("/")[2] for part in OWN_NODES)
        )

    def _ask(self, current: Any, service: str, body: Mapping[str, Any], timeout_s: float) -> dict[str, Any]:
        name = f"imitate-{next(self._numbers)}"
        current.send(frame({"op": "call_service", "id": name, "service": service, **body}))
        deadline_s = time.monotonic() + timeout_s
        while (left_s := deadline_s - time.monotonic()) > 0:
            answer = parse(current.recv(timeout=left_s))
            if answer.get("op") == "service_response" and answer.get("id") == name:
                return self._values(service, answer)
        raise TimeoutError(f"no answer of {service}")

    def _values(self, service: str, answer: Mapping[str, Any]) -> dict[str, Any]:
        values = answer.get("values")
        if not answer.get("result", True) or not isinstance(values, Mapping):
            raise RobotError(f"service {service} failed: {values or 'no reason given'}")
        return dict(self._dialect.decode(values, ""))

    def _unreachable(self, problem: str, timeout_s: float) -> RobotError:
        return RobotError(
            f"rosbridge at {self._url} cannot be reached within {timeout_s:g} s ({problem}): on the robot "
            f"run  {LAUNCH[self._dialect.ros]}  and check `url` of the robot's YAML"
        )


def _ignore(topic: str, message: Message, arrived_s: float) -> None:
    """Before `open`."""
