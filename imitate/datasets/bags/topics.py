"""What a topics file says: which topics of a log are observations and actions, and when episodes are."""

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from dataclasses import field as of_class
from pathlib import Path
from typing import Any, Literal, get_args

from imitate.errors import ConfigError, nearest

Sample = Literal["previous", "next", "nearest", "linear", "slerp"]
SAMPLES = get_args(Sample)
CLOCKS = ("header", "receive")
NAME = re.compile(r"[A-Za-z0-9_][\w.\-]*")
MOST_HZ, MOST_PIXELS = 10_000.0, 16_000_000


@dataclass(frozen=True)
class Entry:
    """Numbers or a picture of one topic, at every step.

    field: path into the message; by default what the type is for. names: elements, picked by the names that
    the message gives them (joints, position.x), else naming them in order. units: one for all, or one each;
    by default those that ROS fixes. circular: names of the angles that wrap. size: height and width in px of
    a picture. clock: "header" (its stamp, where it has one) or "receive"; by default that of the file.

    sample: "previous" (the newest at or before the step), "next" (the oldest at or after it), "nearest",
    "linear", or "slerp" for what holds a quaternion. By default "previous"; "next" for an action that is not
    shifted. max_age_s: how far from the step a message may be, for linear how far two may be apart, in s;
    None: three periods of the topic or of the steps, whichever are longer, at most 10 s.

    Of actions only: the value `lag_s` seconds and `ahead_steps` steps after the step.
    """

    topic: str
    field: str = ""
    names: tuple[str, ...] = ()
    units: tuple[str, ...] = ()
    circular: tuple[str, ...] = ()
    size: tuple[int, int] | None = None
    sample: Sample | None = None
    max_age_s: float | None = None
    clock: str | None = None
    lag_s: float = 0.0
    ahead_steps: int = 0
    where: str = of_class(default="entry", compare=False)

    def __post_init__(self) -> None:
        _require_topic(self.where, self.topic)
        _require_text(f"{self.where}.field", self.field)
        for label in ("names", "units", "circular"):
            if not all(isinstance(item, str) for item in getattr(self, label)):
                raise ConfigError(f"{self.where}.{label} is {getattr(self, label)}, expected texts")
        if len(set(self.names)) != len(self.names):
            raise ConfigError(f"{self.where}.names has a name twice: {list(self.names)}")
        if self.sample is not None:
            _require_one_of(f"{self.where}.sample", self.sample, SAMPLES)
        if self.clock is not None:
            _require_one_of(f"{self.where}.clock", self.clock, CLOCKS)
        if self.max_age_s is not None:
            _require_number(f"{self.where}.max_age_s", self.max_age_s, 1e-6, 3600.0, "s")
        if self.size is not None:
            self._require_size()
        _require_number(f"{self.where}.lag_s", self.lag_s, 0.0, 60.0, "s")
        if type(self.ahead_steps) is not int or not 0 <= self.ahead_steps <= 1000:
            raise ConfigError(f"{self.where}.ahead_steps is {self.ahead_steps!r}, expected 0 to 1000 steps")

    def _require_size(self) -> None:
        size = self.size
        whole = isinstance(size, tuple) and len(size) == 2 and all(type(n) is int and n > 0 for n in size)
        if not whole or math.prod(size or ()) > MOST_PIXELS:
            raise ConfigError(f"{self.where}.size is {size!r}, expected [height, width] in px")


@dataclass(frozen=True)
class Mark:
    """A moment in the log: where a field becomes `equals`, or changes, or any message of the topic."""

    topic: str
    field: str = ""
    equals: bool | int | float | str | None = None
    change: bool = False
    where: str = of_class(default="mark", compare=False)

    def __post_init__(self) -> None:
        _require_topic(self.where, self.topic)
        _require_text(f"{self.where}.field", self.field)
        if self.equals is not None and not isinstance(self.equals, bool | int | float | str):
            raise ConfigError(
                f"{self.where}.equals is {self.equals!r}, expected a number, a text, true or false"
            )
        if type(self.change) is not bool or (self.change and self.equals is not None):
            raise ConfigError(
                f"{self.where}.change is {self.change!r}, expected true without equals, or false"
            )


