"""What one entry of a topics file reads of each message: numbers by name, or a picture."""

import dataclasses
from collections.abc import Sequence
from typing import Any

import numpy as np

from imitate.datasets.bags.fields import Place, place_in
from imitate.datasets.bags.message_types import MessageType
from imitate.datasets.bags.pictures import CAMERAS, picture, require_picture
from imitate.datasets.bags.topics import Entry
from imitate.datasets.camera_pictures import resized
from imitate.errors import ConfigError, DataError, nearest
from imitate.spec import ArraySpec

NAMES_SHOWN = 12


@dataclasses.dataclass(frozen=True)
class Reading:
    """Of one message: numbers (d,) float64, None where there are none; the place of its oldest part."""

    values: np.ndarray | None
    since: int


class OtherSizeError(DataError):
    """A picture is not as large as the first one."""


class PictureReader:
    """Pictures are only counted while the log is looked through; the first one tells the size."""

    size = 0

    def __init__(self, entry: Entry) -> None:
        self.entry = entry
        self.spec: ArraySpec | None = None
        self.trouble = ""
        for label in ("field", "names", "units", "circular"):
            if getattr(entry, label):
                raise ConfigError(
                    f"{entry.where}.{label} is {getattr(entry, label)!r}, but pictures have none"
                )
        if entry.sample in ("linear", "slerp"):
            raise ConfigError(f"{entry.where}.sample is {entry.sample!r}; pictures are taken as they are")

    def read(self, message: Any, kind: MessageType, place: int) -> Reading | None:
        """That there is one; the first that is whole is decoded."""
        try:
            if self.spec is None:
                self.spec = ArraySpec(self.picture(message, kind).shape, "uint8")
            else:
                require_picture(message, kind.name)
        except DataError as error:
            self.trouble = self.trouble or str(error)
            return Reading(None, place)
        return Reading(np.zeros(0), place)

    def picture(self, message: Any, kind: MessageType) -> np.ndarray:
        """(H, W, 3) uint8 RGB; raises OtherSizeError for another size than the first."""
        found = resized(picture(message, kind.name), self.entry.size)
        if self.spec is not None and found.shape != self.spec.shape:
            raise OtherSizeError(
                f"{self.entry.topic}: a picture is {found.shape[:2]}, the first is {self.spec.shape[:2]}; "
                f"set  {self.entry.where}.size: [height, width]"
            )
        return found


