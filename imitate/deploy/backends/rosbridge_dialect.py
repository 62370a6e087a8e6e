"""rosbridge protocol v2: frames of JSON or CBOR, and the spelling of ROS 1 and ROS 2.

Sources: the protocol document of RobotWebTools/rosbridge_suite; RFC 8746 for the tags of numeric arrays.
"""

import base64
import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from imitate.deploy.messages import COMPRESSED_IMAGE, IMAGE
from imitate.deploy.transport import Message
from imitate.errors import RobotError, import_extra

ARRAY_TAGS: Mapping[int, str] = {
    69: "<u2", 70: "<u4", 71: "<u8", 72: "|i1", 77: "<i2", 78: "<i4", 79: "<i8", 85: "<f4", 86: "<f8",
}  # fmt: skip
"""RFC 8746 tags of little-endian arrays, as numpy types."""

BYTES_TAG = 64
"""RFC 8746: uint8, which rosbridge leaves untagged."""

BYTE_FIELDS = {COMPRESSED_IMAGE: "data", IMAGE: "data"}
"""The field of a type that holds bytes: base64 in JSON."""


@dataclass(frozen=True)
class Dialect:
    """How the robot's ROS spells types and times; everything else is alike."""

    ros: Literal[1, 2]

    def type_name(self, name: str) -> str:
        """`name` ("pkg/msg/Type") as this ROS writes it."""
        package, _, rest = name.partition("/")
        return f"{package}/{rest.rpartition('/')[2]}" if self.ros == 1 else name

    def encode(self, message: Message) -> dict[str, Any]:
        """JSON values of a message; raises RobotError where a number is not finite."""
        return {key: self._encoded(value, key) for key, value in message.items()}

    def decode(self, message: Mapping[str, Any], message_type: str) -> Message:
        """The message (see imitate.deploy.transport) of what came as JSON or CBOR."""
        decoded = {key: _decoded(value) for key, value in message.items()}
        field = BYTE_FIELDS.get(message_type)
        if field and isinstance(decoded.get(field), str):
            decoded[field] = base64.b64decode(decoded[field])
        return decoded

    def _encoded(self, value: Any, key: str) -> Any:
        if isinstance(value, np.ndarray):
            if value.dtype.kind == "f" and not np.isfinite(value).all():
                raise RobotError(f"{key} is {value.tolist()}, expected finite numbers")
            return value.tolist()
        if isinstance(value, float) and not math.isfinite(value):
            raise RobotError(f"{key} is {value}, expected a finite number")
        if isinstance(value, Mapping):
            return self._encoded_mapping(value)
        if isinstance(value, list | tuple):
            return [self._encoded(item, key) for item in value]
        if isinstance(value, bytes):
            return base64.b64encode(value).decode()
        return value

    def _encoded_mapping(self, value: Mapping[str, Any]) -> dict[str, Any]:
        if self.ros == 1 and set(value) == {"sec", "nanosec"}:
            return {"secs": value["sec"], "nsecs": value["nanosec"]}
        fields = {key: self._encoded(item, key) for key, item in value.items()}
        # Without `seq` the ROS 1 server would still take the header; with it, it is complete.
        return {"seq": 0, **fields} if self.ros == 1 and "stamp" in value and "frame_id" in value else fields


def generic_type(name: str, kind: str = "msg") -> str:
    """`name` ("pkg/Type" or "pkg/msg/Type") with three parts."""
    package, _, rest = name.partition("/")
    return name if "/" in rest or not rest else f"{package}/{kind}/{rest}"


def frame(operation: Mapping[str, Any]) -> str:
    """One text frame. JSON has no NaN: the server would pass it to the robot, so it is refused here."""
    try:
        return json.dumps(operation, allow_nan=False, separators=(",", ":"))
    except ValueError as error:
        raise RobotError(f"{operation.get('topic', operation.get('op'))}: {error}") from error


def parse(data: str | bytes) -> dict[str, Any]:
    """The operation in a frame, text (JSON) or binary (CBOR); {} where it is none."""
    try:
        value = json.loads(data) if isinstance(data, str) else _from_cbor(data)
    except (ValueError, RecursionError):
        return {}
    return value if isinstance(value, dict) else {}


def _from_cbor(data: bytes) -> Any:
    cbor = import_extra("cbor2", "ros")
    try:
        return cbor.loads(data)
    except (cbor.CBORError, EOFError, OverflowError, TypeError) as error:
        raise ValueError(f"no CBOR: {error}") from error


def _decoded(value: Any) -> Any:
    if isinstance(value, dict):
        # ROS 1 spells times secs, nsecs.
        if "secs" in value and "nsecs" in value:
            return {"sec": value["secs"], "nanosec": value["nsecs"]}
        return {key: _decoded(item) for key, item in value.items()}
    if isinstance(value, list):
        if value and all(type(item) in (float, int) or item is None for item in value):
            # null stands for what JSON cannot say: NaN or infinity.
            return np.array([math.nan if item is None else item for item in value])
        return [_decoded(item) for item in value]
    tag = getattr(value, "tag", 0)
    if tag == BYTES_TAG:
        return value.value
    array_type = ARRAY_TAGS.get(tag)
    return value if array_type is None else np.frombuffer(value.value, array_type)
