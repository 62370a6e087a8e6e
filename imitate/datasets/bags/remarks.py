"""What to say of a log: why nothing came of it, and what of it is in no episode."""

import numpy as np

from imitate.datasets.bags.sampling import intersection
from imitate.datasets.bags.scanning import Scan
from imitate.datasets.bags.sources import Sources
from imitate.datasets.bags.streams import NS
from imitate.datasets.bags.topics import Topics

SHOWN = 20


def why_nothing(sources: Sources, everything: np.ndarray) -> str:
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


def lost_time(sources: Sources, windows: np.ndarray, everything: np.ndarray, period_ns: float) -> list[str]:
    """Of what was recorded, the time outside `windows` (n, 2), and that in which an entry had no value."""
    told = [source for parts in sources.values() for source in parts]
    first = min(int(source.stream.times_ns[0]) - source.shift_ns for source in told)
    last = max(int(source.stream.times_ns[-1]) - source.shift_ns for source in told)
    asked = intersection(windows, np.array([[first, last]]))
    outside = last - first - _length(asked)
    lost = _length(asked) - _length(intersection(asked, everything))
    said = []
    if outside > 2 * period_ns:
        said.append(f"{outside / NS:.3f} of {(last - first) / NS:.3f} s outside the marked episodes")
    if lost > 2 * period_ns:
        worst = min(told, key=lambda source: _length(intersection(asked, source.covered(None))))
        said.append(
            f"{lost / NS:.3f} of {_length(asked) / NS:.3f} s in which an entry has no value, most of all "
            f"{worst.entry.where} (max_age_s {worst.age_ns / NS:g})"
        )
    return said


def _length(intervals: np.ndarray) -> int:
    return int((intervals[:, 1] - intervals[:, 0]).sum())


def unused(found: Scan, topics: Topics) -> list[str]:
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
    others = sorted(log.topic for log in found.logs.values() if log.topic not in used)
    if others:
        count = sum(len(found.logs[topic]) for topic in others)
        shown = ", ".join(others[:SHOWN]) + (", …" if len(others) > SHOWN else "")
        said.append(f"{count} messages of topics that are not used: {shown}")
    return said
