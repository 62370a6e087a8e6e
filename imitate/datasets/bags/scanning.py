"""Looking through a log once: the times of its messages, and the numbers that a topics file asks for."""

from array import array
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from imitate.datasets.bags.channel import BagFile, Channel
from imitate.datasets.bags.fields import Place, has_stamp, place_in
from imitate.datasets.bags.message_types import MessageType, MessageTypes
from imitate.datasets.bags.opening import open_bag
from imitate.datasets.bags.reading import EntryReader, NumberReader, reader_of
from imitate.datasets.bags.streams import LONG_BACK_NS, NS, Stream
from imitate.datasets.bags.topics import Entry, Mark, Topics
from imitate.errors import ConfigError, DataError, nearest

LATEST_S = 2**32
SHOWN = 20


@dataclass
class TopicLog:
    """The messages of one topic, in the order of the file; a stamp of 0 is none, a sequence of -1 too."""

    topic: str
    type: str
    received_ns: "array[int]" = field(default_factory=lambda: array("q"))
    stamps_ns: "array[int]" = field(default_factory=lambda: array("q"))
    sequences: "array[int]" = field(default_factory=lambda: array("q"))
    publishers: "array[int]" = field(default_factory=lambda: array("q"))
    damaged: int = 0

    def __len__(self) -> int:
        return len(self.received_ns)

    def times_ns(self, clock: str) -> np.ndarray:
        """(n,) int64: header stamps where the clock is "header" and there are any, 0 where one has none."""
        stamps = np.array(self.stamps_ns, np.int64)
        return stamps if clock == "header" and stamps.any() else np.array(self.received_ns, np.int64)


@dataclass
class _Gathered:
    """What one entry read: places among the messages of its topic, and the numbers of those that have any.

    values (n, d) and valid (n,) are there once the log was read, by `finish`.
    """

    reader: EntryReader
    places: "array[int]" = field(default_factory=lambda: array("q"))
    since: "array[int]" = field(default_factory=lambda: array("q"))
    read: list[bool] = field(default_factory=list)
    numbers: "array[float]" = field(default_factory=lambda: array("d"))
    values: np.ndarray = field(default_factory=lambda: np.zeros((0, 0)))
    valid: np.ndarray = field(default_factory=lambda: np.zeros(0, bool))

    def add(self, message: Any, kind: MessageType, place: int) -> None:
        found = self.reader.read(message, kind, place)
        if found is None:
            return
        self.places.append(place)
        self.since.append(found.since)
        self.read.append(found.values is not None)
        if found.values is not None:
            self.numbers.frombytes(found.values.tobytes())

    def finish(self) -> None:
        """Lay the numbers out, and see which are finite."""
        valid = np.array(self.read, bool)
        values = np.zeros((len(valid), self.reader.size))
        if self.reader.size:
            values[valid] = np.frombuffer(self.numbers).reshape(-1, self.reader.size)
        finite = np.isfinite(values).all(axis=1)
        if not finite.all():
            self.reader.trouble = self.reader.trouble or "numbers that are not finite"
        self.values, self.valid, self.numbers = values, valid & finite, array("d")


@dataclass
class Scan:
    """What was found: `logs` by topic of all the log holds, streams by entry, values of marks by name.

    marks: (place among the messages of the topic, whether its field is `equals`, or its value).
    """

    path: Path
    logs: dict[str, TopicLog]
    gathered: dict[str, _Gathered]
    marks: dict[str, list[tuple[int, Any]]]
    problems: list[str]

    def reader(self, entry: Entry) -> EntryReader:
        """What read the entry."""
        return self.gathered[entry.where].reader

    def stream(self, entry: Entry, clock: str) -> Stream:
        """The messages of the entry in time; raises DataError where the clock was set back."""
        found, log = self.gathered[entry.where], self.logs[entry.topic]
        times = log.times_ns(entry.clock or clock)
        _require_forward(times, log.topic, entry.clock or clock)
        places, since = np.array(found.places, np.int64), np.array(found.since, np.int64)
        stamped = np.flatnonzero(times[places] > 0)
        order = stamped[np.argsort(times[places][stamped], kind="stable")]
        return Stream(
            times[places][order], times[since][order], found.valid[order], found.values[order], places[order]
        )


def scan(path: Path, topics: Topics, definitions: Mapping[str, str]) -> Scan:
    """Read the log at `path`; raises DataError or ConfigError naming the entry that cannot be read."""
    bag = open_bag(path)
    found = Scan(path, {}, {}, {name: [] for name in topics.marks}, [])
    used = _Used(topics, MessageTypes(definitions), found)
    for channel, received_ns, data in bag.messages():
        log = found.logs.setdefault(channel.topic, TopicLog(channel.topic, channel.type))
        place = len(log)
        log.received_ns.append(received_ns)
        if channel.topic in used.wanted:
            used.take(channel, log, data, place)
    found.problems += bag.problems
    for gathered in found.gathered.values():
        gathered.finish()
    _require_all(found, topics, bag)
    return found


