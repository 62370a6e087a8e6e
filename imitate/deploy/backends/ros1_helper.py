"""A ROS 1 node in a process of its own, run by the Python that has rospy; knows nothing of imitate.

    python3 ros1_helper.py COMMANDS_FD < settings.json

Settings: {node, timeout_s, subscriptions: {topic: type}, publications: {topic: {type, md5, text}}}. To us it
writes frames on stdout: two lengths (uint32, little-endian) of a JSON head and of bytes. From us it reads
packets of the socket COMMANDS_FD: one length, a JSON head, bytes. It ends when that socket is closed.

Messages pass as bytes: nothing is decoded here, so no message package needs to be installed. Of each topic
only the newest message waits for stdout, and a command that waited longer than MAX_AGE_S is not published.
Python 3.8 is enough.
"""

from __future__ import annotations

import json
import os
import socket
import struct
import sys
import threading
import time
from typing import Any, NoReturn

MAX_AGE_S = 0.1
STATUS_S = 0.1
PACKET_BYTES = 1 << 18
# rospy reads a socket in pieces of this size, and with small ones large messages fall behind.
BUFFER_BYTES = 1 << 24


class Outbox:
    """The newest frame of each name, written to stdout by a thread of its own."""

    def __init__(self) -> None:
        self._waiting: dict[str, tuple[Any, bytes]] = {}
        self._ready = threading.Condition()
        # Whatever prints must not get in between the frames.
        self._stdout = os.fdopen(os.dup(1), "wb")
        os.dup2(2, 1)
        threading.Thread(target=self._write_all, daemon=True).start()

    def put(self, name: str, head: Any, data: bytes = b"") -> None:
        """Replace what waits under `name`."""
        with self._ready:
            self._waiting[name] = (head, data)
            self._ready.notify()

    def _write_all(self) -> None:
        while True:
            with self._ready:
                self._ready.wait_for(lambda: self._waiting)
                waiting, self._waiting = self._waiting, {}
            for head, data in waiting.values():
                self.write(head, data)

    def write(self, head: Any, data: bytes = b"") -> None:
        """Write one frame at once."""
        text = json.dumps(head).encode()
        try:
            self._stdout.write(struct.pack("<II", len(text), len(data)) + text)
            self._stdout.write(data)
            self._stdout.flush()
        except (BrokenPipeError, ValueError):
            os._exit(0)


def fail(text: bytes) -> NoReturn:
    """Say why there is no node, and end."""
    sys.stdout.buffer.write(struct.pack("<II", len(text), 0) + text)
    sys.stdout.flush()
    os._exit(1)


def import_rospy() -> Any:
    """rospy; without it the process ends with a frame that says so."""
    try:
        import rospy
    except ImportError as error:
        found = json.dumps({"error": f"{sys.executable} has no rospy ({error})", "missing": True})
        fail(found.encode())
    return rospy


def wait_for_master(rosgraph: Any, timeout_s: float) -> None:
    """Until the master answers; rospy itself would wait for ever."""
    deadline = time.monotonic() + timeout_s
    while not rosgraph.is_master_online():
        if time.monotonic() > deadline:
            fail(json.dumps({"error": f"no master answers at {rosgraph.get_master_uri()}"}).encode())
        time.sleep(0.1)


def raw_class(rospy: Any, described: Any) -> Any:
    """A message class whose content is bytes already."""
    package_and_name = described["type"]
    members = {"_type": package_and_name, "_md5sum": described["md5"], "_full_text": described["text"]}
    return type("Raw", (rospy.AnyMsg,), members)


