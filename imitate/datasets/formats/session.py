"""Deploy sessions as demonstrations: what the policy saw and what was done, corrections by a person marked.

    imitate import src=session.mcap out=demos.zarr

An episode's source is "policy", "person", or MIXED where a person took over in between; its metadata has
`corrected`, the steps [start, stop) at which a person acted: what DAgger-style training wants (HG-DAgger,
arXiv:1810.02890). Nobody judged success.
"""

import struct
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from imitate.datasets.formats import Format, ReadOptions
from imitate.datasets.session_file import Record, SessionFile, holds_session
from imitate.datasets.session_format import EPISODE, EVENTS, INVALID, OBSERVATIONS, STEPS
from imitate.datasets.session_steps import Part, Split, Stream, ranges, split_steps
from imitate.errors import DataError, SpecError
from imitate.types import DataSpec, Episode

MIXED = "policy, corrected by a person"
# The age of observations, in control periods, where the session names none.
DEFAULT_AGE = 3.0


@dataclass(frozen=True)
class SessionDemos:
    """The episodes of a session; `left_out` says in words what they do not hold.

    steps: those that were sent, in time. places: by observation, where in the file (counted over the messages
    of observations) its readings stand.
    """

    file: SessionFile
    spec: DataSpec
    steps: tuple[Mapping[str, Any], ...]
    parts: tuple[Part, ...]
    places: Mapping[str, np.ndarray]
    left_out: tuple[str, ...]

    @property
    def source(self) -> str:
        """Where they come from."""
        return f"imitate deploy, {self.file.path.name}"

    @property
    def _task(self) -> dict[str, Any]:
        """What the policy was told, as metadata of an episode."""
        return {key: value for key, value in self.file.header.items() if key == "task"}

    @property
    def metadata(self) -> dict[str, Any]:
        """The header of the session: policy, robot, mode."""
        return {"session": {key: value for key, value in self.file.header.items() if key != "spec"}}

    def __len__(self) -> int:
        return len(self.parts)

    def episodes(self) -> Iterator[Episode]:
        """All episodes in order, one in memory at a time; raises DataError for a value that does not fit."""
        with _damage_told(self.file.path):
            yield from self._episodes()

    def _episodes(self) -> Iterator[Episode]:
        needed = [self._needed(part) for part in self.parts]
        last_user = {place: index for index, places in enumerate(needed) for place in places}
        records = enumerate(self.file.records({OBSERVATIONS + key for key in self.spec.obs}))
        held: dict[int, np.ndarray] = {}
        position = -1
        for index, places in enumerate(needed):
            while position < max(places):
                position, record = next(records)
                if position in last_user:
                    held[position] = self._value(record)
            yield self._episode(index, held)
            held = {place: value for place, value in held.items() if last_user[place] > index}

    def _needed(self, part: Part) -> set[int]:
        return {int(self.places[key][number]) for key, found in part.readings.items() for number in found}

    def _value(self, record: Record) -> np.ndarray:
        key = record.topic.removeprefix(OBSERVATIONS)
        spec, value = self.spec.obs[key], record.array()
        fits = value.shape == spec.shape if spec.is_image else value.size == spec.size
        if not fits:
            raise DataError(
                f"{self.file.path}: {key!r} is {value.shape} at {record.time_s:.3f} s, expected {spec.shape}"
            )
        return value.reshape(spec.shape).astype(spec.dtype)

    def _episode(self, index: int, held: Mapping[int, np.ndarray]) -> Episode:
        part = self.parts[index]
        steps = [self.steps[number] for number in part.steps]
        by_person = np.array([step["source"] == "person" for step in steps])
        return Episode(
            id=f"{self.file.path.stem}_{index}",
            obs={
                key: np.stack([held[int(self.places[key][number])] for number in part.readings[key]])
                for key in self.spec.obs
            },
            action=self._actions(steps),
            source="person" if by_person.all() else MIXED if by_person.any() else "policy",
            rate_hz=self.spec.rate_hz,
            metadata={"corrected": ranges(by_person), **self._task},
        )

    def _actions(self, steps: list[Mapping[str, Any]]) -> np.ndarray:
        spec = self.spec.action
        actions = np.array([step["action"] for step in steps], spec.dtype)
        if actions.shape[1:] != spec.shape:
            raise DataError(
                f"{self.file.path}: the action of a step is {actions.shape[1:]}, expected {spec.shape}"
            )
        return actions


@dataclass
class _Contents:
    """What the first reading finds: everything but the values of observations."""

    streams: dict[str, Stream]
    places: dict[str, list[int]]
    steps: list[Record] = field(default_factory=list)
    marks_s: list[float] = field(default_factory=list)


