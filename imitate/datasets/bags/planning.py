"""The episodes of a log: at which times their steps are, and what is seen and done at each."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from imitate.datasets.bags.marks import Window, windows_of
from imitate.datasets.bags.remarks import lost_time, unused, why_nothing
from imitate.datasets.bags.sampling import intersection, steps_in
from imitate.datasets.bags.scanning import Scan, scan
from imitate.datasets.bags.sources import Sources, joined_spec, sources_of
from imitate.datasets.bags.streams import NS
from imitate.datasets.bags.topics import Topics
from imitate.errors import ConfigError, DataError
from imitate.spec import DataSpec

FEWEST_STEPS = 2
MOST_STEPS = 10_000_000
"""Of one log: 92 hours at 30 Hz. A few messages far apart could ask for any number."""
ACTION = "action"


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
    sources: Sources
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
        **{key: sources_of(found, topics, entries) for key, entries in topics.observations.items()},
        ACTION: sources_of(found, topics, topics.action, is_action=True),
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
    return Plan(path, spec, sources, tuple(episodes), (*left_out, *more, *unused(found, topics)), found)


def _episodes(
    topics: Topics,
    sources: Sources,
    windows: list[Window],
    name: str,
) -> tuple[list[Steps], list[str]]:
    everything = _covered(sources, topics)
    count = float((everything[:, 1] - everything[:, 0]).sum()) * topics.rate_hz / NS
    if count > MOST_STEPS:
        raise DataError(
            f"it would give {count:.3g} steps, more than {MOST_STEPS}; lower rate_hz or max_age_s, or cut it"
        )
    episodes: list[Steps] = []
    short, split = 0, []
    for window in windows:
        inside = intersection(everything, np.array([[window.start_ns, window.stop_ns]]))
        parts = [steps_in(int(start), int(stop), topics.rate_hz) for start, stop in inside]
        long = [times for times in parts if len(times) >= FEWEST_STEPS]
        short += sum(len(times) for times in parts if len(times) < FEWEST_STEPS)
        if len(long) > 1:
            split.append(f"{name}_{len(episodes)} to {name}_{len(episodes) + len(long) - 1}")
        for number, times in enumerate(long, 1):
            # How the whole ended says nothing of the parts before the last.
            success = window.success if number == len(long) else None
            episodes.append(Steps(f"{name}_{len(episodes)}", times, success))
    if not episodes:
        raise DataError(
            f"at no two steps in a row has everything a value: {why_nothing(sources, everything)}"
        )
    asked = np.array([[window.start_ns, window.stop_ns] for window in windows])
    left_out = lost_time(sources, asked, everything, NS / topics.rate_hz)
    if split:
        left_out.append(f"what lies between the parts of episodes with holes: {', '.join(split[:5])}")
    if short:
        left_out.append(f"{short} single steps between holes")
    return episodes, left_out


def _covered(sources: Sources, topics: Topics) -> np.ndarray:
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
