"""A small rosbridge v2 server: enough of the protocol for a simulated robot and for tests.

It stands for the server and for the robot's ROS at once. Source: the protocol document of
RobotWebTools/rosbridge_suite. Like that server it tells a client nothing of what it drops.
"""

import functools
import threading
import time
from collections.abc import Mapping
from contextlib import suppress
from typing import Any, Literal

import numpy as np

from imitate.deploy.backends.rosbridge_dialect import ARRAY_TAGS, Dialect, frame, generic_type, parse
from imitate.deploy.simulation.bridge_session import BridgeSession, Subscription
from imitate.deploy.simulation.ros_graph import OnTopic, RosGraph, Service
from imitate.deploy.simulation.watchdog import Watchdog
from imitate.deploy.transport import Message, Topic
from imitate.errors import RobotError, import_extra

CLIENTS = "/rosbridge_websocket"
"""The node that stands for all clients."""


class BridgeServer:
    """A server at `host`:`port` (0: any free port) between WebSocket clients and this process.

    What clients publish reaches listeners here and subscribed clients; a message that may have waited
    while this process was frozen reaches nobody.
    """

    def __init__(self, host: str = "127.0.0.1", port: int = 0, ros: Literal[1, 2] = 2) -> None:
        self.graph = RosGraph()
        self.dialect = Dialect(ros)
        self._sessions: list[BridgeSession] = []
        self._lock = threading.Lock()
        self._watchdog = Watchdog()
        serve = import_extra("websockets.sync.server", "ros").serve
        try:
            self._server = serve(
                self._handle,
                host,
                port,
                compression=None,
                max_size=None,
                close_timeout=0.2,
                ping_interval=5.0,
            )
        except OSError as error:
            raise RobotError(f"cannot listen at {host}:{port}: {error.strerror or error}") from error
        self.port = int(self._server.socket.getsockname()[1])
        self.address = f"ws://{host}:{self.port} (ROS {ros})"
        self._thread = threading.Thread(target=self._server.serve_forever, name="bridge", daemon=True)
        self._provide_rosapi()

    def start(self) -> None:
        """Serve from threads of its own."""
        self._watchdog.start()
        self._thread.start()

    def close(self) -> None:
        """Send every client away and join all threads."""
        if self._thread.is_alive():
            self._server.shutdown()
            self._thread.join()
        else:
            self._server.socket.close()
        self._watchdog.close()

    def advertise(self, topic: Topic, node: str) -> None:
        """Publish from this process as `node`."""
        self.graph.join(topic, node, publishes=True)

    def listen(self, topic: Topic, node: str, listener: OnTopic) -> None:
        """Call `listener` with every message of `topic` and its local monotonic arrival time."""
        self.graph.listen(topic, node, listener)

    def provide(self, service: str, answer: Service) -> None:
        """Answer calls of `service`."""
        self.graph.services[service] = answer

    def provide_action(self, action: str, answer: Service) -> None:
        """Carry out goals of `action` (ROS 2)."""
        self.graph.actions[action] = answer

    def publish(self, topic: str, message: Message) -> None:
        """Send a message of this process to every client that subscribed."""
        encode = {
            "none": functools.cache(lambda: self.json_frame(topic, message)),
            "cbor": functools.cache(lambda: self.cbor_frame(topic, message)),
        }
        with self._lock:
            sessions = list(self._sessions)
        for session in sessions:
            session.offer(topic, encode)

    def json_frame(self, topic: str, message: Message) -> str | None:
        """A `publish` operation; null for numbers that JSON cannot say."""
        body = self.dialect.encode(_nulled(message))
        return frame({"op": "publish", "topic": topic, "msg": body})

    def cbor_frame(self, topic: str, message: Message) -> bytes | None:
        """The same as CBOR, with tagged arrays and plain bytes."""
        cbor = import_extra("cbor2", "ros")
        body = _tagged(message, self.dialect, cbor.CBORTag)
        return bytes(cbor.dumps({"op": "publish", "topic": topic, "msg": body}))

    def receive(self, session: BridgeSession, topic: str, message: Message) -> None:
        """What a client published."""
        now_s = time.monotonic()
        if not self._watchdog.trusts(now_s):
            return
        for listener in self.graph.listeners(topic):
            listener(message, now_s)
        self.publish(topic, message)

    def _handle(self, websocket: Any) -> None:
        session = BridgeSession(websocket)
        with self._lock:
            self._sessions.append(session)
        try:
            for data in websocket:
                # The server of rosbridge logs what it does not understand, and goes on.
                with suppress(KeyError, TypeError, ValueError, RobotError):
                    self._operate(session, parse(data))
        except import_extra("websockets.exceptions", "ros").ConnectionClosed:
            pass
        finally:
            self._leave(session)

    def _leave(self, session: BridgeSession) -> None:
        with self._lock:
            self._sessions.remove(session)
        for topic in session.advertised:
            self.graph.leave(topic, CLIENTS, publishes=True)
        for topic in session.subscriptions:
            self.graph.leave(topic, CLIENTS, publishes=False)
        session.close()

    def _operate(self, session: BridgeSession, operation: Mapping[str, Any]) -> None:
        handlers = {
            "advertise": self._advertise,
            "unadvertise": self._unadvertise,
            "publish": self._publish,
            "subscribe": self._subscribe,
            "unsubscribe": self._unsubscribe,
            "call_service": self._call,
            "send_action_goal": self._send_goal,
        }
        handler = handlers.get(str(operation.get("op")))
        if handler is not None:
            handler(session, operation)

    def _advertise(self, session: BridgeSession, operation: Mapping[str, Any]) -> None:
        topic = Topic(operation["topic"], generic_type(operation["type"]))
        if topic.name not in session.advertised and self.graph.join(topic, CLIENTS, publishes=True):
            session.advertised.add(topic.name)

    def _unadvertise(self, session: BridgeSession, operation: Mapping[str, Any]) -> None:
        if operation["topic"] in session.advertised:
            session.advertised.remove(operation["topic"])
            self.graph.leave(operation["topic"], CLIENTS, publishes=True)

    def _publish(self, session: BridgeSession, operation: Mapping[str, Any]) -> None:
        topic = operation["topic"]
        message_type = self.graph.type_of(topic)
        if message_type is not None:
            self.receive(session, topic, self.dialect.decode(operation["msg"], message_type))

    def _subscribe(self, session: BridgeSession, operation: Mapping[str, Any]) -> None:
        name = operation["topic"]
        message_type = operation.get("type") or self.graph.type_of(name)
        if message_type is None:
            return
        wanted = Subscription(operation.get("compression", "none"), operation.get("throttle_rate", 0) / 1000)
        topic = Topic(name, generic_type(message_type))
        is_known = name in session.subscriptions
        # First this: whoever sees a subscriber in the graph may publish to it at once.
        session.subscriptions[name] = wanted
        if not is_known and not self.graph.join(topic, CLIENTS, publishes=False):
            del session.subscriptions[name]

    def _unsubscribe(self, session: BridgeSession, operation: Mapping[str, Any]) -> None:
        if session.subscriptions.pop(operation["topic"], None) is not None:
            self.graph.leave(operation["topic"], CLIENTS, publishes=False)

    def _call(self, session: BridgeSession, operation: Mapping[str, Any]) -> None:
        name = operation["service"]
        values, is_done = self._answer(self.graph.services, name, operation.get("args") or {})
        answer = {"op": "service_response", "service": name, "values": values, "result": is_done}
        session.send(frame({**answer, "id": operation.get("id")}))

    def _send_goal(self, session: BridgeSession, operation: Mapping[str, Any]) -> None:
        name = operation["action"]
        values, is_done = self._answer(self.graph.actions, name, operation["args"])
        # action_msgs/GoalStatus: 4 succeeded, 6 aborted.
        answer = {"op": "action_result", "action": name, "values": values, "status": 4 if is_done else 6}
        session.send(frame({**answer, "result": is_done, "id": operation.get("id")}))

    @staticmethod
    def _answer(known: Mapping[str, Service], name: str, request: Mapping[str, Any]) -> tuple[Any, bool]:
        if name not in known:
            return f"{name} does not exist", False
        try:
            return known[name](request), True
        except RobotError as error:
            return str(error), False

    def _provide_rosapi(self) -> None:
        spell = self.dialect.type_name
        self.provide("/rosapi/topics", lambda request: self._listed(self.graph.types()))
        self.provide("/rosapi/topic_type", lambda r: {"type": spell(self.graph.type_of(r["topic"]) or "")})
        self.provide("/rosapi/publishers", lambda r: {"publishers": self.graph.nodes(r["topic"], True)})
        self.provide("/rosapi/subscribers", lambda r: {"subscribers": self.graph.nodes(r["topic"], False)})

    def _listed(self, types: Mapping[str, str]) -> dict[str, Any]:
        return {"topics": list(types), "types": [self.dialect.type_name(name) for name in types.values()]}


def _nulled(value: Any) -> Any:
    """`value` with null for every number that is not finite."""
    if isinstance(value, np.ndarray) and value.dtype.kind == "f" and not np.isfinite(value).all():
        return [item if np.isfinite(item) else None for item in value.tolist()]
    if isinstance(value, float) and not np.isfinite(value):
        return None
    if isinstance(value, Mapping):
        return {key: _nulled(item) for key, item in value.items()}
    return [_nulled(item) for item in value] if isinstance(value, list) else value


def _tagged(value: Any, dialect: Dialect, tag: Any) -> Any:
    """`value` for CBOR: arrays of numbers as RFC 8746 says, times as the dialect spells them."""
    if isinstance(value, np.ndarray):
        kind = value.dtype.newbyteorder("<").str
        number = next(number for number, name in ARRAY_TAGS.items() if np.dtype(name) == np.dtype(kind))
        return tag(number, value.astype(kind).tobytes())
    if isinstance(value, Mapping):
        if set(value) == {"sec", "nanosec"}:
            return dialect.encode({"stamp": value})["stamp"]
        return {key: _tagged(item, dialect, tag) for key, item in value.items()}
    return [_tagged(item, dialect, tag) for item in value] if isinstance(value, list) else value
