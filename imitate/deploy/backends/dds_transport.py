"""Topics of ROS 2 over DDS itself, without ROS: see imitate.deploy.transport for the contract.

Readers are BEST_EFFORT, VOLATILE, KEEP_LAST 1, which matches every publisher and keeps nothing old; latched
topics are read TRANSIENT_LOCAL. Writers are RELIABLE, VOLATILE, KEEP_LAST 1, which matches every subscriber
that asks for no history. (docs.ros.org, "Quality of Service settings": compatibilities.)
"""

import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from imitate.deploy.backends.dds_network import DdsNetwork
from imitate.deploy.backends.dds_survey import survey
from imitate.deploy.backends.dds_types import sample_of, topic_class, topic_name
from imitate.deploy.ros_types import decode, encode, type_hash
from imitate.deploy.transport import Message, OnMessage, Survey, Topic
from imitate.errors import RobotError, import_extra

# A peer that was just found may miss what is sent in the first tenths of a second.
SETTLE_S = 0.2
# How long to wait for further topics once one was found.
PATIENCE_S = 1.0
POLL_S = 0.02
WAIT_NS = 500_000_000
PARTS = 10
"""Several publishers may share one topic of joints, each with its own: none may push out another's."""
BLOCK_NS = 5_000_000


@dataclass
class _Link:
    """What is open. DDS lets go of each part when nothing refers to it any more."""

    domain: Any
    participant: Any
    readers: dict[Topic, Any]
    writers: dict[Topic, Any]
    waitset: Any
    conditions: list[Any]
    stop: Any

    def let_go(self) -> None:
        """Refer to nothing, so that all ends now, whoever still refers to this link; the domain last."""
        self.waitset = self.stop = None
        for held in (self.conditions, self.readers, self.writers):
            held.clear()
        self.participant = None
        self.domain = None


class DdsTransport:
    """Messages of ROS 2 topics in one DDS domain; there are no services and no actions."""

    def __init__(self, network: DdsNetwork) -> None:
        self._network = network
        self._link: _Link | None = None
        self._by_name: Mapping[str, tuple[Topic, Any]] = {}
        self._thread: threading.Thread | None = None
        self._closing = threading.Event()

    def open(
        self,
        subscriptions: Sequence[Topic],
        publications: Sequence[Topic],
        on_message: OnMessage,
        timeout_s: float,
    ) -> None:
        """See Transport; waits until every topic has a partner, or some have and no more come.

        Raises RobotError where none has in `timeout_s`, and for types of services and actions.
        """
        deadline_s = time.monotonic() + timeout_s
        link = _open_link(self._network, subscriptions, publications)
        self._link = link
        self._by_name = {topic.name: (topic, writer) for topic, writer in link.writers.items()}
        self._closing.clear()
        self._thread = threading.Thread(target=self._drain, args=(link, on_message), name="dds", daemon=True)
        self._thread.start()
        try:
            self._wait_for_partners(link, deadline_s)
        except RobotError:
            self.close()
            raise

    def publish(self, topic: str, message: Message) -> bool:
        """See Transport; False where nobody subscribes."""
        found = self._by_name.get(topic)
        if found is None:
            return False
        described, writer = found
        sample = sample_of(topic_class(described.type), encode(message, described.type))
        try:
            if not writer.get_matched_subscriptions():
                return False
            writer.write(sample)
        except _dds_exception():
            # Another thread closes the link, or the network takes nothing more.
            return False
        return True

    def send_goal(self, action: str, action_type: str, goal: Message) -> bool:
        """There are no actions here: RobotError."""
        raise RobotError(f"{action}: DDS has no portable actions; use a robot with the rosbridge backend")

    def call(self, service: str, service_type: str, request: Message, timeout_s: float) -> dict[str, Any]:
        """There are no services here: RobotError."""
        raise RobotError(f"{service}: DDS has no portable services; use a robot with the rosbridge backend")

    def is_connected(self) -> bool:
        """Whether somebody subscribes to a command; where there are none, whether somebody publishes.

        A robot that vanished counts for the ten seconds of its lease: the age of what it sent tells sooner.
        """
        link = self._link
        if link is None:
            return False
        writers, readers = list(link.writers.values()), list(link.readers.values())
        try:
            if writers:
                return any(writer.get_matched_subscriptions() for writer in writers)
            return any(reader.get_matched_publications() for reader in readers)
        except _dds_exception():
            return False

    def survey(self) -> Survey:
        """See Transport; names participants, as DDS knows no nodes."""
        link = self._link
        if link is None:
            raise RobotError(f"{self._network} is not open: connect first")
        return survey(link.participant, link.readers, link.writers)

    def close(self) -> None:
        """See Transport."""
        self._closing.set()
        link, thread = self._link, self._thread
        if link is not None:
            link.stop.set(True)
        if thread is not None and thread is not threading.current_thread():
            thread.join()
        self._by_name, self._link, self._thread = {}, None, None
        if link is not None:
            link.let_go()

    def _drain(self, link: _Link, on_message: OnMessage) -> None:
        """Hand over what comes, until `close`."""
        while not self._closing.is_set():
            link.waitset.wait(WAIT_NS)
            for topic, reader in link.readers.items():
                for sample in reader.take(_depth(topic)):
                    arrived_s = time.monotonic()
                    message = _message(sample, topic.type)
                    if message is not None:
                        on_message(topic.name, message, arrived_s)

    def _wait_for_partners(self, link: _Link, deadline_s: float) -> None:
        first_s = None
        while (now_s := time.monotonic()) < deadline_s:
            missing = _without_partner(link)
            if len(missing) < len(link.readers) + len(link.writers) and first_s is None:
                first_s = now_s
            if not missing or (first_s is not None and now_s > first_s + PATIENCE_S):
                time.sleep(SETTLE_S)
                return
            time.sleep(POLL_S)
        if first_s is None and (link.readers or link.writers):
            raise RobotError(self._nobody(link))

    def _nobody(self, link: _Link) -> str:
        found = survey(link.participant, link.readers, link.writers)
        there = ", ".join(list(found.topics or {})[:5]) or "no ROS topics at all"
        problem = f"{found.remarks[0]}; " if found.remarks else ""
        return (
            f"{self._network}: nobody is there for {', '.join(_without_partner(link))}; {problem}"
            f"found {there}; check ROS_DOMAIN_ID, robot.interface, and the robot's ROS_LOCALHOST_ONLY"
        )