class Node:
    """Subscribers that put bytes in the outbox, publishers that take them from packets."""

    def __init__(self, rospy: Any, settings: Any, outbox: Outbox) -> None:
        self._rospy, self._outbox = rospy, outbox
        self._classes = {topic: raw_class(rospy, d) for topic, d in settings["publications"].items()}
        self._publishers = {
            topic: rospy.Publisher(topic, found, queue_size=1, tcp_nodelay=True)
            for topic, found in self._classes.items()
        }
        self._subscribers = {
            topic: rospy.Subscriber(
                topic,
                rospy.AnyMsg,
                self._took,
                callback_args=(topic, expected),
                queue_size=1,
                buff_size=BUFFER_BYTES,
                tcp_nodelay=True,
            )
            for topic, expected in settings["subscriptions"].items()
        }

    def status(self) -> Any:
        """How many peers each topic has."""
        return {
            "publications": {topic: p.get_num_connections() for topic, p in self._publishers.items()},
            "subscriptions": {topic: s.get_num_connections() for topic, s in self._subscribers.items()},
        }

    def handle(self, head: Any, data: bytes) -> None:
        """Do what one packet asks."""
        if "survey" in head:
            self._outbox.put(f"survey {head['survey']}", {"answer": head["survey"], **self._survey()})
        elif "call" in head:
            threading.Thread(target=self._call, args=(head,), daemon=True).start()
        elif time.monotonic() - head["made_s"] <= MAX_AGE_S:
            message = self._classes[head["topic"]]()
            message._buff = data
            self._publishers[head["topic"]].publish(message)

    def _took(self, message: Any, described: Any) -> None:
        topic, expected = described
        found = message._connection_header["type"]
        arrived_s = time.monotonic()
        if found != expected:
            self._outbox.put(f"type {topic}", {"topic": topic, "wrong_type": found})
            return
        self._outbox.put(f"topic {topic}", {"topic": topic, "arrived_s": arrived_s}, message._buff)

    def _survey(self) -> Any:
        """Topics with their types, publishers and subscribers, as the master knows them."""
        import rosgraph

        master = rosgraph.Master(self._rospy.get_name())
        try:
            publishers, subscribers, _ = master.getSystemState()
            types = dict(master.getTopicTypes())
        except (OSError, rosgraph.MasterException) as error:
            return {"error": f"the master does not answer: {error}"}
        me = self._rospy.get_name()
        topics: dict[str, Any] = {}
        for kind, state in (("publishers", publishers), ("subscribers", subscribers)):
            for topic, nodes in state:
                entry = topics.setdefault(topic, {"publishers": [], "subscribers": []})
                entry[kind] = [node for node in nodes if node != me]
        for topic, entry in topics.items():
            entry["type"] = types.get(topic, "*")
        return {"topics": topics, "use_sim_time": master.hasParam("/use_sim_time")}

    def _call(self, head: Any) -> None:
        """Call a service whose package is installed."""
        import genpy
        import roslib.message

        answer = {"answer": head["call"]}
        try:
            service = roslib.message.get_service_class(head["type"])
            if service is None:
                raise ImportError(f"no Python package holds {head['type']}")
            request = service._request_class()
            genpy.message.fill_message_args(request, [head["request"]])
            self._rospy.wait_for_service(head["service"], head["timeout_s"])
            answer["response"] = plain(self._rospy.ServiceProxy(head["service"], service)(request))
        except Exception as error:  # Whatever the service does is for the caller to hear.
            answer["error"] = str(error)
        self._outbox.put(f"answer {head['call']}", answer)


def plain(value: Any) -> Any:
    """JSON values of a message of genpy."""
    if hasattr(value, "__slots__") and hasattr(value, "_slot_types"):
        return {name: plain(getattr(value, name)) for name in value.__slots__}
    if hasattr(value, "to_sec"):
        return {"sec": value.secs, "nanosec": value.nsecs}
    return [plain(item) for item in value] if isinstance(value, (list, tuple)) else value


def main() -> None:
    """Be the node until the socket is closed."""
    commands = socket.socket(fileno=int(sys.argv[1]))
    settings = json.loads(sys.stdin.readline())
    rospy = import_rospy()
    import rosgraph

    wait_for_master(rosgraph, settings["timeout_s"])
    outbox = Outbox()
    rospy.init_node(
        settings["node"], anonymous=True, disable_signals=True, disable_rosout=True, disable_rostime=True
    )
    node = Node(rospy, settings, outbox)
    commands.settimeout(STATUS_S)
    while True:
        outbox.put("status", {"status": node.status()})
        deadline = time.monotonic() + STATUS_S
        while time.monotonic() < deadline:
            try:
                packet = commands.recv(PACKET_BYTES)
            except socket.timeout:  # noqa: UP041
                break
            if not packet:
                rospy.signal_shutdown("closed")
                os._exit(0)
            (length,) = struct.unpack_from("<I", packet)
            node.handle(json.loads(packet[4 : 4 + length].decode()), packet[4 + length :])


if __name__ == "__main__":
    main()
