"""ROS message types without ROS: between a transport's dictionaries and the bytes of ROS 2 (CDR) or ROS 1.

Definitions and codecs are those of rosbags, with the messages of control_msgs that we send. A dictionary
has the fields of ROS 2 (see imitate.deploy.transport); fields that are absent are zero or empty.
"""

import functools
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from imitate.errors import RobotError, import_extra, nearest

if TYPE_CHECKING:
    from rosbags.typesys.store import Typestore

# control_msgs is in no store of rosbags. Fields: docs.ros.org, control_msgs 4.x and later.
EXTRA_TYPES = {
    "control_msgs/msg/JointJog": (
        "std_msgs/Header header\nstring[] joint_names\nfloat64[] displacements\n"
        "float64[] velocities\nfloat64 duration\n"
    ),
    "control_msgs/msg/GripperCommand": "float64 position\nfloat64 max_effort\n",
}
NUMBERS: dict[str, np.dtype[Any]] = {
    **{f"{kind}{bits}": np.dtype(f"{kind}{bits}") for kind in ("int", "uint") for bits in (8, 16, 32, 64)},
    **{name: np.dtype(name) for name in ("bool", "float32", "float64")},
    "byte": np.dtype("uint8"),
    "char": np.dtype("uint8"),
}
BYTES = {"uint8", "byte", "char"}

Convert = Callable[[Any], Any]


@functools.cache
def typestore(ros: Literal[1, 2] = 2) -> "Typestore":
    """All types that we know, as ROS 2 Jazzy or ROS 1 Noetic has them; MissingExtraError without rosbags."""
    typesys = import_extra("rosbags.typesys", "ros")
    stores = typesys.Stores
    store: Typestore = typesys.get_typestore(stores.ROS2_JAZZY if ros == 2 else stores.ROS1_NOETIC)
    for name, text in EXTRA_TYPES.items():
        store.register(typesys.get_types_from_msg(text, name))
    return store


def encode(message: Mapping[str, Any], type_name: str) -> bytes:
    """`message` as little-endian CDR with its header of four bytes.

    Raises RobotError for a type or field that is not there, or a value that does not fit its field.
    """
    return _encoded(message, type_name, 2)


def decode(data: bytes | memoryview, type_name: str) -> dict[str, Any]:
    """What `encode` wrote, or any ROS 2 node; arrays are views of `data` and read-only.

    Raises RobotError where the bytes are no such message.
    """
    return _decoded(data, type_name, 2)


def encode_ros1(message: Mapping[str, Any], type_name: str) -> bytes:
    """`message`, of the type "pkg/msg/Type", as ROS 1 sends it; raises RobotError as `encode` does."""
    return _encoded(message, type_name, 1)


def decode_ros1(data: bytes | memoryview, type_name: str) -> dict[str, Any]:
    """What any ROS 1 node sent, in the fields of ROS 2 and `seq` in its headers; see `decode`."""
    return _decoded(data, type_name, 1)


def to_dict(message: Any, type_name: str, store: "Typestore") -> dict[str, Any]:
    """A message object of rosbags as a transport's dictionary; `store` knows its types."""
    fields = store.fielddefs[type_name][1]
    return {name: _plain(getattr(message, name), described, store) for name, described in fields}


def definition(type_name: str) -> str:
    """The text of the type's definition and of those it contains, as rosbag2 and MCAP keep it."""
    return _known(type_name, 2).generate_msgdef(type_name, ros_version=2)[0]


def definition_ros1(type_name: str) -> tuple[str, str]:
    """The text of the type's definition in ROS 1, and the MD5 by which its nodes compare types."""
    return _known(type_name, 1).generate_msgdef(type_name, ros_version=1)


def type_hash(type_name: str) -> str:
    """RIHS01_<64 hex>, by which ROS 2 nodes since Iron compare types."""
    return _known(type_name, 2).hash_rihs01(type_name)


