"""Field paths into messages (`pose.position`, `points[0].positions`, `axes[1]`) and what they lead to."""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from operator import attrgetter
from typing import Any

import numpy as np

from imitate.datasets.bags.message_types import MessageType
from imitate.datasets.bags.units import DEFAULT_FIELDS, UNITS
from imitate.errors import DataError, nearest

STEP = re.compile(r"([A-Za-z]\w*)((?:\[-?\d{1,6}\])*)")
HEADER = "std_msgs/msg/Header"
TIMES = {"builtin_interfaces/msg/Time", "builtin_interfaces/msg/Duration"}
QUATERNION = "geometry_msgs/msg/Quaternion"
NARROW = {"bool", "byte", "char", "int8", "uint8", "int16", "uint16", "float32"}
"""Numbers that float32 holds exactly; others are kept as float64."""
NAME_FIELDS = ("name", "joint_names")
"""Of a message, the names of the elements of its arrays."""


@dataclass(frozen=True)
class Item:
    """Numbers below a field path: one number, or an array of them whose length a message tells."""

    path: str
    unit: str
    is_array: bool
    is_wide: bool


@dataclass(frozen=True)
class Place:
    """What a field path leads to in messages of a type.

    steps: attributes and indices that lead there. items: the numbers below, in the order of the message;
    quaternion: where among them its four are, None where there is none. text: whether it is a string.
    names_field: where messages name the elements of the array; "" where they do not.
    """

    path: str
    steps: tuple[str | int, ...]
    items: tuple[Item, ...]
    quaternion: int | None = None
    text: bool = False
    names_field: str = ""
    _values: Any = field(default=None, repr=False)

    def find(self, message: Any) -> Any:
        """What stands there in `message`; raises DataError where a list is too short."""
        for step in self.steps:
            if isinstance(step, int):
                if not -len(message) <= step < len(message):
                    raise DataError(f"{self.path}: the list has {len(message)} elements")
                message = message[step]
            else:
                message = getattr(message, step)
        return message

    def numbers(self, message: Any) -> np.ndarray:
        """(n,) float64: the numbers there, one after the other."""
        found = self.find(message)
        if self._values is None:
            if isinstance(found, np.ndarray) and found.dtype == np.float64:
                return found
            return np.atleast_1d(np.asarray(found, np.float64)).reshape(-1)
        values = self._values(found)
        if len(self.items) == 1:
            return np.atleast_1d(np.asarray(values, np.float64)).reshape(-1)
        if any(item.is_array for item in self.items):
            return np.concatenate([np.atleast_1d(np.asarray(value, np.float64)) for value in values])
        return np.array(values, np.float64)

    @property
    def is_wide(self) -> bool:
        """Whether float32 might lose something."""
        return any(item.is_wide for item in self.items)


def place_in(kind: MessageType, path: str) -> Place:
    """Where `path` leads in messages of a type; an empty one to what is usually meant.

    Raises DataError naming the fields there are.
    """
    path = path or _default_path(kind)
    steps, described, unit = _walk(kind, path)
    if _is_text(described):
        return Place(path, steps, (), text=True)
    items = tuple(_items(kind, described, "", unit))
    if not items:
        raise DataError(f"{kind.name}: {path or 'the message'} holds no numbers")
    names_field = _names_field(kind) if len(items) == 1 and items[0].is_array else ""
    values = attrgetter(*(item.path for item in items)) if items[0].path else None
    return Place(path, steps, items, _quaternion(kind, described), False, names_field, values)


def has_stamp(kind: MessageType) -> bool:
    """Whether messages tell their time, in header.stamp."""
    return dict(kind.fields(kind.name)).get("header", (None, None))[1] == HEADER


def _default_path(kind: MessageType) -> str:
    if kind.name in DEFAULT_FIELDS:
        return DEFAULT_FIELDS[kind.name]
    fields = [(name, described) for name, described in kind.fields(kind.name) if described[1] != HEADER]
    if len(fields) == 1:
        return fields[0][0]
    if kind.name.endswith("MultiArray"):
        return "data"
    if kind.name.startswith("geometry_msgs/") and len(fields) == len(kind.fields(kind.name)):
        return ""
    names = ", ".join(name for name, _ in fields) or "none"
    raise DataError(f"{kind.name} needs to be told the field; there are: {names}")


def _walk(kind: MessageType, path: str) -> tuple[tuple[str | int, ...], Any, str]:
    """The steps along `path`, rosbags' description of what is there, and its unit."""
    described: Any = (_node("NAME"), kind.name)
    steps: list[str | int] = []
    unit = ""
    for part in path.split(".") if path else ():
        found = STEP.fullmatch(part)
        if not found:
            raise DataError(
                f"{path!r} is no field path; expected one like pose.position.x or points[0].positions"
            )
        owner = described[1]
        if described[0].name != "NAME":
            raise DataError(f"{kind.name}: {part!r} in {path} is a field of no message")
        fields = dict(kind.fields(owner))
        if found[1] not in fields:
            raise DataError(f"{owner} has no field {found[1]!r}{nearest(found[1], fields)}")
        described = fields[found[1]]
        unit = UNITS.get((owner, found[1]), unit)
        steps.append(_attribute(kind, owner, found[1]))
        for index in re.findall(r"-?\d+", found[2]):
            if described[0].name not in ("ARRAY", "SEQUENCE"):
                raise DataError(f"{owner}: {part!r} has an index, but is no list")
            described = described[1][0]
            steps.append(int(index))
    return tuple(steps), described, unit


def _items(kind: MessageType, described: Any, path: str, unit: str) -> Iterator[Item]:
    """The numbers of what is described; texts, times and headers are none."""
    node, detail = described
    if node.name == "BASE":
        if detail[0] not in ("string", "wstring"):
            yield Item(path, unit, False, detail[0] not in NARROW)
    elif node.name == "NAME":
        if detail == HEADER or detail in TIMES:
            return
        for name, inner in kind.fields(detail):
            below = f"{path}.{name}" if path else _attribute(kind, detail, name)
            yield from _items(kind, inner, below, UNITS.get((detail, name), unit))
    elif detail[0][0].name == "BASE":
        base = detail[0][1][0]
        if base not in ("string", "wstring"):
            yield Item(path, unit, True, base not in NARROW)
    else:
        raise DataError(
            f"{path or 'the field'} is a list of {detail[0][1]}: name one element, like {path}[0]"
        )


def _quaternion(kind: MessageType, described: Any, before: int = 0) -> int | None:
    if described[0].name != "NAME":
        return None
    if described[1] == QUATERNION:
        return before
    for _, inner in kind.fields(described[1]):
        found = _quaternion(kind, inner, before)
        if found is not None:
            return found
        items = list(_items(kind, inner, "", ""))
        if any(item.is_array for item in items):
            return None
        before += len(items)
    return None


def _names_field(kind: MessageType) -> str:
    fields = dict(kind.fields(kind.name))
    return next(
        (name for name in NAME_FIELDS if name in fields and fields[name][0].name == "SEQUENCE"
         and fields[name][1][0][1][0] == "string"),
        "",
    )  # fmt: skip


def _attribute(kind: MessageType, owner: str, name: str) -> str:
    """rosbags renames fields that are words of Python."""
    known = getattr(kind.store.types[owner], "__dataclass_fields__", {})
    return name if name in known else f"{name}_"


def _is_text(described: Any) -> bool:
    return described[0].name == "BASE" and described[1][0] in ("string", "wstring")


@dataclass(frozen=True)
class _Node:
    name: str


def _node(name: str) -> _Node:
    """As rosbags marks the kind of a field; we compare names alone."""
    return _Node(name)
