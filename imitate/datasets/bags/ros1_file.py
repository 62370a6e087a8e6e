"""ROS 1 bags, read from the beginning without their index: so one that was never closed is read too.

Format: wiki.ros.org/Bags/Format/2.0. A record is a header of fields, then data, both after their length.
"""

import mmap
import struct
from collections.abc import Iterator, Sequence
from pathlib import Path

from imitate.datasets.bags.channel import Channel
from imitate.datasets.unpacking import DamagedError, unpacked
from imitate.errors import DataError

MAGIC = b"#ROSBAG V"
VERSION = b"#ROSBAG V2.0\n"
MESSAGE, BAG_HEADER, CHUNK, CONNECTION = 2, 3, 5, 7

Buffer = bytes | mmap.mmap
Fields = dict[bytes, bytes]


class Ros1File:
    """See BagFile."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.channels: list[Channel] = []
        self.problems: list[str] = []
        self._connections: dict[int, Channel] = {}
        self._lost = 0

    def messages(self, topics: Sequence[str] | None = None) -> Iterator[tuple[Channel, int, bytes]]:
        """See BagFile."""
        self.problems.clear()
        self._lost = 0
        with self.path.open("rb") as file:
            if file.read(len(VERSION)) != VERSION:
                raise DataError(f"{self.path} is no ROS 1 bag of version 2.0; convert it with  rosbag fix")
            with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as buffer:
                wanted = None if topics is None else set(topics)
                for channel, time_ns, data in self._whole(buffer):
                    if wanted is None or channel.topic in wanted:
                        yield channel, time_ns, data
        if self._lost:
            self.problems.append(
                f"{self.path.name}: {self._lost} messages of connections it does not describe"
            )

    def _whole(self, buffer: Buffer) -> Iterator[tuple[Channel, int, bytes]]:
        """All messages; what is damaged is told in `problems`."""
        end = len(buffer)
        try:
            first, _, begin = next(_records(buffer, len(VERSION), end))
            end = self._take_header(buffer, first)
            for fields, start, stop in _records(buffer, begin, end):
                if not fields:  # Tools that cut bags pad them with zeros.
                    continue
                if (operation := _operation(fields)) == CHUNK:
                    yield from self._chunk(fields, buffer[start:stop])
                else:
                    yield from self._record(operation, fields, buffer[start:stop])
        except _CutOffError as error:
            if not any(buffer[error.start - 4 : end]):  # The lengths of a padding of zeros.
                return
            self.problems.append(
                f"{self.path.name} is cut off after {error.start} bytes: what follows is lost"
            )
            if error.fields.get(b"compression") == b"none":
                yield from self._chunk_records(buffer[error.start : end])
        except (DamagedError, StopIteration) as error:
            self.problems.append(f"{self.path.name} is damaged: {error or 'it holds nothing'}")

    def _take_header(self, buffer: Buffer, fields: Fields) -> int:
        """Look at the first record and the index; gives where the messages end."""
        if _operation(fields) != BAG_HEADER:
            raise DamagedError("it does not begin with its header")
        if fields.get(b"encryptor"):
            raise DataError(f"{self.path} is encrypted; decrypt it with  rosbag decrypt")
        index = _integer(fields, b"index_pos")
        if index == 0:
            self.problems.append(f"{self.path.name} was not closed (it has no index); read all the same")
        if not 0 < index < len(buffer):
            return len(buffer)
        try:  # A damaged chunk may hold the only other description of a connection.
            for record, start, stop in _records(buffer, index, len(buffer)):
                if _operation(record) == CONNECTION:
                    self._take_connection(record, buffer[start:stop])
        except (DamagedError, _CutOffError):
            self.problems.append(f"{self.path.name}: its index is damaged; read without it")
            return len(buffer)
        return index

    def _chunk(self, fields: Fields, data: bytes) -> Iterator[tuple[Channel, int, bytes]]:
        try:
            codec = fields.get(b"compression", b"").decode(errors="replace")
            raw = unpacked(data, codec, _integer(fields, b"size") if codec != "none" else None)
        except DamagedError as error:
            self.problems.append(f"{self.path.name}: a chunk of {len(data)} bytes is lost: {error}")
            return
        yield from self._chunk_records(raw)

    def _chunk_records(self, raw: bytes) -> Iterator[tuple[Channel, int, bytes]]:
        try:
            for fields, start, stop in _records(raw, 0, len(raw)):
                yield from self._record(_operation(fields), fields, raw[start:stop])
        except (DamagedError, _CutOffError):
            self.problems.append(
                f"{self.path.name}: a chunk of {len(raw)} bytes ends in the middle of a message"
            )

    def _record(self, operation: int, fields: Fields, data: bytes) -> Iterator[tuple[Channel, int, bytes]]:
        if operation == CONNECTION:
            self._take_connection(fields, data)
        elif operation == MESSAGE:
            seconds, nanoseconds = struct.unpack("<II", _field(fields, b"time", 8))
            channel = self._connections.get(_integer(fields, b"conn"))
            if channel is None:
                self._lost += 1
            else:
                yield channel, seconds * 10**9 + nanoseconds, data

    def _take_connection(self, fields: Fields, data: bytes) -> None:
        number, described = _integer(fields, b"conn"), _fields(data)
        if number in self._connections:
            return
        channel = Channel(
            "/"
            + "/".join(
                part for part in fields.get(b"topic", b"").decode(errors="replace").split("/") if part
            ),
            _ros2_name(described.get(b"type", b"").decode(errors="replace")),
            "ros1",
            described.get(b"message_definition", b"").decode(errors="replace"),
            "msg",
            number,
        )
        self._connections[number] = channel
        self.channels.append(channel)


class _CutOffError(Exception):
    """A record says that it is longer than what is left; its data begin at `start`."""

    def __init__(self, start: int, fields: Fields) -> None:
        super().__init__(start)
        self.start, self.fields = start, fields


def _records(buffer: Buffer, start: int, end: int) -> Iterator[tuple[Fields, int, int]]:
    """The fields of each record, and where its data are."""
    while start < end:
        header_start, header_stop = _sized(buffer, start, end, {})
        fields = _fields(buffer[header_start:header_stop])
        data_start, data_stop = _sized(buffer, header_stop, end, fields)
        yield fields, data_start, data_stop
        start = data_stop


def _sized(buffer: Buffer, start: int, end: int, fields: Fields) -> tuple[int, int]:
    if start + 4 > end:
        raise _CutOffError(start, {})
    (length,) = struct.unpack_from("<I", buffer, start)
    if start + 4 + length > end:
        raise _CutOffError(start + 4, fields)
    return start + 4, start + 4 + length


def _fields(data: bytes) -> Fields:
    found: Fields = {}
    position = 0
    while position < len(data):
        if position + 4 > len(data):
            raise DamagedError("the header of a record is cut off")
        (length,) = struct.unpack_from("<I", data, position)
        name, equals, value = data[position + 4 : position + 4 + length].partition(b"=")
        if not equals or position + 4 + length > len(data):
            raise DamagedError("the header of a record holds no fields")
        found[name] = value
        position += 4 + length
    return found


def _field(fields: Fields, name: bytes, length: int) -> bytes:
    value = fields.get(name, b"")
    if len(value) != length:
        raise DamagedError(f"a record has {name.decode()} of {len(value)} bytes, expected {length}")
    return value


def _operation(fields: Fields) -> int:
    return _field(fields, b"op", 1)[0]


def _integer(fields: Fields, name: bytes) -> int:
    value = fields.get(name, b"")
    if len(value) not in (4, 8):
        raise DamagedError(f"a record has {name.decode()} of {len(value)} bytes, expected 4 or 8")
    return int.from_bytes(value, "little")


def _ros2_name(name: str) -> str:
    package, _, kind = name.partition("/")
    return f"{package}/msg/{kind}" if "/" not in kind else name
