"""Who publishes and who listens: the part of ROS that a small bridge server needs."""

import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from imitate.deploy.transport import Message, Topic

OnTopic = Callable[[Message, float], None]
Service = Callable[[Mapping[str, Any]], dict[str, Any]]
"""Takes the request and gives the response; raises RobotError where it fails."""


@dataclass
class TopicEnds:
    """One topic: its type, and the nodes at its ends."""

    type: str
    publishers: list[str] = field(default_factory=list)
    subscribers: list[str] = field(default_factory=list)
    listeners: list[OnTopic] = field(default_factory=list)


class RosGraph:
    """Topics and services by name. Methods may be called from any thread."""

    def __init__(self) -> None:
        self._topics: dict[str, TopicEnds] = {}
        self._lock = threading.Lock()
        self.services: dict[str, Service] = {}
        self.actions: dict[str, Service] = {}

    def type_of(self, topic: str) -> str | None:
        """The type of a topic, None where there is none."""
        with self._lock:
            ends = self._topics.get(topic)
            return ends.type if ends else None

    def join(self, topic: Topic, node: str, publishes: bool) -> bool:
        """Note that `node` publishes or subscribes; False where the topic has another type."""
        with self._lock:
            ends = self._topics.setdefault(topic.name, TopicEnds(topic.type))
            if ends.type != topic.type:
                return False
            (ends.publishers if publishes else ends.subscribers).append(node)
            return True

    def leave(self, topic: str, node: str, publishes: bool) -> None:
        """Take back one `join`; a topic without ends is gone."""
        with self._lock:
            ends = self._topics.get(topic)
            nodes = (ends.publishers if publishes else ends.subscribers) if ends else []
            if node in nodes:
                nodes.remove(node)
            if ends and not ends.publishers and not ends.subscribers:
                del self._topics[topic]

    def listen(self, topic: Topic, node: str, listener: OnTopic) -> None:
        """Subscribe inside this process."""
        self.join(topic, node, publishes=False)
        with self._lock:
            self._topics[topic.name].listeners.append(listener)

    def listeners(self, topic: str) -> list[OnTopic]:
        """The subscribers inside this process."""
        with self._lock:
            ends = self._topics.get(topic)
            return list(ends.listeners) if ends else []

    def types(self) -> dict[str, str]:
        """Every topic and its type."""
        with self._lock:
            return {name: ends.type for name, ends in self._topics.items()}

    def nodes(self, topic: str, publishes: bool) -> list[str]:
        """The nodes at one end of a topic."""
        with self._lock:
            ends = self._topics.get(topic)
            return sorted(set((ends.publishers if publishes else ends.subscribers) if ends else []))
