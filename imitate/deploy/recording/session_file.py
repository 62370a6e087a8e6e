"""The MCAP file of a session as it is written: channels made when first used, readable when we are killed."""

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from imitate.datasets.session_format import FORMAT, METADATA
from imitate.deploy.ros_types import definition, encode
from imitate.errors import RobotError, import_extra

# A chunk is what a kill can cost; images fill it before the time to flush has come.
CHUNK_BYTES = 1 << 20


class SessionFile:
    """One open MCAP file; used from one thread."""

    def __init__(self, path: Path, header: Mapping[str, Any]) -> None:
        """Begin the file at `path`, which must not exist; raises RobotError where that cannot be done."""
        writer = import_extra("mcap.writer", "ros")
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._stream = path.open("xb")
        except OSError as error:
            raise RobotError(f"{path}: the session cannot be recorded there ({error.strerror})") from error
        self._writer = writer.Writer(
            self._stream, chunk_size=CHUNK_BYTES, compression=writer.CompressionType.ZSTD
        )
        self._schemas: dict[str, int] = {}
        self._channels: dict[str, int] = {}
        # No profile: "ros2" would promise readers that nothing but CDR is inside.
        self._writer.start(library="imitate")
        described = {"format": FORMAT, **header}
        self._writer.add_metadata(METADATA, {key: to_json(value) for key, value in described.items()})
        self.flush()

    def add_message(
        self,
        topic: str,
        type_name: str,
        message: Mapping[str, Any],
        seen_ns: int,
        came_ns: int,
        number: int = 0,
    ) -> None:
        """Write a ROS 2 message; raises RobotError where it does not fit its type."""
        data = encode(message, type_name)
        if topic not in self._channels:
            schema = self._schema(type_name, "ros2msg", lambda: definition(type_name))
            self._channels[topic] = self._writer.register_channel(topic, "cdr", schema)
        self._writer.add_message(self._channels[topic], seen_ns, data, came_ns, number)

    def add_json(
        self, topic: str, schema: Mapping[str, Any], values: Mapping[str, Any], time_ns: int
    ) -> None:
        """Write a JSON object."""
        if topic not in self._channels:
            name = topic.strip("/").replace("/", ".")
            number = self._schema(name, "jsonschema", lambda: to_json(schema))
            self._channels[topic] = self._writer.register_channel(topic, "json", number)
        self._writer.add_message(self._channels[topic], time_ns, to_json(values).encode(), time_ns)

    def flush(self) -> None:
        """Hand everything to the operating system, where it outlives this process."""
        self._writer.flush()

    def close(self) -> None:
        """Write the index and close."""
        try:
            self._writer.finish()
        finally:
            self._stream.close()

    def _schema(self, name: str, encoding: str, text: Any) -> int:
        if name not in self._schemas:
            self._schemas[name] = self._writer.register_schema(name, encoding, text().encode())
        return self._schemas[name]


def to_json(value: Any) -> str:
    """JSON of plain values, mappings, sequences and numpy; what is not finite becomes its name, "nan"."""
    return json.dumps(_plain(value), allow_nan=False)


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, np.ndarray | np.generic):
        return _plain(value.tolist())
    if isinstance(value, list | tuple | set | frozenset):
        return [_plain(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    return value if isinstance(value, str | int | float | bool | None) else str(value)
