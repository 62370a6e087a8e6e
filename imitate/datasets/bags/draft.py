"""A first topics file for a log, to be looked through and corrected by a person."""

import json
import re
from collections import Counter
from pathlib import Path

from imitate.datasets.bags.channel import Channel
from imitate.datasets.bags.fields import place_in
from imitate.datasets.bags.message_types import MessageTypes
from imitate.datasets.bags.pictures import CAMERAS
from imitate.datasets.bags.survey import Survey, TopicFacts, survey
from imitate.errors import DataError

COMMANDS = re.compile(r"comm?and|cmd|target|goal|desired|action|leader|trajectory", re.IGNORECASE)
JOINTS = "sensor_msgs/msg/JointState"
SEVERAL_FIELDS = {
    "sensor_msgs/msg/Imu": ("orientation", "angular_velocity", "linear_acceleration"),
    "sensor_msgs/msg/BatteryState": (),
}
PLAIN_TOPIC = re.compile(r"/?\w[\w/.\-]*")
FASTEST_HZ, FEWEST_MESSAGES = 30.0, 3

HEAD = """# Which topics of {name} are what; drafted by imitate: look it through, then run the import again.
# sample: previous (default of observations), nearest, linear (numbers), slerp (poses);
#   of an action also next (its default). max_age_s: how old a message may be.
# names: joints to pick, by name. units: where ROS leaves them open. size: [height, width] of pictures.
# {topics}

rate_hz: {rate:g}
clock: header   # header.stamp where there is one, else the time of reception; or: receive
"""
TAIL = """
# When episodes are; without this the whole log is one.
# episodes:
#   start: {topic: /episode, field: data, equals: start}
#   end: {topic: /episode, field: data, equals: stop}
#   success: {topic: /success, field: data, equals: true}
#   gap_s: 2.0
"""


def draft_text(path: Path) -> str:
    """A topics file for the log at `path`; raises DataError where no topic of it can be an observation."""
    found = survey(path)
    entries = {topic.topic: fields for topic in found.topics if (fields := _fields(found, topic))}
    commands = {topic: fields for topic, fields in entries.items() if COMMANDS.search(topic)}
    kinds = {topic.topic: topic.type for topic in found.topics}
    commands = {topic: fields for topic, fields in commands.items() if kinds[topic] not in CAMERAS}
    seen = {topic: fields for topic, fields in entries.items() if topic not in commands} or entries
    movable = {topic: fields for topic, fields in seen.items() if kinds[topic] not in CAMERAS}
    if not commands and not movable:
        raise DataError(f"{path}: no topic holds numbers that could be an action")
    head = HEAD.format(name=_plain(path.name), rate=_rate(found, list(seen)), topics=_listed(found))
    lines = [head, "observations:"]
    names: Counter[str] = Counter()
    for topic, fields in seen.items():
        for field in fields:
            name = _name(topic, field)
            names[name] += 1
            name = name if names[name] == 1 else f"{name}_{names[name]}"
            lines.append(_line(name, topic, field, kinds[topic]))
    lines += ["", *_action(commands, movable, kinds)]
    return "\n".join(lines) + "\n" + TAIL


def _fields(found: Survey, topic: TopicFacts) -> tuple[str, ...]:
    """The fields of a topic that can be read; "" is the usual one. None of what is no state."""
    if topic.trouble or topic.count < FEWEST_MESSAGES or topic.topic in ("/tf", "/tf_static", "/clock"):
        return ()
    channel, data = found.examples[topic.topic]
    if topic.type in CAMERAS:
        return ("",)
    wanted = SEVERAL_FIELDS.get(topic.type, ("",))
    return tuple(field for field in wanted if _is_readable(channel, data, field))


def _is_readable(channel: Channel, data: bytes, field: str) -> bool:
    kind = MessageTypes().of(channel)
    try:
        place = place_in(kind, field)
        return not place.text and 0 < len(place.numbers(kind.decode(data))) <= 512
    except Exception:  # Whatever a message of an unknown kind raises: it is not proposed.
        return False


def _rate(found: Survey, seen: list[str]) -> float:
    """That of the slowest camera, else of the slowest that tells where the robot is; at most FASTEST_HZ."""
    rates = [(topic.type, topic.rate_hz) for topic in found.topics if topic.topic in seen and topic.rate_hz]
    cameras = [rate for kind, rate in rates if kind in CAMERAS]
    states = [rate for kind, rate in rates if _likeness(kind) < 2]
    rate = min([*(cameras or states or [rate for _, rate in rates]), FASTEST_HZ])
    return float(round(rate)) if rate >= 1.0 else round(rate, 3)


def _action(
    commands: dict[str, tuple[str, ...]], movable: dict[str, tuple[str, ...]], kinds: dict[str, str]
) -> list[str]:
    if commands:
        parts = [
            _line("", topic, field, kinds[topic]) for topic, fields in commands.items() for field in fields
        ]
        return ["action:", *parts]
    topic = min(movable, key=lambda name: (_likeness(kinds[name]), name))
    return [
        "# No topic looks like a command: the action is where the robot is one step later.",
        "action:",
        _line("", topic, movable[topic][0], kinds[topic], ", ahead_steps: 1"),
    ]


def _likeness(kind: str) -> int:
    """How likely a topic tells where the robot is: the smaller the likelier."""
    return 0 if kind == JOINTS else 1 if "Pose" in kind or kind.endswith("/Odometry") else 2


def _line(name: str, topic: str, field: str, kind: str, more: str = "") -> str:
    # JSON's quotes are YAML's too.
    quoted = topic if PLAIN_TOPIC.fullmatch(topic) else json.dumps(topic)
    inside = f"{{topic: {quoted}" + (f", field: {field}" if field else "") + more + "}"
    hint = "   # units: rad, if all of them turn" if kind == JOINTS else ""
    return f"  {name}: {inside}{hint}" if name else f"  - {inside}{hint}"


def _name(topic: str, field: str) -> str:
    parts = [
        part for part in topic.split("/") if part not in ("", "image_raw", "image", "compressed", "color")
    ]
    name = re.sub(r"[^\w.\-]", "_", "_".join(parts[-2:] + ([field] if field else []))) or "observation"
    return f"{name}_state" if name == "action" else name


def _listed(found: Survey) -> str:
    words = []
    for topic in found.topics:
        rate = f"{topic.rate_hz:.1f} Hz" if topic.rate_hz else f"{topic.count} messages"
        words.append(f"{topic.topic}  {topic.type}  {rate}{'  cannot be read' if topic.trouble else ''}")
    return "\n# ".join(["Topics:", *map(_plain, words)])


def _plain(text: str) -> str:
    """On one line, whatever a file calls itself."""
    return re.sub(r"[^\x20-\x7e]", "?", text)
