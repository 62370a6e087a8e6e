"""What a page needs of a recorded session, read once; the format is imitate.datasets.session_format's."""

import json
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from imitate.datasets.session_file import Record, SessionFile
from imitate.datasets.session_format import (
    COMMAND_LOG,
    EPISODE,
    EVENTS,
    IMAGE,
    MEASURED,
    OBSERVATIONS,
    SENT,
    STEPS,
    WITHHELD,
)
from imitate.deploy.page.decoding import Points, command_points
from imitate.errors import DataError
from imitate.spec import DataSpec

RECORDING, RESULT = "session.mcap", "session.json"
TIMES = ("late_ms", "busy_ms", "latency_ms", "age_ms")
OWN_EVENTS = {"recording_overflow", "not_recorded"}
"""Told by the recorder in the machine's time, which is not the session's where that is simulated."""


@dataclass(frozen=True)
class Event:
    """Something that happened at `time_s`, with what was said of it."""

    time_s: float
    name: str
    values: Mapping[str, Any]


@dataclass(frozen=True)
class Trace:
    """Values (n, D) at rising times_s (n,)."""

    times_s: np.ndarray
    values: np.ndarray


@dataclass(frozen=True)
class Group:
    """One group of commands: what was to be done, sent or withheld, and what was measured.

    target: the robot's description of it. commanded: setpoints in the units of the kind. measured: joint
    positions, or poses (n, 7).
    """

    name: str
    target: Mapping[str, Any]
    commanded: Trace
    measured: Trace


@dataclass(frozen=True)
class Recording:
    """A session as it was recorded; times in s of its own clock.

    result: session.json, empty where there is none. sources: (time, who) of every command. times_ms: by name
    of TIMES all that were recorded. images: how many pictures each camera gave.
    """

    folder: Path
    header: Mapping[str, Any]
    result: Mapping[str, Any]
    is_truncated: bool
    spec: DataSpec
    groups: tuple[Group, ...]
    events: tuple[Event, ...]
    sources: tuple[tuple[float, str], ...]
    steps: tuple[Mapping[str, Any], ...]
    times_ms: Mapping[str, np.ndarray]
    images: Mapping[str, int]
    start_s: float
    end_s: float

    def named(self, name: str) -> list[Event]:
        """The events of that name, in time."""
        return [event for event in self.events if event.name == name]

    def states(self) -> list[Event]:
        """Every change of state: those of session.json, which also knows the last ones."""
        told = self.result.get("states")
        if not isinstance(told, list):
            # Every attempt tells the changes since the session began.
            once = {(e.time_s, str(e.values.get("after"))): e for e in self.named("state")}
            return list(once.values())
        return [Event(float(change["time_s"]), "state", change) for change in told]


@dataclass
class _Contents:
    points: dict[str, list[Points]] = field(default_factory=lambda: defaultdict(list))
    measured: dict[str, list[Record]] = field(default_factory=lambda: defaultdict(list))
    events: list[Event] = field(default_factory=list)
    sources: list[tuple[float, str]] = field(default_factory=list)
    steps: list[dict[str, Any]] = field(default_factory=list)
    images: dict[str, int] = field(default_factory=dict)
    seen_s: list[float] = field(default_factory=list)


def read_recording(folder: Path) -> Recording:
    """Read the session in `folder`, as much of it as there is; raises DataError where there is none."""
    path = folder / RECORDING
    if not path.exists():
        raise DataError(f"{folder}: there is no {RECORDING}, so no session was recorded here")
    file = SessionFile(path)
    spec = DataSpec.from_json(file.header["spec"])
    targets = (file.header.get("robot") or {}).get("targets") or {}
    contents = _read(file, targets)
    groups = tuple(_group(name, target, contents) for name, target in targets.items())
    times = [*contents.seen_s, *(e.time_s for e in contents.events if e.name not in OWN_EVENTS)]
    return Recording(
        folder=folder,
        header=file.header,
        result=_result(folder),
        is_truncated=file.truncated,
        spec=spec,
        groups=groups,
        events=tuple(sorted(contents.events, key=lambda event: event.time_s)),
        sources=tuple(sorted(contents.sources)),
        steps=tuple(contents.steps),
        times_ms=_times(contents.events),
        images=contents.images,
        start_s=min(times, default=0.0),
        end_s=max(times, default=0.0),
    )


