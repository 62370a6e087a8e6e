"""Topics and services of ROS 1 through rospy, which lives in a process of its own.

The system's Python has rospy, ours need not. See imitate.deploy.transport for the contract, and
ros1_helper.py for what passes between the processes.
"""

import itertools
import json
import os
import queue
import socket
import struct
import subprocess
import threading
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import IO, Any

from imitate.deploy.ros_types import decode_ros1, definition_ros1, encode_ros1
from imitate.deploy.transport import Message, OnMessage, Survey, Topic, TopicSurvey
from imitate.errors import RobotError

HELPER = Path(__file__).with_name("ros1_helper.py")
NODE = "imitate_deploy"
# The helper says ten times per second that it lives.
STATUS_MAX_AGE_S = 0.5
SETTLE_S = 0.2
PATIENCE_S = 1.0
POLL_S = 0.02
SURVEY_S = 5.0
EXIT_S = 2.0
STARTING_S = 10.0

Head = dict[str, Any]


class Ros1Transport:
    """A node of the master at `master` ("" for ROS_MASTER_URI), run by the interpreter `python`."""

    def __init__(self, master: str, python: str) -> None:
        self._master, self._python = master, python
        self._process: subprocess.Popen[bytes] | None = None
        self._socket: socket.socket | None = None
        self._thread: threading.Thread | None = None
        self._types: Mapping[str, Topic] = {}
        self._publications: Mapping[str, Topic] = {}
        self._status: Head = {}
        self._status_s = -1.0
        self._wrong_types: dict[str, str] = {}
        self._answers: dict[int, queue.SimpleQueue[Head]] = {}
        self._numbers = itertools.count()
        self._error: Head | None = None

    def open(
        self,
        subscriptions: Sequence[Topic],
        publications: Sequence[Topic],
        on_message: OnMessage,
        timeout_s: float,
    ) -> None:
        """See Transport; waits until every topic has a partner, or some have and no more come.

        Raises RobotError without rospy, without a master, or where no topic has a partner in `timeout_s`.
        """
        deadline_s = time.monotonic() + timeout_s
        settings = {
            "node": NODE,
            "timeout_s": timeout_s,
            "subscriptions": {topic.name: ros1_type(topic.type) for topic in subscriptions},
            "publications": {topic.name: _publication(topic) for topic in publications},
        }
        self._types = {topic.name: topic for topic in subscriptions}
        self._publications = {topic.name: topic for topic in publications}
        process = self._start(settings)
        assert process.stdout is not None
        self._thread = threading.Thread(
            target=self._listen, args=(process.stdout, on_message), name="ros1", daemon=True
        )
        self._thread.start()
        try:
            self._wait_for_partners(deadline_s)
        except RobotError:
            self.close()
            raise

    def publish(self, topic: str, message: Message) -> bool:
        """See Transport; False where nobody subscribes."""
        described = self._publications.get(topic)
        if described is None:
            return False
        data = encode_ros1(message, described.type)
        if not self._partners("publications").get(topic):
            return False
        return self._send({"topic": topic, "made_s": time.monotonic()}, data)

    def send_goal(self, action: str, action_type: str, goal: Message) -> bool:
        """Actions of ROS 1 are left to rosbridge: RobotError."""
        raise RobotError(
            f"{action}: rospy topics carry no action here; use a robot with the rosbridge backend"
        )

    def call(self, service: str, service_type: str, request: Message, timeout_s: float) -> dict[str, Any]:
        """See Transport; the service's Python package must be installed beside rospy."""
        asked = {
            "service": service,
            "type": ros1_type(service_type),
            "request": request,
            "timeout_s": timeout_s,
        }
        answer = self._ask("call", asked, timeout_s)
        if "error" in answer:
            raise RobotError(f"service {service}: {answer['error']}")
        found: dict[str, Any] = answer["response"]
        return found

    def is_connected(self) -> bool:
        """Whether the node lives and has a subscriber for a command, or where there are none a publisher."""
        kind = "publications" if self._publications else "subscriptions"
        return any(self._partners(kind).values())

    def survey(self) -> Survey:
        """See Transport; what the master knows."""
        answer = self._ask("survey", {}, SURVEY_S)
        if "error" in answer:
            raise RobotError(answer["error"])
        topics = {
            name: TopicSurvey(
                ros2_type(entry["type"]), tuple(entry["publishers"]), tuple(entry["subscribers"])
            )
            for name, entry in answer["topics"].items()
        }
        remarks = [
            f"{topic}: {found} comes, expected {ros1_type(self._types[topic].type)}; it is ignored"
            for topic, found in self._wrong_types.items()
        ]
        return Survey(topics, answer["use_sim_time"], tuple(remarks))

    def close(self) -> None:
        """See Transport; the helper ends with its socket."""
        connection, process, thread = self._socket, self._process, self._thread
        self._socket = self._process = self._thread = None
        self._status_s = -1.0
        if connection is not None:
            connection.close()
        if process is not None:
            _end(process)
        if thread is not None and thread is not threading.current_thread():
            thread.join()
        if process is not None and process.stdout is not None:
            process.stdout.close()

    def _start(self, settings: Head) -> "subprocess.Popen[bytes]":
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        ours.setblocking(False)
        self._error, self._socket = None, ours
        environment = {**os.environ, **({"ROS_MASTER_URI": self._master} if self._master else {})}
        # The helper must find its own Python's packages, not ours.
        environment.pop("VIRTUAL_ENV", None)
        try:
            process = subprocess.Popen(
                [self._python, str(HELPER), str(theirs.fileno())],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                env=environment,
                pass_fds=(theirs.fileno(),),
            )
        except OSError as error:
            ours.close()
            raise RobotError(f"robot.python is {self._python!r}, which does not start: {error}") from error
        finally:
            theirs.close()
        assert process.stdin is not None
        with suppress(BrokenPipeError), process.stdin as stdin:
            stdin.write(json.dumps(settings).encode() + b"\n")
        self._process = process
        return process

    def _wait_for_partners(self, deadline_s: float) -> None:
        # Starting Python and rospy does not count as the robot's time.
        started_s, first_s = time.monotonic(), None
        while self._error is None:
            now_s = time.monotonic()
            partners = {**self._partners("publications"), **self._partners("subscriptions")}
            if self._status and any(partners.values()) and first_s is None:
                first_s = now_s
            if self._status and (all(partners.values()) or (first_s and now_s > first_s + PATIENCE_S)):
                time.sleep(SETTLE_S)
                return
            if now_s > deadline_s and (self._status or now_s > started_s + STARTING_S):
                self._error = {"error": self._nobody()}
            time.sleep(POLL_S)
        hint = (
            "; run  apt-get install python3-rospy  or set robot.python" if self._error.get("missing") else ""
        )
        raise RobotError(f"{self._error['error']}{hint}")

    def _nobody(self) -> str:
        if not self._status:
            return f"the ROS 1 node did not start in time ({self._python})"
        names = ", ".join([*self._types, *self._publications])
        master = self._master or os.environ.get("ROS_MASTER_URI", "")
        return f"ROS 1 master {master}: nobody is there for {names}"

    def _listen(self, stdout: IO[bytes], on_message: OnMessage) -> None:
        """Hand over what the helper sends, until it ends."""
        while (frame := _read_frame(stdout)) is not None:
            head, data = frame
            if "arrived_s" in head:
                with suppress(RobotError):
                    message = decode_ros1(data, self._types[head["topic"]].type)
                    on_message(head["topic"], message, head["arrived_s"])
            else:
                self._take(head)
        self._status_s = -1.0
        if self._error is None:
            self._error = {"error": "the ROS 1 node ended"}

    def _take(self, head: Head) -> None:
        if "status" in head:
            self._status, self._status_s = head["status"], time.monotonic()
        elif "answer" in head and head["answer"] in self._answers:
            self._answers[head["answer"]].put(head)
        elif "wrong_type" in head:
            self._wrong_types[head["topic"]] = head["wrong_type"]
        elif "error" in head:
            self._error = head

    def _partners(self, kind: str) -> Mapping[str, int]:
        """By topic how many partners there are; none where the helper has not been heard of lately."""
        if time.monotonic() - self._status_s > STATUS_MAX_AGE_S:
            return {}
        found: Mapping[str, int] = self._status[kind]
        return found

    def _ask(self, what: str, asked: Head, timeout_s: float) -> Head:
        number = next(self._numbers)
        answers: queue.SimpleQueue[Head] = queue.SimpleQueue()
        self._answers[number] = answers
        try:
            if not self._send({what: number, **asked}, b""):
                raise RobotError("the ROS 1 node is not running: connect first")
            return answers.get(timeout=timeout_s)
        except queue.Empty:
            asked_of = asked.get("service", "the ROS 1 node")
            raise RobotError(f"{asked_of} did not answer within {timeout_s:g} s") from None
        finally:
            del self._answers[number]

    def _send(self, head: Head, data: bytes) -> bool:
        """One packet, whole or not at all, and never waiting."""
        connection, text = self._socket, json.dumps(head).encode()
        if connection is None:
            return False
        try:
            connection.send(struct.pack("<I", len(text)) + text + data)
        except OSError:
            return False
        return True


def ros1_type(name: str) -> str:
    """ "pkg/msg/Type" is "pkg/Type" in ROS 1."""
    package, _, last = name.split("/")
    return f"{package}/{last}"


def ros2_type(name: str) -> str:
    """What `ros1_type` was given, of messages; other names as they are."""
    package, _, last = name.partition("/")
    return f"{package}/msg/{last}" if last and "/" not in last else name


def _publication(topic: Topic) -> dict[str, str]:
    if "/msg/" not in topic.type:
        raise RobotError(
            f"{topic.name} is an action or service ({topic.type}); use a robot with the rosbridge backend"
        )
    text, md5 = definition_ros1(topic.type)
    return {"type": ros1_type(topic.type), "md5": md5, "text": text}


def _read_frame(stdout: IO[bytes]) -> tuple[Head, bytes] | None:
    lengths = stdout.read(8)
    if len(lengths) < 8:
        return None
    head, data = struct.unpack("<II", lengths)
    found, payload = stdout.read(head), stdout.read(data)
    return (json.loads(found), payload) if len(payload) == data and len(found) == head else None


def _end(process: "subprocess.Popen[bytes]") -> None:
    """Wait for the helper, which ends by itself; kill it where it is frozen."""
    try:
        process.wait(EXIT_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
