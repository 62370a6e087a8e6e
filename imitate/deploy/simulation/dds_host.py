"""The robot's end of DDS for a simulated arm: it publishes states and listens to commands, without ROS."""

import json
import threading
from typing import Any

from imitate.deploy import messages
from imitate.deploy.backends.dds_network import DdsNetwork
from imitate.deploy.backends.dds_transport import DdsTransport
from imitate.deploy.simulation.ros_graph import OnTopic, Service
from imitate.deploy.transport import Message, Topic


class DdsHost:
    """What imitate.deploy.simulation.bridge_server is for rosbridge.

    DDS has no portable services: a service listens to a topic of its name, whose std_msgs/String is the
    request as JSON; nothing is answered.
    """

    def __init__(self, network: DdsNetwork) -> None:
        self._transport = _Waiting(network)
        self.address = str(network)
        self._publications: list[Topic] = []
        self._listeners: dict[str, tuple[Topic, OnTopic]] = {}

    def advertise(self, topic: Topic, node: str) -> None:
        """Publish on `topic` from `start` on; DDS knows no nodes."""
        self._publications.append(topic)

    def listen(self, topic: Topic, node: str, listener: OnTopic) -> None:
        """Call `listener` with every message on `topic` and the local time in s at which it came."""
        self._listeners[topic.name] = topic, listener

    def provide(self, service: str, answer: Service) -> None:
        """Call `answer` with every request, in a thread of its own: it may wait for the simulation."""

        def take(message: Message, arrived_s: float) -> None:
            request = json.loads(message["data"])
            threading.Thread(target=answer, args=(request,), daemon=True).start()

        self.listen(Topic(service, messages.STRING), "", take)

    def start(self) -> None:
        """Join the domain."""
        subscriptions = [topic for topic, _ in self._listeners.values()]
        self._transport.open(subscriptions, self._publications, self._take, 0.0)

    def publish(self, topic: str, message: Message) -> None:
        """Send to whoever is there; nobody before `start`."""
        self._transport.publish(topic, message)

    def close(self) -> None:
        """Leave; safe to call twice."""
        self._transport.close()

    def _take(self, topic: str, message: Message, arrived_s: float) -> None:
        self._listeners[topic][1](message, arrived_s)


class _Waiting(DdsTransport):
    """A robot does not look for partners: it waits until they come."""

    def _wait_for_partners(self, link: Any, deadline_s: float) -> None:
        return None