@dataclass(frozen=True)
class EpisodeMarks:
    """When episodes are: from each `start` to the next `end`; without both the whole log is one.

    success: the last message of its topic between the start of an episode and that of the next tells, by
    whether its field is `equals`; without `equals`, that there is one means success. gap_s: a silence of any
    used topic that ends an episode, besides what max_age_s says.
    """

    start: Mark | None = None
    end: Mark | None = None
    success: Mark | None = None
    gap_s: float | None = None
    where: str = of_class(default="episodes", compare=False)

    def __post_init__(self) -> None:
        if self.gap_s is not None:
            _require_number(f"{self.where}.gap_s", self.gap_s, 1e-6, 1e6, "s")
        if self.success is not None and self.success.change:
            raise ConfigError(f"{self.where}.success.change is true; expected equals, or neither")


@dataclass(frozen=True)
class Topics:
    """A whole topics file. Entries of one name are joined end to end; definitions: type -> .msg file."""

    rate_hz: float
    observations: Mapping[str, tuple[Entry, ...]]
    action: tuple[Entry, ...]
    clock: str = "header"
    episodes: EpisodeMarks = of_class(default_factory=EpisodeMarks)
    definitions: Mapping[str, str] = of_class(default_factory=dict)
    path: Path = Path("topics.yaml")

    def __post_init__(self) -> None:
        _require_number("rate_hz", self.rate_hz, 1e-3, MOST_HZ, "Hz")
        _require_one_of("clock", self.clock, CLOCKS)
        if not self.observations:
            raise ConfigError("observations is empty, expected at least one")
        if not self.action:
            raise ConfigError("action is empty, expected at least one entry")
        for name, entries in self.observations.items():
            if not NAME.fullmatch(name) or name == "action":
                raise ConfigError(
                    f"observations.{name} is no name: expected letters, digits, _ . - (and not action)"
                )
            if not entries:
                raise ConfigError(f"observations.{name} is empty, expected at least one entry")
            for entry in entries:
                if entry.lag_s or entry.ahead_steps or entry.sample == "next":
                    raise ConfigError(
                        f"{entry.where} looks ahead; an observation is what was known at its step: "
                        f"lag_s, ahead_steps and sample: next are of actions"
                    )

    @property
    def entries(self) -> tuple[Entry, ...]:
        """All entries: of the observations in order, then of the action."""
        return (*(entry for entries in self.observations.values() for entry in entries), *self.action)

    @property
    def marks(self) -> dict[str, Mark]:
        """The marks there are, by "start", "end" and "success"."""
        found = {name: getattr(self.episodes, name) for name in ("start", "end", "success")}
        return {name: mark for name, mark in found.items() if mark is not None}


def sample_of(entry: Entry, is_action: bool) -> str:
    """How the entry is sampled, where it may not say."""
    if entry.sample is not None:
        return entry.sample
    return "next" if is_action and not entry.lag_s and not entry.ahead_steps else "previous"


def _require_topic(where: str, topic: Any) -> None:
    if not isinstance(topic, str) or not topic:
        raise ConfigError(f"{where}.topic is {topic!r}, expected the name of a topic")


def _require_text(where: str, text: Any) -> None:
    if not isinstance(text, str):
        raise ConfigError(f"{where} is {text!r}, expected a text")


def _require_one_of(where: str, value: Any, known: tuple[str, ...]) -> None:
    if value not in known:
        raise ConfigError(
            f"{where} is {value!r}{nearest(str(value), known)}; expected one of {', '.join(known)}"
        )


def _require_number(where: str, value: Any, least: float, most: float, unit: str) -> None:
    if type(value) not in (int, float) or not least <= value <= most:
        raise ConfigError(f"{where} is {value!r}, expected {least:g} to {most:g} {unit}")
