"""When episodes begin, end and succeed, by the marks in a log."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from imitate.datasets.bags.scanning import Scan
from imitate.datasets.bags.topics import Mark, Topics

FIRST_NS, LAST_NS = -(2**62), 2**62


@dataclass(frozen=True)
class Window:
    """One episode as it was marked: from start to stop, both included; success None if nobody judged it."""

    start_ns: int
    stop_ns: int
    success: bool | None = None


def windows_of(found: Scan, topics: Topics) -> tuple[list[Window], list[str]]:
    """The episodes that the marks of a log name, and in words what they leave out."""
    marks = topics.marks
    starts = _times(found, topics, "start") if "start" in marks else None
    ends = _times(found, topics, "end") if "end" in marks else None
    spans, left_out = _spans(starts, ends)
    verdicts = _verdicts(found, topics)
    following = [start for start, _ in spans[1:]] + [LAST_NS]
    windows = []
    for (start, stop), until in zip(spans, following, strict=True):
        said = [verdict for time_ns, verdict in verdicts if start <= time_ns < until]
        windows.append(Window(start, stop, said[-1] if said else None))
    return windows, left_out


def _spans(starts: list[int] | None, ends: list[int] | None) -> tuple[list[tuple[int, int]], list[str]]:
    if starts is None and ends is None:
        return [(FIRST_NS, LAST_NS)], []
    if starts is None:
        assert ends is not None
        spans = list(zip([FIRST_NS, *(end + 1 for end in ends[:-1])], ends, strict=True)) if ends else []
        return spans, []
    spans = []
    for start, following in zip(starts, [*starts[1:], LAST_NS + 1], strict=True):
        end = next((time_ns for time_ns in ends or () if time_ns > start), LAST_NS)
        spans.append((start, min(end, following - 1)))
    unended = ends is not None and spans and spans[-1][1] == LAST_NS
    return spans, [
        "the end of the last episode, which is not marked: it goes on to that of the log"
    ] if unended else []


def _times(found: Scan, topics: Topics, name: str) -> list[int]:
    """When the mark fired, in time."""
    mark, values = topics.marks[name], found.marks[name]
    places = [place for place, _ in values]
    fired = _fired(mark, [value for _, value in values])
    times = _mark_times(found, topics, mark)[np.array(places, np.int64)] if places else np.zeros(0, np.int64)
    return sorted(int(time_ns) for time_ns in times[fired] if time_ns > 0)


def _fired(mark: Mark, values: Sequence[Any]) -> np.ndarray:
    """Where the field became what is asked for; where it changed; or everywhere."""
    before = [None, *values[:-1]]
    if mark.change:
        return np.array([value != last for value, last in zip(values, before, strict=True)], bool)
    if mark.equals is not None:
        return np.array([value and not last for value, last in zip(values, before, strict=True)], bool)
    return np.ones(len(values), bool)


def _verdicts(found: Scan, topics: Topics) -> list[tuple[int, bool]]:
    mark = topics.episodes.success
    if mark is None or not found.marks["success"]:
        return []
    times = _mark_times(found, topics, mark)
    said = [(int(times[place]), bool(value)) for place, value in found.marks["success"]]
    return sorted(((time_ns, verdict) for time_ns, verdict in said if time_ns > 0), key=lambda item: item[0])


def _mark_times(found: Scan, topics: Topics, mark: Mark) -> np.ndarray:
    return found.logs[mark.topic].times_ns(topics.clock)