def _result(folder: Path) -> dict[str, Any]:
    """session.json, empty where the session did not come to its end."""
    try:
        found = json.loads((folder / RESULT).read_text())
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def _read(file: SessionFile, targets: Mapping[str, Mapping[str, Any]]) -> _Contents:
    contents = _Contents()
    for record in file.records():
        if record.topic == EVENTS:
            told = record.json()
            contents.events.append(Event(float(told["time_s"]), told["name"], told["values"]))
        elif record.topic == COMMAND_LOG:
            told = record.json()
            contents.sources.append((float(told["time_s"]), str(told["source"])))
        elif record.topic == STEPS:
            contents.steps.append(record.json())
        else:
            _take_message(record, targets, contents)
    return contents


def _take_message(record: Record, targets: Mapping[str, Mapping[str, Any]], contents: _Contents) -> None:
    contents.seen_s.append(record.time_s)
    for prefix in (SENT, WITHHELD):
        group = record.topic.removeprefix(prefix)
        if record.topic.startswith(prefix) and group in targets:
            contents.points[group].append(command_points(record, targets[group]))
    if record.topic.startswith(MEASURED):
        contents.measured[record.topic.removeprefix(MEASURED)].append(record)
    elif record.topic.startswith(OBSERVATIONS) and record.type == IMAGE:
        name = record.topic.removeprefix(OBSERVATIONS)
        contents.images[name] = contents.images.get(name, 0) + 1


def _group(name: str, target: Mapping[str, Any], contents: _Contents) -> Group:
    size = 7 if target.get("kind") == "pose" else len(target.get("names") or ())
    measured = [(record.came_s, record.array()) for record in contents.measured[name]]
    width = max((len(value) for _, value in measured), default=size)
    fitting = [(time_s, value) for time_s, value in measured if len(value) == width]
    return Group(
        name,
        target,
        _commanded(contents.points[name], size),
        _trace([time_s for time_s, _ in fitting], [value for _, value in fitting], width),
    )


def _commanded(points: list[Points], size: int) -> Trace:
    """All setpoints in time; of a trajectory that another one replaced, those that came to be due."""
    points = sorted(points, key=lambda one: one.made_s)
    times: list[float] = []
    values: list[np.ndarray] = []
    for index, one in enumerate(points):
        until_s = points[index + 1].made_s if index + 1 < len(points) else np.inf
        for number, (time_s, value) in enumerate(zip(one.times_s, one.values, strict=True)):
            if (number == 0 or time_s < until_s) and len(value) == size:
                times.append(float(time_s))
                values.append(value)
    return _trace(times, values, size)


def _trace(times_s: list[float], values: list[np.ndarray], size: int) -> Trace:
    at = np.array(times_s, np.float64)
    order = np.argsort(at, kind="stable")
    return Trace(at[order], np.array(values, np.float64).reshape(len(at), size)[order])


def _times(events: list[Event]) -> dict[str, np.ndarray]:
    told = [event.values for event in events if event.name == "timings"]
    found = {name: np.array([value for one in told for value in one.get(name, ())], float) for name in TIMES}
    return {name: values for name, values in found.items() if len(values)}


def attempts(recording: Recording) -> list[tuple[float, float]]:
    """(start, end) of every attempt: from its mark to when running and holding ended, or to the next one."""
    starts = [event.time_s for event in recording.named(EPISODE)]
    ends = [
        change.time_s
        for change in recording.states()
        if change.values["after"] in ("idle", "fault", "disconnected")
    ]
    found = []
    for index, start_s in enumerate(starts):
        last_s = starts[index + 1] if index + 1 < len(starts) else recording.end_s
        found.append((start_s, min([end_s for end_s in ends if start_s < end_s] + [last_s])))
    return found
