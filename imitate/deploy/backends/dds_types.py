"""ROS 2 messages as cyclonedds sees them: topic classes whose bytes rosbags reads and writes.

A topic class tells DDS the layout of a type (design.ros2.org, "Mapping between ROS interface types and DDS
IDL types"); what travels is made by imitate.deploy.ros_types, which keeps arrays as arrays. cyclonedds' own
codec turns every byte of an image into a Python integer.
"""

import functools
from typing import Any

from imitate.deploy.ros_types import typestore
from imitate.errors import RobotError, import_extra, nearest

# ROS names of numbers that IDL calls something else.
IDL_NAMES = {"byte": "uint8", "char": "uint8", "bool": "bool"}


def topic_name(ros_name: str) -> str:
    """ "/a/b" is the DDS topic "rt/a/b"."""
    return "rt" + ros_name


def ros_name(topic: str) -> str | None:
    """What `topic_name` was given; None for what is no ROS topic."""
    return topic.removeprefix("rt") if topic.startswith("rt/") else None


def type_name(ros_type: str) -> str:
    """ "pkg/msg/Type" is "pkg::msg::dds_::Type_"."""
    package, kind, name = ros_type.split("/")
    return f"{package}::{kind}::dds_::{name}_"


def ros_type(name: str) -> str:
    """What `type_name` was given; other names as they are."""
    parts = name.split("::")
    if len(parts) != 4 or parts[2] != "dds_":
        return name
    return f"{parts[0]}/{parts[1]}/{parts[3].removesuffix('_')}"


@functools.cache
def topic_class(ros_type: str) -> Any:
    """The class for cyclonedds.topic.Topic; its samples have `data`, the message in CDR.

    Raises RobotError for an unknown type, or a service's or action's.
    """
    if "/msg/" not in ros_type:
        raise RobotError(
            f"{ros_type} belongs to a service or an action, which DDS carries differently for each ROS "
            f"middleware; use a robot with the rosbridge backend for these"
        )
    found = _struct(ros_type, is_topic=True)
    # cyclonedds calls these three. They are set, not inherited: it takes every base for a part of the layout.
    found.serialize = lambda sample, *_, **__: sample.data
    found.deserialize = classmethod(lambda cls, data, *_, **__: sample_of(cls, data))
    found.deserialize_key = classmethod(lambda *_, **__: None)
    return found


def sample_of(found: Any, data: bytes) -> Any:
    """A sample of the topic class `found` that carries `data`, CDR with its header."""
    sample = found()
    sample.data = data
    return sample


@functools.cache
def _struct(ros_type: str, is_topic: bool = False) -> Any:
    """A cyclonedds structure with the members of `ros_type`, in their order."""
    definitions = typestore().fielddefs
    if ros_type not in definitions:
        raise RobotError(f"unknown message type {ros_type!r}{nearest(ros_type, definitions)}")
    idl = import_extra("cyclonedds.idl", "ros")
    fields = {name: _member(described) for name, described in definitions[ros_type][1]}
    name = ros_type.rpartition("/")[2]
    return idl.make_idl_struct(name, type_name(ros_type), fields, dataclassify=not is_topic)


def _member(described: Any) -> Any:
    types = import_extra("cyclonedds.idl.types", "ros")
    kind, detail = described
    if kind.name == "NAME":
        return _struct(detail)
    if kind.name == "BASE":
        return _base(detail[0], detail[1], types)
    inner, length = detail
    if kind.name == "ARRAY":
        return types.array[_member(inner), length]
    return types.sequence[_member(inner), length] if length else types.sequence[_member(inner)]


def _base(name: str, bound: int, types: Any) -> Any:
    if name == "string":
        return types.bounded_str[bound] if bound else str
    if name == "bool":
        return bool
    return getattr(types, IDL_NAMES.get(name, name))