def _message(sample: Any, type_name: str) -> dict[str, Any] | None:
    """What a sample says; None where it only tells that its publisher left, or is malformed."""
    if not hasattr(sample, "data"):
        return None
    try:
        return decode(sample.data, type_name)
    except RobotError:
        return None


def _dds_exception() -> type[Exception]:
    found: type[Exception] = import_extra("cyclonedds.core", "ros").DDSException
    return found


def _without_partner(link: _Link) -> list[str]:
    reading = [t.name for t, reader in link.readers.items() if not reader.get_matched_publications()]
    return reading + [t.name for t, writer in link.writers.items() if not writer.get_matched_subscriptions()]


def _open_link(network: DdsNetwork, subscriptions: Sequence[Topic], publications: Sequence[Topic]) -> _Link:
    domain, participant = _participant(network)
    core = import_extra("cyclonedds.core", "ros")
    readers = {topic: _reader(participant, topic) for topic in subscriptions}
    writers = {topic: _writer(participant, topic) for topic in publications}
    waitset, stop = core.WaitSet(participant), core.GuardCondition(participant)
    mask = core.SampleState.Any | core.ViewState.Any | core.InstanceState.Any
    conditions = [core.ReadCondition(reader, mask) for reader in readers.values()]
    for condition in (*conditions, stop):
        waitset.attach(condition)
    return _Link(domain, participant, readers, writers, waitset, conditions, stop)


def _participant(network: DdsNetwork) -> tuple[Any, Any]:
    library, config, number = import_extra("cyclonedds.domain", "ros"), network.config(), network.domain_id()
    try:
        domain = library.Domain(number, config) if config else None
        return domain, library.DomainParticipant(number)
    except _dds_exception() as error:
        raise RobotError(f"{network} cannot be joined: {error}; check robot.interface") from error


def _reader(participant: Any, topic: Topic) -> Any:
    policy = import_extra("cyclonedds.qos", "ros").Policy
    durability = policy.Durability.TransientLocal if topic.latched else policy.Durability.Volatile
    # A latched value is sent again to late comers only where both sides are reliable.
    reliability = policy.Reliability.Reliable(BLOCK_NS) if topic.latched else policy.Reliability.BestEffort
    qos = _qos(topic, _depth(topic), reliability, durability, policy.TypeConsistency.AllowTypeCoercion())
    return import_extra("cyclonedds.sub", "ros").DataReader(participant, _topic(participant, topic), qos=qos)


def _writer(participant: Any, topic: Topic) -> Any:
    policy = import_extra("cyclonedds.qos", "ros").Policy
    qos = _qos(topic, 1, policy.Reliability.Reliable(BLOCK_NS), policy.Durability.Volatile)
    return import_extra("cyclonedds.pub", "ros").DataWriter(participant, _topic(participant, topic), qos=qos)


def _depth(topic: Topic) -> int:
    """How many messages wait to be read: the newest, but of joints what arm and gripper send apart."""
    return PARTS if topic.type == "sensor_msgs/msg/JointState" else 1


def _qos(topic: Topic, depth: int, *policies: Any) -> Any:
    library = import_extra("cyclonedds.qos", "ros")
    # Nodes since Iron compare this hash, and complain in their log where it is missing (REP 2016).
    told = library.Policy.Userdata(f"typehash={type_hash(topic.type)};".encode())
    return library.Qos(*policies, library.Policy.History.KeepLast(depth), told)


def _topic(participant: Any, topic: Topic) -> Any:
    name, layout = topic_name(topic.name), topic_class(topic.type)
    return import_extra("cyclonedds.topic", "ros").Topic(participant, name, layout)