def read_session(path: Path, options: ReadOptions) -> SessionDemos:
    """Look through the session and find its episodes.

    Raises DataError where it is none, or holds nothing to learn from, with the reason.
    """
    with _damage_told(path):
        return _find_episodes(path, SessionFile(path))


@contextmanager
def _damage_told(path: Path) -> Iterator[None]:
    """Turn whatever a damaged message causes into a DataError that names the file."""
    try:
        yield
    except (DataError, SpecError) as error:
        if path.name in str(error):
            raise
        raise DataError(f"{path}: {error}") from error
    except (LookupError, TypeError, ValueError, AttributeError, ArithmeticError) as error:
        raise DataError(f"{path} is damaged ({' '.join(repr(error).split())}); copy it again") from error
    except (cv2.error, struct.error, AssertionError, RuntimeError) as error:
        raise DataError(f"{path} is damaged ({type(error).__name__}); copy it again") from error


def _find_episodes(path: Path, file: SessionFile) -> SessionDemos:
    spec = DataSpec.from_json(file.header["spec"])
    if not spec.rate_hz:
        raise DataError(f"{path}: its DataSpec has no rate_hz, so control steps have no period")
    contents = _read(file, spec)
    sent = [record for record in contents.steps if record.json().get("sent")]
    sent.sort(key=lambda record: record.time_s)
    _require_steps(path, file, contents, sent)
    split = split_steps(
        np.array([record.time_s for record in sent]),
        contents.streams,
        _max_ages(file.header, spec),
        1.0 / spec.rate_hz,
        contents.marks_s,
    )
    if not split.parts:
        raise DataError(f"{path}: no two control steps in a row can be used: {_why(split, sent, spec)}")
    return SessionDemos(
        file=file,
        spec=spec,
        steps=tuple(record.json() for record in sent),
        parts=split.parts,
        places={key: np.array(places) for key, places in contents.places.items()},
        left_out=tuple(_left_out(file, split, len(contents.steps) - len(sent))),
    )


def _read(file: SessionFile, spec: DataSpec) -> _Contents:
    topics = {OBSERVATIONS + key: key for key in spec.obs}
    contents = _Contents({key: Stream() for key in spec.obs}, {key: [] for key in spec.obs})
    place = 0
    for record in file.records({*topics, STEPS, EVENTS}):
        if record.topic == STEPS:
            contents.steps.append(record)
        elif record.topic == EVENTS:
            _take_event(record, topics, contents)
        else:
            key = topics[record.topic]
            contents.streams[key].add(record.time_s, record.came_s)
            contents.places[key].append(place)
            place += 1
    return contents


def _take_event(record: Record, topics: Mapping[str, str], contents: _Contents) -> None:
    event = record.json()
    if event["name"] == EPISODE:
        contents.marks_s.append(record.time_s)
    stream = event["values"].get("stream")
    if event["name"] == INVALID and stream in topics:
        contents.streams[topics[stream]].add(record.time_s, record.came_s, valid=False)
        contents.places[topics[stream]].append(-1)


def _require_steps(path: Path, file: SessionFile, contents: _Contents, sent: list[Record]) -> None:
    if not contents.steps:
        raise DataError(f"{path} has no control steps: the policy never ran in this session")
    if not sent:
        mode = file.header.get("mode", "unknown")
        raise DataError(
            f"{path}: none of {len(contents.steps)} actions reached the robot (mode {mode}); "
            f"only sessions of mode=run are demonstrations"
        )
    for key, stream in contents.streams.items():
        if not any(stream.valid):
            raise DataError(f"{path}: observation {key!r} was never recorded")


def _max_ages(header: Mapping[str, Any], spec: DataSpec) -> dict[str, float]:
    told = header.get("max_age_s") or {}
    default = DEFAULT_AGE / (spec.rate_hz or 1.0)
    return {key: float(told.get(f"observations.{key}", default)) for key in spec.obs}


def _why(split: Split, sent: list[Record], spec: DataSpec) -> str:
    gaps = np.diff([record.time_s for record in sent])
    typical = f", typically {np.median(gaps):.3f} s apart" if len(gaps) else ""
    return (
        f"{split.unusable} of {len(sent)} lack a fresh observation, {split.alone} stand alone"
        f"{typical}, expected {1.0 / (spec.rate_hz or 1.0):.3f} s"
    )


def _left_out(file: SessionFile, split: Split, not_sent: int) -> list[str]:
    said = []
    if not_sent:
        said.append(f"{not_sent} control steps whose action did not reach the robot")
    if split.unusable:
        said.append(f"{split.unusable} control steps without a fresh observation")
    if split.alone:
        said.append(f"{split.alone} single control steps between gaps")
    if file.damage:
        said.append(f"what follows the damage: {file.damage}")
    return said


def _recognises(path: Path) -> bool:
    return path.is_file() and holds_session(path)


FORMAT = Format("session", "session of imitate deploy", _recognises, read_session)