class NumberReader:
    """Numbers at a field path. Elements that messages name (joints) are found by name, in any order."""

    def __init__(self, entry: Entry, kind: MessageType) -> None:
        self.entry = entry
        self.spec: ArraySpec | None = None
        self.size = 0
        self.quaternion: int | None = None
        if entry.size is not None:
            raise ConfigError(f"{entry.where}.size is for pictures; {entry.topic} is a {kind.name}")
        self._places: dict[int, Place] = {}
        self._order: list[int] | None = None
        self._joints: dict[str, int] = {}
        self._last: np.ndarray = np.zeros(0)
        self._seen: np.ndarray = np.zeros(0, np.int64)
        self._full = -1
        self._known: set[str] = set()
        self._before: tuple[list[str], np.ndarray, np.ndarray] | None = None
        self.trouble = ""
        """What the first message that cannot be used was, in words."""

    def read(self, message: Any, kind: MessageType, place: int) -> Reading | None:
        """The numbers; None for a message that names none of the joints. Raises for what can never fit."""
        where = self._place(kind)
        try:
            values = where.numbers(message)
        except DataError as error:
            return self._unusable(str(error), place)
        if where.names_field:
            return self._by_name(list(getattr(message, where.names_field)), values, where, place)
        if self.spec is None:
            self._describe(_element_names(where, values), where, len(values))
        return self._checked(values[self._order] if self._order else values, place)

    def missing(self) -> str:
        """The joint that no message named, with the nearest that one did; "" where there is none."""
        never = [name for name, index in self._joints.items() if max(int(self._seen[index]), self._full) < 0]
        return f"{never[0]!r}{nearest(never[0], self._known)}" if never else ""

    def _place(self, kind: MessageType) -> Place:
        found = self._places.get(id(kind))
        if found is None:
            found = place_in(kind, self.entry.field)
            if found.text:
                raise DataError(f"{kind.name}: {found.path} is a text; observations and actions are numbers")
            self._places[id(kind)] = found
            self.quaternion = found.quaternion
        return found

    def _by_name(self, names: list[str], values: np.ndarray, where: Place, place: int) -> Reading | None:
        if len(values) != len(names):
            return self._unusable(f"{where.path} has {len(values)} values for {len(names)} joints", place)
        if self.spec is None:
            self._describe(self.entry.names or tuple(names), where, None)
        source, target = self._wanted(names)
        if len(source) == self.size:  # All at once, as most robots publish them.
            self._last, self._full = values[source], place
            return self._checked(self._last, place)
        if not len(source):
            return None
        self._last, seen = self._last.copy(), np.maximum(self._seen, self._full)
        self._last[target], seen[target] = values[source], place
        self._seen = seen
        return self._checked(self._last, int(seen.min())) if seen.min() >= 0 else None

    def _wanted(self, names: list[str]) -> tuple[np.ndarray, np.ndarray]:
        """Where the joints stand in a message with these names, and where they belong."""
        if self._before is None or names != self._before[0]:
            self._known.update(names[:1000])
            here = {self._joints[name]: index for index, name in enumerate(names) if name in self._joints}
            target, source = np.array(sorted(here.items()), np.int64).reshape(-1, 2).T
            self._before = names, source, target
        return self._before[1], self._before[2]

    def _checked(self, values: np.ndarray, since: int) -> Reading:
        if len(values) != self.size:
            return self._unusable(f"{len(values)} numbers, the first had {self.size}", since)
        return Reading(values, since)

    def _unusable(self, trouble: str, place: int) -> Reading:
        self.trouble = self.trouble or trouble
        return Reading(None, place)

    def _describe(self, names: Sequence[str], where: Place, found: int | None) -> None:
        """Fix the elements by the first message, or by the names that were asked for."""
        entry, chosen = self.entry, tuple(names)
        if found is None:
            if len(set(chosen)) != len(chosen) or not chosen:
                raise DataError(
                    f"{entry.topic} names its joints {list(chosen)[:NAMES_SHOWN]}; expected distinct names"
                )
            self._joints = {name: index for index, name in enumerate(chosen)}
            self._last, self._seen = np.zeros(len(chosen)), np.full(len(chosen), -1)
        elif entry.names:
            chosen = self._picked(tuple(names), found)
        self.size = len(chosen) if found is None or self._order else found
        if not self.size:
            raise DataError(f"{entry.topic}: {where.path} is empty in the first message")
        units = _units(where, len(names) if found is None else found)
        if self._order:
            units = tuple(units[index] for index in self._order)
        self.spec = ArraySpec(
            (self.size,),
            "float64" if where.is_wide else "float32",
            names=chosen if len(set(chosen)) == self.size else (),
            units=self._told_units() or (units[: self.size] if any(units) else ()),
            circular=self._circular(chosen),
        )

    def _picked(self, names: tuple[str, ...], found: int) -> tuple[str, ...]:
        entry = self.entry
        if not names:
            if len(entry.names) != found:
                raise ConfigError(
                    f"{entry.where}.names has {len(entry.names)} names; {entry.topic} has {found} numbers"
                )
            return entry.names
        for name in entry.names:
            if name not in names:
                raise ConfigError(f"{entry.where}.names: {entry.topic} has no {name!r}{nearest(name, names)}")
        self._order = [names.index(name) for name in entry.names]
        return entry.names

    def _told_units(self) -> tuple[str, ...]:
        units = self.entry.units
        if len(units) not in (0, 1, self.size):
            raise ConfigError(f"{self.entry.where}.units has {len(units)} entries, expected 1 or {self.size}")
        return units * self.size if len(units) == 1 else units

    def _circular(self, names: tuple[str, ...]) -> tuple[int, ...]:
        for name in self.entry.circular:
            if name not in names:
                raise ConfigError(f"{self.entry.where}.circular: there is no {name!r}{nearest(name, names)}")
        return tuple(names.index(name) for name in self.entry.circular)


EntryReader = PictureReader | NumberReader


def reader_of(entry: Entry, kind: MessageType) -> EntryReader:
    """What reads the entry from messages of a type; raises where the entry does not fit it."""
    return PictureReader(entry) if kind.name in CAMERAS and not entry.field else NumberReader(entry, kind)


def _element_names(where: Place, values: np.ndarray) -> tuple[str, ...]:
    """What the message calls its numbers: their paths; none for the elements of an array."""
    if any(item.is_array for item in where.items) or len(where.items) != len(values):
        return ()
    last = where.path.rpartition(".")[2]
    return tuple(item.path or last for item in where.items)


def _units(where: Place, size: int) -> tuple[str, ...]:
    if len(where.items) == 1:
        return (where.items[0].unit,) * size
    if any(item.is_array for item in where.items):
        return ("",) * size
    return tuple(item.unit for item in where.items)