class _Used:
    """The topics that a topics file uses."""

    def __init__(self, topics: Topics, types: MessageTypes, found: Scan) -> None:
        self._types, self._found = types, found
        self._entries: dict[str, list[Entry]] = {}
        for entry in topics.entries:
            self._entries.setdefault(entry.topic, []).append(entry)
        self._marks: dict[str, list[tuple[str, Mark]]] = {}
        for name, mark in topics.marks.items():
            self._marks.setdefault(mark.topic, []).append((name, mark))
        self.wanted = {*self._entries, *self._marks}
        self._places: dict[tuple[int, str], Place] = {}
        self._stamped: dict[int, bool] = {}

    def take(self, channel: Channel, log: TopicLog, data: bytes, place: int) -> None:
        if channel.type != log.type:
            raise DataError(f"{channel.topic} has messages of two types: {log.type}, {channel.type}")
        kind = self._types.of(channel)
        try:
            message = kind.decode(data)
        except Exception:  # What damaged bytes raise: rosbags', struct's, numpy's.
            log.damaged += 1
            self._note(log, 0, -1, channel)
            return
        stamp_ns, sequence = self._stamp(kind, message)
        self._note(log, stamp_ns, sequence, channel)
        for entry in self._entries.get(channel.topic, ()):
            self._read(entry, kind, message, place)
        for name, mark in self._marks.get(channel.topic, ()):
            self._mark(name, mark, kind, message, place)

    def _note(self, log: TopicLog, stamp_ns: int, sequence: int, channel: Channel) -> None:
        log.stamps_ns.append(stamp_ns)
        log.sequences.append(sequence)
        log.publishers.append(channel.publisher)

    def _stamp(self, kind: MessageType, message: Any) -> tuple[int, int]:
        """header.stamp in ns, 0 where there is none; header.seq of ROS 1, else -1."""
        if id(kind) not in self._stamped:
            self._stamped[id(kind)] = has_stamp(kind)
        if not self._stamped[id(kind)]:
            return 0, -1
        time = message.header.stamp
        if not 0 <= time.sec < LATEST_S:
            return 0, -1
        return time.sec * NS + time.nanosec, getattr(message.header, "seq", -1)

    def _read(self, entry: Entry, kind: MessageType, message: Any, place: int) -> None:
        try:
            if entry.where not in self._found.gathered:
                self._found.gathered[entry.where] = _Gathered(reader_of(entry, kind))
            self._found.gathered[entry.where].add(message, kind, place)
        except DataError as error:
            raise DataError(f"{entry.where} ({entry.topic}): {error}") from error

    def _mark(self, name: str, mark: Mark, kind: MessageType, message: Any, place: int) -> None:
        value: Any = True
        if mark.equals is not None or mark.change:
            key = (id(kind), mark.where)
            where = self._places.get(key) or self._places.setdefault(key, place_in(kind, mark.field))
            value = where.find(message)
            if not isinstance(value, bool | int | float | str):
                raise ConfigError(f"{mark.where}.field: {where.path} of {mark.topic} is no single value")
            if mark.equals is not None:
                if isinstance(value, str) != isinstance(mark.equals, str):
                    raise ConfigError(
                        f"{mark.where}.equals is {mark.equals!r}, but {mark.topic} says {value!r}"
                    )
                value = value == mark.equals
        self._found.marks[name].append((place, value))


def _require_forward(times: np.ndarray, topic: str, clock: str) -> None:
    told = times[times > 0]
    if not len(told):
        raise DataError(f"{topic}: no message has a time")
    back = np.maximum.accumulate(told) - told
    if back.max() > LONG_BACK_NS:
        at = int(np.argmax(back > LONG_BACK_NS))
        other = "receive" if clock == "header" else "header"
        raise DataError(
            f"{topic}: the clock ({clock}) goes back by {back[at] / NS:.3f} s at message {at}: it was set; "
            f"try  clock: {other}, or cut the log there"
        )


def _require_all(found: Scan, topics: Topics, bag: BagFile) -> None:
    wanted = [(entry.where, entry.topic) for entry in topics.entries]
    wanted += [(mark.where, mark.topic) for name, mark in topics.marks.items() if name != "success"]
    empty = {channel.topic for channel in bag.channels} - set(found.logs)
    for where, topic in wanted:
        if topic in found.logs:
            continue
        if topic in empty:
            raise DataError(f"{where}: {topic} is there, but has no messages")
        known = nearest(topic, sorted(found.logs)[:SHOWN])
        raise ConfigError(f"{where}.topic is {topic}, which {found.path} does not hold{known}")
    for entry in topics.entries:
        gathered = found.gathered.get(entry.where)
        reader = gathered.reader if gathered else None
        if isinstance(reader, NumberReader) and not reader.trouble and (missing := reader.missing()):
            raise ConfigError(f"{entry.where}.names: {entry.topic} never names {missing}")
        if gathered is None or not gathered.valid.any():
            log, trouble = found.logs[entry.topic], reader.trouble if reader else ""
            raise DataError(
                f"{entry.where}: none of {len(log)} messages of {entry.topic} can be used: "
                f"{log.damaged} cannot be decoded, of the others {trouble or 'none names its joints'}"
            )
