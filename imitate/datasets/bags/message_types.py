"""From the bytes of a message to its fields, by the definition that the log holds, or a known one."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

from imitate.datasets.bags.channel import Channel
from imitate.errors import DataError, import_extra

DEFINITION_BYTES = 256 * 1024
LONGEST_ARRAY = 100_000
TYPE_NAME = re.compile(r"[A-Za-z]\w*(/[A-Za-z]\w*)+")


@dataclass(frozen=True)
class MessageType:
    """A type of messages: `decode` makes an object of bytes; `store` (of rosbags) knows its fields."""

    name: str
    store: Any
    decode: Callable[[bytes], Any]

    def fields(self, name: str) -> list[tuple[str, Any]]:
        """(name, rosbags' description) of each field of the type `name`."""
        found: list[tuple[str, Any]] = self.store.fielddefs[name][1]
        return found


class MessageTypes:
    """The types of a log's channels. given: definitions (.msg text) of types that logs may lack."""

    def __init__(self, given: Mapping[str, str] | None = None) -> None:
        self._given = given or {}
        self._known: dict[tuple[str, str, str], MessageType] = {}

    def of(self, channel: Channel) -> MessageType:
        """The type of the channel's messages; raises DataError where nobody says what they hold."""
        key = (channel.type, channel.encoding, channel.definition)
        if key not in self._known:
            self._known[key] = self._make(channel)
        return self._known[key]

    def _make(self, channel: Channel) -> MessageType:
        if channel.encoding not in ("cdr", "ros1"):
            raise DataError(
                f"{channel.topic} is encoded as {channel.encoding or 'nothing'}, expected cdr (ROS 2) or ros1"
            )
        if not TYPE_NAME.fullmatch(channel.type):
            raise DataError(f"{channel.topic} has the type {channel.type[:80]!r}, which is no name of a type")
        store, name = self._store(channel), _as_message(channel.type)
        read = store.deserialize_ros1 if channel.encoding == "ros1" else store.deserialize_cdr
        return MessageType(name, store, lambda data: read(data, name))

    def _store(self, channel: Channel) -> Any:
        if channel.type in self._given:
            return _registered(channel.type, self._given[channel.type], "msg", known_types())
        if channel.language and channel.definition:
            return _registered(channel.type, channel.definition, channel.language, None)
        if channel.type not in known_types().fielddefs:
            raise DataError(
                f"{channel.topic} has the type {channel.type}, which the log does not define; name its .msg "
                f"file in the topics file:  definitions: {{{channel.type}: FILE.msg}}"
            )
        return known_types()


@cache
def known_types() -> Any:
    """The types of ROS 2 Jazzy, for logs without definitions; made once, as it takes a third of a second."""
    typesys = import_extra("rosbags.typesys", "ros")
    return typesys.get_typestore(typesys.Stores.ROS2_JAZZY)


def _registered(name: str, text: str, language: str, base: Any) -> Any:
    """A store that knows the type `name`; raises DataError where its definition cannot be read."""
    typesys = import_extra("rosbags.typesys", "ros")
    _require_modest(name, text)
    name, text = _as_message(name), _as_message(text)
    try:
        found = _idl_types(typesys, text) if language == "idl" else typesys.get_types_from_msg(text, name)
        store = typesys.get_typestore(typesys.Stores.EMPTY)
        if base is not None:
            store.register({kind: fields for kind, fields in base.fielddefs.items() if kind not in found})
        store.register(found)
        store.get_msgdef(name)
    except Exception as error:  # The parser's, and the code generator's.
        line = str(error).splitlines()[0][:200] if str(error) else type(error).__name__
        raise DataError(f"the definition of {name} cannot be read: {line}") from error
    return store


def _as_message(text: str) -> str:
    """Names of the parts of services, which rosbags does not take, as those of messages."""
    return text.replace("/srv/", "/msg/")


def _idl_types(typesys: Any, text: str) -> Any:
    separator = "=" * 80 + "\n"
    if not text.startswith(f"{separator}IDL: "):
        return typesys.get_types_from_idl(text)
    found: dict[str, Any] = {}
    for part in text.split(separator)[1:]:
        found.update(typesys.get_types_from_idl(part.partition("\n")[2]))
    return found


def _require_modest(name: str, text: str) -> None:
    """rosbags writes code for each definition, a line for each element of some arrays."""
    if len(text) > DEFINITION_BYTES:
        raise DataError(
            f"the definition of {name} has {len(text)} bytes, expected at most {DEFINITION_BYTES}"
        )
    longest = max((int(size[:12]) for size in re.findall(r"\[\s*(\d+)\s*\]", text)), default=0)
    if longest > LONGEST_ARRAY or "<<" in text:
        raise DataError(
            f"the definition of {name} has an array of {longest} elements; {LONGEST_ARRAY} are read"
        )
