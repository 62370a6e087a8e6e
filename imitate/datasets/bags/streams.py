"""The messages of one entry of a topics file, in time."""

from dataclasses import dataclass

import numpy as np

NS = 1_000_000_000
LONG_BACK_NS = NS
"""Stamps that go back further than this are another clock, not messages that overtook one another."""


@dataclass(frozen=True)
class Stream:
    """What an entry read, sorted by time: n messages.

    times_ns: (n,) int64, when each was taken. since_ns: (n,) the time of its oldest part, where a message
    names some joints and the others are of earlier ones. valid: (n,) False where it cannot be used (not
    finite, damaged). values: (n, d) float64, empty of pictures. places: (n,) its number among all messages
    of the topic, in the order of the file.
    """

    times_ns: np.ndarray
    since_ns: np.ndarray
    valid: np.ndarray
    values: np.ndarray
    places: np.ndarray

    def __len__(self) -> int:
        return len(self.times_ns)
