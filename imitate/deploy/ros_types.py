"""ROS message types without ROS: between a transport's dictionaries and the bytes of CDR or ROS 1.

Definitions and codecs are those of rosbags, with the messages of control_msgs that we send. A dictionary
has the fields of ROS 2 (see imitate.deploy.transport); fields that are absent are zero or empty.
"""

import functools
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

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
def typestore() -> "Typestore":
    """All types that we know, in their ROS 2 (Jazzy) form; raises MissingExtraError without rosbags."""
    typesys = import_extra("rosbags.typesys", "ros")
    store: Typestore = typesys.get_typestore(typesys.Stores.ROS2_JAZZY)
    for name, text in EXTRA_TYPES.items():
        store.register(typesys.get_types_from_msg(text, name))
    return store


def encode(message: Mapping[str, Any], type_name: str) -> bytes:
    """`message` as little-endian CDR with its header of four bytes.

    Raises RobotError for a type or field that is not there, or a value that does not fit its field.
    """
    to_object, store = _to_object(type_name), typestore()
    try:
        return bytes(store.serialize_cdr(to_object(message), type_name, little_endian=True))
    except RobotError:
        raise
    except Exception as error:  # What the value raises on its way through numpy, struct and rosbags.
        raise RobotError(f"a message is no {type_name}: {error}") from error


def decode(data: bytes | memoryview, type_name: str) -> dict[str, Any]:
    """What `encode` wrote, or any ROS 2 node; arrays are views of `data` and read-only.

    Raises RobotError where the bytes are no such message.
    """
    try:
        message = typestore().deserialize_cdr(data, type_name)
    except Exception as error:  # rosbags raises errors of its own, struct's and the decoder's.
        raise RobotError(f"{len(data)} bytes that came are no {type_name}: {error}") from error
    found: dict[str, Any] = to_dict(message, type_name)
    return found


def to_dict(message: Any, type_name: str, store: "Typestore | None" = None) -> Any:
    """A message object of rosbags as a transport's dictionary; `store` knows its types."""
    return _dictionary_of(message, type_name, store or typestore())


def definition(type_name: str) -> str:
    """The text of the type's definition and of those it contains, as rosbag2 and MCAP keep it."""
    _require_known(type_name)
    return typestore().generate_msgdef(type_name, ros_version=2)[0]


def type_hash(type_name: str) -> str:
    """RIHS01_<64 hex>, by which ROS 2 nodes since Iron compare types."""
    _require_known(type_name)
    return typestore().hash_rihs01(type_name)


def _require_known(type_name: str) -> None:
    if type_name not in typestore().fielddefs:
        raise RobotError(f"unknown message type {type_name!r}{nearest(type_name, typestore().fielddefs)}")


@functools.cache
def _to_object(type_name: str) -> Convert:
    """What turns a dictionary into a message object of `type_name`; compiled once, as it runs per message."""
    _require_known(type_name)
    fields = {name: _field(described) for name, described in typestore().fielddefs[type_name][1]}
    # ROS 2 gives an empty message one field of its own making, which nobody fills.
    build, known = typestore().types[type_name], frozenset(fields)

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


def _field(described: Any) -> tuple[Convert, Callable[[], Any]]:
    """How a field's value is converted, and what it is where it is absent."""
    kind, detail = described
    if kind.name == "BASE":
        return _base(detail[0])
    if kind.name == "NAME":
        nested = _to_object(detail)
        return nested, lambda: nested({})
    (inner_kind, inner), length = detail
    size = length if kind.name == "ARRAY" else 0
    if inner_kind.name == "NAME":
        nested = _to_object(inner)
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


def _dictionary_of(message: Any, type_name: str, store: "Typestore") -> dict[str, Any]:
    fields = store.fielddefs[type_name][1]
    return {name: _plain(getattr(message, name), described, store) for name, described in fields}


def _plain(value: Any, described: Any, store: "Typestore") -> Any:
    kind, detail = described
    if kind.name == "BASE":
        return value
    if kind.name == "NAME":
        return _dictionary_of(value, detail, store)
    inner_kind, inner = detail[0]
    if inner_kind.name == "NAME":
        return [_dictionary_of(item, inner, store) for item in value]
    if inner[0] in BYTES:
        return value.tobytes()
    return list(value) if inner[0] == "string" else value
