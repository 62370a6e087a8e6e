"""Which message belongs to which step, and at which times there is one: integers of nanoseconds throughout.

Intervals are (n, 2) int64, [first, last] with both ends, sorted and apart from each other.
"""

import numpy as np

from imitate.datasets.bags.streams import NS, Stream

DEFAULT_PERIODS = 3.0
LONGEST_DEFAULT_NS = 10 * NS


def default_age_ns(stream: Stream, period_ns: float) -> int:
    """Three periods of the topic or of the steps, whichever are longer; at most 10 s."""
    usual = float(np.median(np.diff(stream.times_ns))) if len(stream) > 1 else 0.0
    return int(min(DEFAULT_PERIODS * max(usual, period_ns), LONGEST_DEFAULT_NS))


def covered(stream: Stream, sample: str, age_ns: int, gap_ns: int | None = None) -> np.ndarray:
    """When `stream` has a value: see Entry on `sample` and age. A silence of more than `gap_ns` has none."""
    if not len(stream):
        return np.zeros((0, 2), np.int64)
    if sample == "previous":
        found = _covered_previous(stream, age_ns)
    elif sample in ("linear", "slerp"):
        found = _covered_between(stream, age_ns)
    else:
        found = _covered_near(stream, sample, age_ns)
    return found if gap_ns is None else intersection(found, _apart_from_silence(stream.times_ns, gap_ns))


def pick(stream: Stream, sample: str, times_ns: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """For each covered time (T,): the messages before and after, and how far between them, 0 to 1.

    Only "linear" and "slerp" use two; of the others the first is the value.
    """
    usable = np.flatnonzero(stream.valid) if sample != "previous" else np.arange(len(stream))
    times = stream.times_ns[usable]
    before = np.searchsorted(times, times_ns, side="right") - 1
    after = np.searchsorted(times, times_ns, side="left")
    if sample == "previous":
        return usable[before], usable[before], np.zeros(len(times_ns))
    last = len(times) - 1
    before, after = np.clip(before, 0, last), np.clip(after, 0, last)
    span = np.maximum(times[after] - times[before], 1)
    fraction = np.clip((times_ns - times[before]) / span, 0.0, 1.0)
    if sample in ("linear", "slerp"):
        return usable[before], usable[after], np.where(after > before, fraction, 0.0)
    if sample == "nearest":
        closer = np.abs(times_ns - times[before]) <= np.abs(times[after] - times_ns)
        after = np.where(closer, before, after)
    return usable[after], usable[after], np.zeros(len(times_ns))


def intersection(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """The times that are in both."""
    found = []
    i = j = 0
    while i < len(first) and j < len(second):
        start, stop = max(first[i, 0], second[j, 0]), min(first[i, 1], second[j, 1])
        if start <= stop:
            found.append((start, stop))
        if first[i, 1] < second[j, 1]:
            i += 1
        else:
            j += 1
    return np.array(found, np.int64).reshape(-1, 2)


def steps_in(start_ns: int, stop_ns: int, rate_hz: float) -> np.ndarray:
    """(T,) int64: the times start, start + 1 / rate, … up to and with `stop_ns`."""
    count = int((stop_ns - start_ns) * rate_hz / NS + 1e-6) + 1
    times = start_ns + np.rint(np.arange(count) * (NS / rate_hz)).astype(np.int64)
    return times[times <= stop_ns]


def _covered_previous(stream: Stream, age_ns: int) -> np.ndarray:
    """From each valid message to just before the next one, but not longer than its age allows."""
    stops = np.append(stream.times_ns[1:] - 1, np.iinfo(np.int64).max)
    stops = np.minimum(stops, stream.since_ns + age_ns)
    return _merged(stream.times_ns[stream.valid], stops[stream.valid])


def _covered_near(stream: Stream, sample: str, age_ns: int) -> np.ndarray:
    times = stream.times_ns[stream.valid]
    return _merged(times - age_ns, times if sample == "next" else times + age_ns)


def _covered_between(stream: Stream, age_ns: int) -> np.ndarray:
    times = stream.times_ns[stream.valid]
    if not len(times):
        return np.zeros((0, 2), np.int64)
    # An invalid message between two parts them.
    number = np.flatnonzero(stream.valid)
    together = (np.diff(times) <= age_ns) & (np.diff(number) == 1)
    return _merged(times, np.append(np.where(together, times[1:], times[:-1]), times[-1]))


def _apart_from_silence(times_ns: np.ndarray, gap_ns: int) -> np.ndarray:
    cuts = np.flatnonzero(np.diff(times_ns) > gap_ns)
    starts = np.append(times_ns[0], times_ns[cuts + 1])
    # Before the first and after the last message the age decides.
    starts[0] = np.iinfo(np.int64).min
    return np.stack([starts, np.append(times_ns[cuts], np.iinfo(np.int64).max)], axis=1)


def _merged(starts: np.ndarray, stops: np.ndarray) -> np.ndarray:
    """Intervals by rising start, those that touch made one; those that end before they begin left out."""
    kept = stops >= starts
    starts, stops = starts[kept], np.maximum.accumulate(stops[kept]) if kept.any() else stops[kept]
    if not len(starts):
        return np.zeros((0, 2), np.int64)
    new = np.append(True, starts[1:] > stops[:-1] + 1)
    ends = np.append(new[1:], True)
    return np.stack([starts[new], stops[ends]], axis=1)
