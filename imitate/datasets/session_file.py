"""Reading the MCAP file of a deploy session, also one whose end is missing.

The whole file is read from its beginning, without its index: that is what survives a kill.
"""

import functools
import json
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from imitate.datasets.camera_pictures import compressed_picture
from imitate.datasets.mcap_records import is_mcap, mcap_records
from imitate.datasets.session_format import FORMAT, IMAGE, JOINTS, METADATA, POSE, VECTOR
from imitate.errors import DataError, import_extra


@dataclass(frozen=True)
class Record:
    """One message: time_s, when it was seen, and came_s, when it arrived, in local monotonic s."""

    topic: str
    type: str
    time_s: float
    came_s: float
    sequence: int
    data: bytes

    def json(self) -> dict[str, Any]:
        """The object of a JSON channel."""
        found: dict[str, Any] = json.loads(self.data)
        return found

    def array(self) -> np.ndarray:
        """The value of a reading: an image (H, W, 3) RGB uint8, a pose (7,) x y z qx qy qz qw, or numbers."""
        return _array(_typestore().deserialize_cdr(self.data, self.type), self.type)


class SessionFile:
    """What is recorded of one session; raises DataError where `path` holds none."""

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        self.damage = ""
        """In words, why what follows is missing; known once the records were read, "" where nothing is."""
        self._records = import_extra("mcap.records", "ros")
        try:
            self.header = self._read_header()
            clock = self.header["clock"]
            self._offset_ns = int(clock["wall_ns"]) - int(clock["monotonic_ns"])
        except (LookupError, TypeError, ValueError, RecursionError) as error:
            raise DataError(f"{self.path}: the header of the session is damaged ({error!r})") from error

    @property
    def truncated(self) -> bool:
        """Whether the end is missing."""
        return bool(self.damage)

    def records(self, topics: Collection[str] | None = None) -> Iterator[Record]:
        """All messages, or those of `topics`, in the order in which they were written."""
        schemas: dict[int, str] = {}
        channels: dict[int, tuple[str, str]] = {}
        for record in self._everything():
            if isinstance(record, self._records.Schema):
                schemas[record.id] = record.name
            elif isinstance(record, self._records.Channel):
                channels[record.id] = (record.topic, schemas.get(record.schema_id, ""))
            elif isinstance(record, self._records.Message):
                topic, type_name = channels[record.channel_id]
                if topics is None or topic in topics:
                    yield self._record(topic, type_name, record)

    def _record(self, topic: str, type_name: str, message: Any) -> Record:
        seen_s, came_s = ((ns - self._offset_ns) / 1e9 for ns in (message.log_time, message.publish_time))
        return Record(topic, type_name, seen_s, came_s, message.sequence, message.data)

    def _read_header(self) -> Mapping[str, Any]:
        if not is_mcap(self.path):
            raise DataError(f"{self.path} is no MCAP file")
        for record in self._everything():
            if isinstance(record, self._records.Metadata) and record.name == METADATA:
                return self._checked({key: json.loads(value) for key, value in record.metadata.items()})
            if isinstance(record, self._records.Message):
                break
        raise DataError(
            f"{self.path} is an MCAP file, but no session of imitate deploy: metadata {METADATA!r} is missing"
        )

    def _checked(self, header: Mapping[str, Any]) -> Mapping[str, Any]:
        if header.get("format") != FORMAT:
            raise DataError(
                f"{self.path}: session format {header.get('format')}, expected {FORMAT}; update imitate"
            )
        return header

    def _everything(self) -> Iterator[Any]:
        """The records of the file, up to where it ends or is damaged."""
        problems: list[str] = []
        for record in mcap_records(self.path, problems):
            if problems:  # What follows damage belongs to no known moment of the session.
                break
            yield record
        self.damage = problems[0] if problems else ""


def holds_session(path: Path) -> bool:
    """Whether the file is a session of imitate deploy; raises MissingExtraError where MCAP cannot be read."""
    if not is_mcap(path):
        return False
    try:
        SessionFile(path)
    except DataError:
        return False
    return True


@functools.cache
def _typestore() -> Any:
    """Made once: it takes a third of a second."""
    typesys = import_extra("rosbags.typesys", "ros")
    return typesys.get_typestore(typesys.Stores.ROS2_JAZZY)


def _array(message: Any, type_name: str) -> np.ndarray:
    if type_name == IMAGE:
        return compressed_picture(message.data.tobytes())
    if type_name == POSE:
        at, turn = message.pose.position, message.pose.orientation
        return np.array([at.x, at.y, at.z, turn.x, turn.y, turn.z, turn.w])
    if type_name in (JOINTS, VECTOR):
        return np.array(message.position if type_name == JOINTS else message.data)
    raise DataError(f"a reading was recorded as {type_name}, which this version cannot read")
