"""MCAP files as recorded logs."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from imitate.datasets.bags.channel import Channel
from imitate.datasets.mcap_records import mcap_records
from imitate.datasets.unpacking import DamagedError, unpacked
from imitate.errors import import_extra

LANGUAGES = {"ros2msg": "msg", "ros1msg": "msg", "ros2idl": "idl", "omgidl": "idl"}
LAST_TIME_NS = 2**62


class McapFile:
    """See BagFile. codec: of each message, "zstd" where rosbag2 compressed them one by one."""

    def __init__(self, path: Path, codec: str = "") -> None:
        self.path = path
        self.channels: list[Channel] = []
        self.problems: list[str] = []
        self._codec = codec
        self._kinds = import_extra("mcap.records", "ros")

    def messages(self, topics: Sequence[str] | None = None) -> Iterator[tuple[Channel, int, bytes]]:
        """See BagFile."""
        self.problems.clear()
        self.channels.clear()
        schemas: dict[int, Any] = {}
        known: dict[int, Channel] = {}
        lost = 0
        for record in mcap_records(self.path, self.problems):
            if isinstance(record, self._kinds.Schema):
                schemas[record.id] = record
            elif isinstance(record, self._kinds.Channel) and record.id not in known:
                known[record.id] = _channel(record, schemas.get(record.schema_id))
                self.channels.append(known[record.id])
            elif isinstance(record, self._kinds.Message):
                channel = known.get(record.channel_id)
                if channel is None or record.log_time > LAST_TIME_NS:
                    lost += 1
                elif topics is None or channel.topic in topics:
                    try:
                        yield channel, record.log_time, unpacked(record.data, self._codec)
                    except DamagedError:
                        lost += 1
        if lost:
            self.problems.append(f"{self.path.name}: {lost} messages are without channel or damaged")


def _channel(record: Any, schema: Any) -> Channel:
    if schema is None:
        return Channel(record.topic, "", record.message_encoding)
    language = LANGUAGES.get(schema.encoding, "")
    text = schema.data.decode(errors="replace") if language else ""
    name = schema.name if schema.name.count("/") != 1 else schema.name.replace("/", "/msg/")
    return Channel(record.topic, name, record.message_encoding, text, language)