def _known(type_name: str, ros: Literal[1, 2]) -> "Typestore":
    store = typestore(ros)
    if type_name not in store.fielddefs:
        raise RobotError(f"unknown message type {type_name!r}{nearest(type_name, store.fielddefs)}")
    return store


def _encoded(message: Mapping[str, Any], type_name: str, ros: Literal[1, 2]) -> bytes:
    to_object, store = _to_object(type_name, ros), typestore(ros)
    try:
        if ros == 2:
            return bytes(store.serialize_cdr(to_object(message), type_name, little_endian=True))
        return bytes(store.serialize_ros1(to_object(message), type_name))
    except RobotError:
        raise
    except Exception as error:  # What the value raises on its way through numpy, struct and rosbags.
        raise RobotError(f"a message is no {type_name}: {error}") from error


def _decoded(data: bytes | memoryview, type_name: str, ros: Literal[1, 2]) -> dict[str, Any]:
    store = typestore(ros)
    try:
        read = store.deserialize_cdr if ros == 2 else store.deserialize_ros1
        return to_dict(read(data, type_name), type_name, store)
    except Exception as error:  # rosbags raises errors of its own, struct's and the decoder's.
        raise RobotError(f"{len(data)} bytes that came are no {type_name}: {error}") from error


@functools.cache
def _to_object(type_name: str, ros: Literal[1, 2]) -> Convert:
    """What turns a dictionary into a message object of `type_name`; compiled once, as it runs per message."""
    store = _known(type_name, ros)
    fields = {name: _field(described, ros) for name, described in store.fielddefs[type_name][1]}
    build, known = store.types[type_name], frozenset(fields)

    def convert(message: Mapping[str, Any]) -> Any:
        if not known.issuperset(message):
            strange = sorted(set(message) - known)[0]
            raise RobotError(f"{type_name} has no field {strange!r}{nearest(strange, known)}")
        return build(
            **{
                name: to(message[name]) if name in message else empty()
                for name, (to, empty) in fields.items()
            }
        )

    return convert


def _field(described: Any, ros: Literal[1, 2]) -> tuple[Convert, Callable[[], Any]]:
    """How a field's value is converted, and what it is where it is absent."""
    kind, detail = described
    if kind.name == "BASE":
        return _base(detail[0])
    if kind.name == "NAME":
        nested = _to_object(detail, ros)
        return nested, lambda: nested({})
    (inner_kind, inner), length = detail
    size = length if kind.name == "ARRAY" else 0
    if inner_kind.name == "NAME":
        nested = _to_object(inner, ros)
        return lambda items: [nested(item) for item in items], lambda: [nested({}) for _ in range(size)]
    if inner[0] == "string":
        return lambda items: [str(item) for item in items], lambda: [""] * size
    dtype = NUMBERS[inner[0]]
    return _numbers(inner[0]), lambda: np.zeros(size, dtype)


def _base(name: str) -> tuple[Convert, Callable[[], Any]]:
    if name == "string":
        return str, str
    python: Any = {"b": bool, "f": float}.get(NUMBERS[name].kind, int)
    return python, python


def _numbers(name: str) -> Convert:
    dtype = NUMBERS[name]

    def convert(values: Any) -> np.ndarray:
        if isinstance(values, bytes | bytearray | memoryview):
            return np.frombuffer(values, dtype)
        return np.ascontiguousarray(values, dtype).reshape(-1)

    return convert


def _plain(value: Any, described: Any, store: "Typestore") -> Any:
    kind, detail = described
    if kind.name == "BASE":
        return value
    if kind.name == "NAME":
        return to_dict(value, detail, store)
    inner_kind, inner = detail[0]
    if inner_kind.name == "NAME":
        return [to_dict(item, inner, store) for item in value]
    if inner[0] in BYTES:
        return value.tobytes()
    return list(value) if inner[0] == "string" else value
