"""What other participants of a DDS domain publish and subscribe, and what does not fit together."""

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from imitate.deploy.backends.dds_types import ros_name, ros_type, type_name
from imitate.deploy.transport import Survey, Topic, TopicSurvey
from imitate.errors import import_extra

MOST_ENDPOINTS = 10_000
CLOCK = "/clock"


def survey(participant: Any, readers: Mapping[Topic, Any], writers: Mapping[Topic, Any]) -> Survey:
    """All ROS topics that others have endpoints on, and what of theirs our endpoints do not match."""
    builtin = import_extra("cyclonedds.builtin", "ros")
    publications = _endpoints(participant, builtin.BuiltinTopicDcpsPublication)
    subscriptions = _endpoints(participant, builtin.BuiltinTopicDcpsSubscription)
    remarks = [
        *_unmatched(readers, publications, "publisher", _publishers_of),
        *_unmatched(writers, subscriptions, "subscriber", _subscribers_of),
    ]
    topics = _topics(publications, subscriptions)
    clock = topics.get(CLOCK)
    return Survey(topics, bool(clock and clock.publishers), tuple(remarks))


def _endpoints(participant: Any, topic: Any) -> list[Any]:
    """Endpoints of other participants, by age."""
    builtin = import_extra("cyclonedds.builtin", "ros")
    reader = builtin.BuiltinDataReader(participant, topic)
    alive = [found for found in reader.read(N=MOST_ENDPOINTS) if found.sample_info.valid_data]
    return [found for found in alive if found.participant_key != participant.guid]


def _topics(publications: list[Any], subscriptions: list[Any]) -> dict[str, TopicSurvey]:
    types: dict[str, str] = {}
    nodes: dict[str, tuple[list[str], list[str]]] = {}
    for kind, endpoints in enumerate((publications, subscriptions)):
        for endpoint in endpoints:
            name = ros_name(endpoint.topic_name)
            if name is not None:
                types.setdefault(name, ros_type(endpoint.type_name))
                nodes.setdefault(name, ([], []))[kind].append(f"participant {endpoint.participant_key}")
    return {
        name: TopicSurvey(types[name], tuple(publishers), tuple(subscribers))
        for name, (publishers, subscribers) in sorted(nodes.items())
    }


def _publishers_of(reader: Any) -> set[Any]:
    handles = reader.get_matched_publications()
    return {found.key for found in map(reader.get_matched_publication_data, handles) if found}


def _subscribers_of(writer: Any) -> set[Any]:
    handles = writer.get_matched_subscriptions()
    return {found.key for found in map(writer.get_matched_subscription_data, handles) if found}


def _unmatched(
    ours: Mapping[Topic, Any], theirs: list[Any], role: str, partners_of: Callable[[Any], set[Any]]
) -> Iterator[str]:
    """A line for every endpoint that has the topic and type of one of ours, and yet is no partner of it."""
    for topic, endpoint in ours.items():
        partners = partners_of(endpoint)
        for other in theirs:
            same = ros_name(other.topic_name) == topic.name and other.type_name == type_name(topic.type)
            if same and other.key not in partners:
                yield (
                    f"{topic.name}: a {role} there does not fit our endpoint and nothing will pass, "
                    f"because of {_difference(endpoint.get_qos(), other.qos)}"
                )


def _difference(ours: Any, other: Any) -> str:
    """The policies in which two endpoints differ, of those that can keep them apart."""
    policy = import_extra("cyclonedds.qos", "ros").Policy
    kinds = (
        policy.Reliability,
        policy.Durability,
        policy.Deadline,
        policy.Liveliness,
        policy.Ownership,
        policy.Partition,
        policy.DataRepresentation,
    )
    found = [
        f"{kind.__name__.upper()} (theirs {_told(other, kind)}, ours {_told(ours, kind)})"
        for kind in kinds
        if _told(other, kind) != _told(ours, kind)
    ]
    return "QoS: " + ", ".join(found) if found else "its type's definition"


def _told(qos: Any, kind: Any) -> str:
    """The kind of a policy and, but for the time that a writer may wait, its numbers."""
    text = str(qos[kind]).removeprefix("Policy.").partition(".")[2] if kind in qos else ""
    return text.partition("(")[0] if text.startswith("Reliable") else text
