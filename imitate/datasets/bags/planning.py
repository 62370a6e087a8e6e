"""The episodes of a log: at which times their steps are, and what is seen and done at each."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np

from imitate.datasets.bags.marks import Window, windows_of
from imitate.datasets.bags.reading import EntryReader, NumberReader, PictureReader
from imitate.datasets.bags.sampling import covered, default_age_ns, intersection, pick, steps_in
from imitate.datasets.bags.scanning import Scan, scan
from imitate.datasets.bags.streams import NS, Stream
from imitate.datasets.bags.topics import Entry, Topics, sample_of
from imitate.datasets.bags.values import values_at
from imitate.errors import ConfigError, DataError
from imitate.spec import ArraySpec, DataSpec

FEWEST_STEPS = 2
ACTION = "action"


@dataclass(frozen=True)
class Source:
    """One entry with its messages: how it is sampled, how far away they may be, how far ahead it looks."""

    entry: Entry
    reader: EntryReader
    stream: Stream
    sample: str
    age_ns: int
    shift_ns: int

    @property
    def turns(self) -> bool:
        """Whether it holds a quaternion."""
        return isinstance(self.reader, NumberReader) and self.reader.quaternion is not None

    @property
    def spec(self) -> ArraySpec:
        """What it gives at each step."""
        assert self.reader.spec is not None
        return self.reader.spec

    def covered(self, gap_ns: int | None) -> np.ndarray:
        """The times of steps at which it has a value."""
        return covered(self.stream, self.sample, self.age_ns, gap_ns) - self.shift_ns

    def picked(self, times_ns: np.ndarray) -> np.ndarray:
        """Which of its messages belong to the steps."""
        return pick(self.stream, self.sample, times_ns + self.shift_ns)[0]

    def values(self, times_ns: np.ndarray) -> np.ndarray:
        """(T, d) numbers at the steps."""
        assert isinstance(self.reader, NumberReader)
        at = times_ns + self.shift_ns
        return values_at(self.stream, self.sample, at, self.spec.circular, self.reader.quaternion)

    def ages_s(self, times_ns: np.ndarray) -> np.ndarray:
        """(T,) how long before its step what is taken was measured; negative where it came after."""
        return (times_ns - self.stream.since_ns[self.picked(times_ns)]) / NS


@dataclass(frozen=True)
class Steps:
    """One episode to be: its id, times (T,) int64 ns, and whether it succeeded."""

    id: str
    times_ns: np.ndarray
    success: bool | None


@dataclass(frozen=True)
class Plan:
    """What will come of the log at `path`. sources: by observation, and of the action."""

    path: Path
    spec: DataSpec
    sources: Mapping[str, tuple[Source, ...]]
    episodes: tuple[Steps, ...]
    left_out: tuple[str, ...]
    found: Scan


def plan_of(path: Path, topics: Topics, definitions: Mapping[str, str], name: str) -> Plan:
    """Look through the log and lay out its episodes, called name_0, name_1, …

    Raises DataError or ConfigError where the log cannot give what is asked for, or gives no two steps.
    """
    try:
        return _plan(path, topics, definitions, name)
    except (ConfigError, DataError) as error:
        where = topics.path if isinstance(error, ConfigError) else path
        if str(where) in str(error):
            raise
        raise type(error)(f"{where}: {error}") from error


def _plan(path: Path, topics: Topics, definitions: Mapping[str, str], name: str) -> Plan:
    found = scan(path, topics, definitions)
    sources = {
        **{key: _sources(found, topics, entries) for key, entries in topics.observations.items()},
        ACTION: _sources(found, topics, topics.action, is_action=True),
    }
    spec = DataSpec(
        {key: joined_spec(sources[key], f"observations.{key}") for key in topics.observations},
        joined_spec(sources[ACTION], ACTION),
        float(topics.rate_hz),
    )
    if len(spec.action.shape) != 1:
        raise ConfigError("action is a picture; expected numbers")
    windows, left_out = windows_of(found, topics)
    if not windows:
        raise DataError(f"no episode is marked; look at episodes in {topics.path}")
    episodes, more = _episodes(topics, sources, windows, name)
    return Plan(path, spec, sources, tuple(episodes), (*left_out, *more, *_said(found, topics)), found)


def joined_spec(sources: tuple[Source, ...], where: str) -> ArraySpec:
    """Of entries that are joined end to end; raises ConfigError where they cannot be."""
    specs = [source.spec for source in sources]
    if len(specs) == 1:
        return specs[0]
    if any(spec.is_image for spec in specs):
        raise ConfigError(f"{where} joins pictures; give each a name of its own")
    starts = np.cumsum([0, *(spec.size for spec in specs)])
    units = [unit for spec in specs for unit in spec.units or ("",) * spec.size]
    return ArraySpec(
        (int(starts[-1]),),
        "float64" if any(spec.dtype == "float64" for spec in specs) else "float32",
        names=_joined_names(sources),
        units=tuple(units) if any(units) else (),
        circular=tuple(
            int(start) + index for start, spec in zip(starts, specs, strict=False) for index in spec.circular
        ),
    )


def _joined_names(sources: tuple[Source, ...]) -> tuple[str, ...]:
    """Names of all elements; where two are the same (position and velocity of a joint) with their field."""
    if not all(source.spec.names for source in sources):
        return ()
    names = tuple(name for source in sources for name in source.spec.names)
    if len(set(names)) == len(names):
        return names
    longer = tuple(
        f"{source.entry.field or source.entry.topic}.{name}"
        for source in sources
        for name in source.spec.names
    )
    return longer if len(set(longer)) == len(longer) else ()


def _sources(
    found: Scan, topics: Topics, entries: tuple[Entry, ...], is_action: bool = False
) -> tuple[Source, ...]:
    return tuple(_source(found, topics, entry, is_action) for entry in entries)


def _source(found: Scan, topics: Topics, entry: Entry, is_action: bool) -> Source:
    stream, reader = found.stream(entry, topics.clock), found.reader(entry)
    sample = sample_of(entry, is_action)
    turns = isinstance(reader, NumberReader) and reader.quaternion is not None
    if (sample == "slerp") != turns and sample in ("slerp", "linear"):
        fix = "use slerp" if turns else "there is no quaternion; use linear"
        raise ConfigError(f"{entry.where}.sample is {sample!r}: {fix}")
    period_ns = NS / topics.rate_hz
    age_ns = default_age_ns(stream, period_ns) if entry.max_age_s is None else round(entry.max_age_s * NS)
    shift_ns = round(entry.lag_s * NS + entry.ahead_steps * period_ns)
    return Source(entry, reader, stream, sample, age_ns, shift_ns)


def _episodes(
    topics: Topics,
    sources: Mapping[str, tuple[Source, ...]],
    windows: list[Window],
    name: str,
) -> tuple[list[Steps], list[str]]:
    everything = _covered(sources, topics)
    episodes: list[Steps] = []
    short = lost_ns = 0
    split = []
    for window in windows:
        inside = intersection(everything, np.array([[window.start_ns, window.stop_ns]]))
        parts = [steps_in(int(start), int(stop), topics.rate_hz) for start, stop in inside]
        long = [times for times in parts if len(times) >= FEWEST_STEPS]
        short += sum(len(times) for times in parts if len(times) < FEWEST_STEPS)
        lost_ns += sum(int(b[0] - a[1]) for a, b in pairwise(inside))
        if len(long) > 1:
            split.append(f"{name}_{len(episodes)} to {name}_{len(episodes) + len(long) - 1}")
        for number, times in enumerate(long, 1):
            # How the whole ended says nothing of the parts before the last.
            episodes.append(
                Steps(f"{name}_{len(episodes)}", times, window.success if number == len(long) else None)
            )
    if not episodes:
        raise DataError(f"at no two steps in a row has everything a value: {_why(sources, everything)}")
    left_out = (
        [f"{lost_ns / NS:.3f} s in which an entry has no value: parts are {', '.join(split[:5])}"]
        if split
        else []
    )
    return episodes, left_out + ([f"{short} single steps between holes"] if short else [])


def _covered(sources: Mapping[str, tuple[Source, ...]], topics: Topics) -> np.ndarray:
    gap_s = topics.episodes.gap_s
    gap_ns = None if gap_s is None else round(gap_s * NS)
    found: np.ndarray | None = None
    for key, parts in sources.items():
        for source in parts:
            times = source.covered(gap_ns)
            if key == ACTION and len(source.stream):  # Nothing is done after the last action.
                last = int(source.stream.times_ns[-1]) - source.shift_ns
                times = intersection(times, np.array([[np.iinfo(np.int64).min, last]]))
            found = times if found is None else intersection(found, times)
    assert found is not None
    return found


def _why(sources: Mapping[str, tuple[Source, ...]], everything: np.ndarray) -> str:
    """What of each entry there is, for who looks for the reason."""
    told = [source for parts in sources.values() for source in parts]
    first = min(int(source.stream.times_ns[0]) for source in told if len(source.stream))
    said = []
    for source in told[:6]:
        times = (source.stream.times_ns - first) / NS
        usual = f", {np.median(np.diff(times)):.3f} s apart" if len(times) > 1 else ""
        valid = int(source.stream.valid.sum())
        said.append(
            f"{source.entry.where} {valid} of {len(times)} usable from {times[0]:.3f} to {times[-1]:.3f} s"
            f"{usual}, max_age_s {source.age_ns / NS:g}"
        )
    return "; ".join(said) + ("" if len(everything) else "; is there one clock?")


def _said(found: Scan, topics: Topics) -> list[str]:
    """What of the log is in no episode, besides time."""
    said = list(found.problems)
    used = {entry.topic for entry in topics.entries} | {mark.topic for mark in topics.marks.values()}
    for entry in topics.entries:
        gathered, log = found.gathered[entry.where], found.logs[entry.topic]
        useless = int((~gathered.valid).sum())
        if useless:
            said.append(f"{useless} messages of {entry.where} ({entry.topic}): {gathered.reader.trouble}")
        stamps = np.array(log.stamps_ns, np.int64)
        if (
            stamps.any()
            and (missing := int((stamps == 0).sum()))
            and (entry.clock or topics.clock) == "header"
        ):
            said.append(f"{missing} messages of {entry.where} ({entry.topic}) without a time")
    said += [
        f"{log.damaged} messages of {log.topic} that cannot be decoded"
        for log in found.logs.values()
        if log.damaged
    ]
    unused = sorted(log.topic for log in found.logs.values() if log.topic not in used)
    if unused:
        count = math.fsum(len(found.logs[topic]) for topic in unused)
        shown = ", ".join(unused[:20]) + (", …" if len(unused) > 20 else "")
        said.append(f"{count:.0f} messages of topics that are not used: {shown}")
    return said


def pictures_of(sources: Mapping[str, tuple[Source, ...]]) -> dict[str, Source]:
    """By observation, the cameras among the sources."""
    return {key: parts[0] for key, parts in sources.items() if isinstance(parts[0].reader, PictureReader)}
