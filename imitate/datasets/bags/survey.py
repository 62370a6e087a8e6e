"""What is in a log, topic by topic, for who has to choose."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from imitate.datasets.bags.audit import topic_audit
from imitate.datasets.bags.channel import Channel
from imitate.datasets.bags.message_types import MessageTypes
from imitate.datasets.bags.opening import open_bag, recordings
from imitate.datasets.bags.scanning import TopicLog
from imitate.errors import DataError

SHOWN = 12


@dataclass(frozen=True)
class TopicFacts:
    """One topic: facts by receive time, see topic_audit. trouble: why it cannot be read, or ""."""

    topic: str
    type: str
    facts: dict[str, Any]
    trouble: str = ""

    @property
    def count(self) -> int:
        """Messages there are."""
        return int(self.facts["count"])

    @property
    def rate_hz(self) -> float | None:
        """Of the median interval; None for fewer than three messages."""
        rate: float | None = self.facts["rate_hz"]
        return rate


@dataclass(frozen=True)
class Survey:
    """All topics of a log by name, an example of each (channel, data), and what could not be read."""

    topics: tuple[TopicFacts, ...]
    examples: dict[str, tuple[Channel, bytes]]
    problems: tuple[str, ...]


def survey(path: Path) -> Survey:
    """The topics of the log at `path`, of a folder of logs those of the first; no topics file is needed.

    Raises DataError where nothing can be read.
    """
    bag = open_bag(recordings(path)[0])
    logs: dict[str, TopicLog] = {}
    examples: dict[str, tuple[Channel, bytes]] = {}
    for channel, received_ns, data in bag.messages():
        if channel.topic not in logs:
            logs[channel.topic] = TopicLog(channel.topic, channel.type)
            examples[channel.topic] = channel, data
        logs[channel.topic].received_ns.append(received_ns)
    for channel in bag.channels:
        logs.setdefault(channel.topic, TopicLog(channel.topic, channel.type))
    types = MessageTypes()
    channels = {channel.topic: channel for channel in bag.channels}
    found = [
        TopicFacts(topic, log.type, topic_audit(log), _trouble(types, channels.get(topic)))
        for topic, log in sorted(logs.items())
    ]
    return Survey(tuple(found), examples, tuple(bag.problems))


def topic_list(found: Survey) -> str:
    """The topics in one line."""
    words = []
    for topic in found.topics[:SHOWN]:
        rate = f", {topic.rate_hz:.1f} Hz" if topic.rate_hz else ""
        words.append(f"{topic.topic} ({topic.type or 'no type'}, {topic.count} messages{rate})")
    more = len(found.topics) - SHOWN
    return "; ".join(words) + (f"; and {more} more" if more > 0 else "")


def _trouble(types: MessageTypes, channel: Channel | None) -> str:
    if channel is None:
        return "no message tells its type"
    try:
        types.of(channel)
    except DataError as error:
        return str(error)
    return ""
