"""What happened when, short enough to draw: states, who acts, runs of interventions, curves."""

import itertools
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from imitate.deploy.page.recording import Event, Group, Recording, Trace
from imitate.deploy.safety.rotation import turn_between

TOGETHER_S = 0.25
"""Interventions of one rule on one group that follow one another so closely are one line of the page."""

SILENT_S = 0.5
"""Where no command was recorded for so long nobody acted."""

MAX_POINTS = 100_000
"""Of all curves together: some 1.5 MB."""

FIRST = {"person": 0, "policy": 1, "hold": 2}
UNITS: Mapping[str, Mapping[str, str]] = {
    "twist": {"x": "m/s", "y": "m/s", "z": "m/s", "roll": "rad/s", "pitch": "rad/s", "yaw": "rad/s"},
    "pose": {"x": "m", "y": "m", "z": "m", "qx": "", "qy": "", "qz": "", "qw": ""},
}
KIND_UNITS = {"joint_position": "rad", "joint_velocity": "rad/s", "gripper": "m"}


@dataclass(frozen=True)
class Span:
    """From start_s to end_s it was `name`; why it began."""

    start_s: float
    end_s: float
    name: str
    why: str = ""


@dataclass(frozen=True)
class Run:
    """Interventions of one rule on one group, one after another; `detail` is that of the first."""

    start_s: float
    end_s: float
    group: str
    rule: str
    count: int
    detail: str


def state_spans(recording: Recording) -> list[Span]:
    """The states one after another, to the end of the recording."""
    changes = recording.states()
    ends = [*(change.time_s for change in changes[1:]), recording.end_s]
    return [
        Span(change.time_s, end_s, str(change.values["after"]), str(change.values.get("why", "")))
        for change, end_s in zip(changes, ends[: len(changes)], strict=True)
    ]


def who_spans(sources: Iterable[tuple[float, str]]) -> list[Span]:
    """Who commanded; at one moment a person goes before the policy, and both before a hold."""
    by_time: dict[float, str] = {}
    for time_s, who in sources:
        held = by_time.get(time_s, who)
        by_time[time_s] = min(held, who, key=lambda name: FIRST.get(name, 3))
    spans: list[Span] = []
    for time_s, who in by_time.items():
        last = spans[-1] if spans else None
        if last and time_s - last.end_s < SILENT_S:
            spans[-1] = Span(last.start_s, time_s, last.name)
            if last.name == who:
                continue
        spans.append(Span(time_s, time_s, who))
    return spans


def intervention_runs(recording: Recording) -> list[Run]:
    """All interventions of the gate in time, those that follow one another as one."""
    running: dict[tuple[str, str], Run] = {}
    done: list[Run] = []
    for event in recording.named("intervention"):
        key = (str(event.values.get("group", "")), str(event.values.get("rule", "")))
        last = running.get(key)
        if last and event.time_s - last.end_s <= TOGETHER_S:
            running[key] = Run(last.start_s, event.time_s, *key, last.count + 1, last.detail)
            continue
        if last:
            done.append(last)
        running[key] = Run(event.time_s, event.time_s, *key, 1, str(event.values.get("detail", "")))
    return sorted([*done, *running.values()], key=lambda run: run.start_s)


def labels(target: Mapping[str, Any]) -> list[tuple[str, str]]:
    """(name, unit) of every element of a group's setpoints."""
    kind, names = str(target.get("kind")), list(target.get("names") or ())
    if kind == "pose":
        names = list(UNITS["pose"])
    units = UNITS.get(kind, {})
    return [(str(name), units.get(str(name), KIND_UNITS.get(kind, ""))) for name in names]


def measured_as_commanded(group: Group, breaks_s: Sequence[float]) -> Trace:
    """What was measured in the units of the commands: of rates the mean since the measurement before.

    breaks_s: when attempts begin and end, since in between a simulation starts anew somewhere else.
    """
    measured, kind = group.measured, group.target.get("kind")
    if kind not in ("twist", "joint_velocity") or len(measured.times_s) < 2:
        return measured if kind not in ("twist", "joint_velocity") else _none(group)
    elapsed = np.diff(measured.times_s)
    begun = np.searchsorted(np.sort(breaks_s), measured.times_s, side="right")
    keep = (elapsed > 1e-6) & (np.diff(begun) == 0)
    moved = displacement(group.target, measured.values[:-1], measured.values[1:])
    return Trace(measured.times_s[1:][keep], moved[keep] / elapsed[keep, None])


def displacement(target: Mapping[str, Any], before: np.ndarray, after: np.ndarray) -> np.ndarray:
    """The way (n, D) from `before` to `after`: of joints, or of poses (n, 7) along the axes of a twist.

    Turns are rotation vectors in the robot's base.
    """
    if target.get("kind") not in ("twist", "pose"):
        return after - before
    turned = np.array([turn_between(tuple(a[3:]), tuple(b[3:])) for a, b in zip(before, after, strict=True)])
    way = np.hstack([after[:, :3] - before[:, :3], turned.reshape(len(before), 3)])
    if target.get("kind") == "pose":
        return way
    axes = ("x", "y", "z", "roll", "pitch", "yaw")
    return way[:, [axes.index(name) for name in target["names"]]]


def proposals(recording: Recording, group: Group) -> Trace:
    """What was proposed (n, D) where the gate intervened; of a trajectory its first point."""
    size = group.commanded.values.shape[1]
    found = [(event.time_s, _proposed(event, size)) for event in _of_group(recording, group.name)]
    good = [(time_s, value) for time_s, value in found if value is not None]
    return Trace(np.array([time_s for time_s, _ in good]), np.array([v for _, v in good]).reshape(-1, size))


def thinned(times_s: np.ndarray, values: np.ndarray, points: int) -> tuple[np.ndarray, np.ndarray]:
    """At most about `points` of a curve (n,), with every extreme: the least and greatest of each stretch."""
    bins = max(1, points // 2)
    if len(times_s) <= 2 * bins:
        return times_s, values
    edges = np.linspace(0, len(times_s), bins + 1).astype(int)
    chosen = set()
    for low, high in itertools.pairwise(edges.tolist()):
        part = values[low:high]
        if len(part) and not np.isnan(part).all():
            chosen |= {low + int(np.nanargmin(part)), low + int(np.nanargmax(part))}
    keep = sorted({0, len(times_s) - 1} | chosen)
    return times_s[keep], values[keep]


def _of_group(recording: Recording, name: str) -> list[Event]:
    return [event for event in recording.named("intervention") if event.values.get("group") == name]


def _proposed(event: Event, size: int) -> np.ndarray | None:
    """None where nothing readable of the right size was recorded."""
    try:
        value = np.array(event.values.get("proposed"), object).astype(float)
    except (TypeError, ValueError):
        return None
    value = value[0] if value.ndim == 2 and len(value) else value
    return value if value.shape == (size,) else None


def _none(group: Group) -> Trace:
    size = group.commanded.values.shape[1]
    return Trace(np.zeros(0), np.zeros((0, size)))
