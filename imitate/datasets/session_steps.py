"""Which recorded observation belongs to which step of a session, and where one episode ends.

Causal, as the policy saw it: of each observation the last value that was seen at or before the step.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

# Steps closer than half a period or further than one and a half have lost the rhythm of training data.
SHORTEST, LONGEST = 0.5, 1.5
FEWEST_STEPS = 2


@dataclass
class Stream:
    """The readings of one observation in the order of the file: seen_s, came_s, and whether they count."""

    seen_s: list[float] = field(default_factory=list)
    came_s: list[float] = field(default_factory=list)
    valid: list[bool] = field(default_factory=list)

    def add(self, seen_s: float, came_s: float, valid: bool = True) -> None:
        """One more reading."""
        self.seen_s.append(seen_s)
        self.came_s.append(came_s)
        self.valid.append(valid)

    def at(self, times_s: np.ndarray, max_age_s: float) -> tuple[np.ndarray, np.ndarray]:
        """For each time (T,) the number of the reading that held then, and whether it may be used.

        It may not where it is invalid, arrived more than `max_age_s` before, or never came.
        """
        seen = np.asarray(self.seen_s)
        order = np.argsort(seen, kind="stable")
        rank = np.searchsorted(seen[order], times_s, side="right") - 1
        if not len(seen):
            return np.full(len(times_s), -1), np.zeros(len(times_s), bool)
        number = np.where(rank >= 0, order[rank], -1)
        age = times_s - np.asarray(self.came_s)[number]
        return number, (rank >= 0) & np.asarray(self.valid)[number] & (age <= max_age_s)


@dataclass(frozen=True)
class Part:
    """One episode: the numbers of its steps, and by observation the numbers of its readings, (T,) each."""

    steps: np.ndarray
    readings: Mapping[str, np.ndarray]


@dataclass(frozen=True)
class Split:
    """The episodes of a session, and how many steps belong to none: `unusable` observations, or `alone`."""

    parts: tuple[Part, ...]
    unusable: int
    alone: int


def split_steps(
    times_s: np.ndarray,
    streams: Mapping[str, Stream],
    max_age_s: Mapping[str, float],
    period_s: float,
    marks_s: Sequence[float] = (),
) -> Split:
    """Cut steps at rising `times_s` (T,) into episodes in which each has all observations.

    A new one begins where the time to the last step is not about `period_s`, where an observation was
    missing, invalid or older than `max_age_s`, and at each of `marks_s`.
    """
    readings, usable = {}, np.ones(len(times_s), bool)
    for key, stream in streams.items():
        readings[key], fresh = stream.at(times_s, max_age_s[key])
        usable &= fresh
    kept = np.flatnonzero(usable)
    groups = [group for group in _runs(kept, times_s, period_s, marks_s) if len(group) >= FEWEST_STEPS]
    parts = tuple(Part(group, {key: found[group] for key, found in readings.items()}) for group in groups)
    in_parts = sum(len(group) for group in groups)
    return Split(parts, int((~usable).sum()), len(kept) - in_parts)


def _runs(
    kept: np.ndarray, times_s: np.ndarray, period_s: float, marks_s: Sequence[float]
) -> list[np.ndarray]:
    if not len(kept):
        return []
    periods = np.diff(times_s[kept]) / period_s
    marked = np.searchsorted(np.sort(marks_s), times_s[kept], side="right")
    cut = (periods < SHORTEST) | (periods > LONGEST) | (np.diff(kept) > 1) | (np.diff(marked) > 0)
    return np.split(kept, np.flatnonzero(cut) + 1)


def ranges(flags: np.ndarray) -> list[list[int]]:
    """[start, stop) of every run of True in `flags` (T,)."""
    edges = np.flatnonzero(np.diff(np.concatenate([[False], flags, [False]]).astype(np.int8)))
    return [[int(start), int(stop)] for start, stop in edges.reshape(-1, 2)]
