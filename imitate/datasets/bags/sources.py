"""Entries of a topics file with their messages: what each gives at the times of steps."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from imitate.datasets.bags.reading import EntryReader, NumberReader, PictureReader
from imitate.datasets.bags.sampling import covered, default_age_ns, pick
from imitate.datasets.bags.scanning import Scan
from imitate.datasets.bags.streams import NS, Stream
from imitate.datasets.bags.topics import Entry, Topics, sample_of
from imitate.datasets.bags.values import values_at
from imitate.errors import ConfigError
from imitate.spec import ArraySpec

Sources = Mapping[str, tuple["Source", ...]]
"""By observation, and of the action: entries that are joined end to end."""


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


def sources_of(
    found: Scan, topics: Topics, entries: tuple[Entry, ...], is_action: bool = False
) -> tuple[Source, ...]:
    """The entries with what was read for them; raises ConfigError for a way to sample that does not fit."""
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


def pictures_of(sources: Sources) -> dict[str, Source]:
    """By observation, the cameras among the sources."""
    return {key: parts[0] for key, parts in sources.items() if isinstance(parts[0].reader, PictureReader)}


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
