"""The values of an entry at the steps of an episode."""

import numpy as np

from imitate.datasets.bags.sampling import pick
from imitate.datasets.bags.streams import Stream

TWO_PI = 2.0 * np.pi


def values_at(
    stream: Stream, sample: str, times_ns: np.ndarray, circular: tuple[int, ...], quaternion: int | None
) -> np.ndarray:
    """(T, d) float64 at covered times (T,) int64 ns.

    "linear" goes the short way round where elements are `circular`; "slerp" turns the quaternion at
    `quaternion` and is linear otherwise (Shoemake, SIGGRAPH 1985).
    """
    first, second, fraction = pick(stream, sample, times_ns)
    start, stop = stream.values[first], stream.values[second]
    if sample not in ("linear", "slerp"):
        return start
    found = start + (stop - start) * fraction[:, None]
    for index in circular:
        found[:, index] = _turned(start[:, index], stop[:, index], fraction)
    if sample == "slerp" and quaternion is not None:
        part = slice(quaternion, quaternion + 4)
        found[:, part] = slerp(start[:, part], stop[:, part], fraction)
    return found


def slerp(start: np.ndarray, stop: np.ndarray, fraction: np.ndarray) -> np.ndarray:
    """(T, 4): from `start` (T, 4) to `stop` (T, 4) by `fraction` (T,), the short way; equal where it is 0."""
    lengths = np.linalg.norm(start, axis=1) * np.linalg.norm(stop, axis=1)
    cosine = (start * stop).sum(axis=1) / np.where(lengths > 0, lengths, 1.0)
    stop = np.where(cosine[:, None] < 0, -stop, stop)
    angle = np.arccos(np.clip(np.abs(cosine), 0.0, 1.0))
    close = angle < 1e-6
    sine = np.where(close, 1.0, np.sin(angle))
    first = np.where(close, 1.0 - fraction, np.sin((1.0 - fraction) * angle) / sine)
    second = np.where(close, fraction, np.sin(fraction * angle) / sine)
    return first[:, None] * start + second[:, None] * stop


def _turned(start: np.ndarray, stop: np.ndarray, fraction: np.ndarray) -> np.ndarray:
    """Angles between two, in the range that the two are in: [0, 2π) or [-π, π)."""
    way = (stop - start + np.pi) % TWO_PI - np.pi
    found = start + way * fraction
    around = np.abs(stop - start) > np.pi
    positive = np.minimum(start, stop) >= 0
    wrapped = np.where(positive, found % TWO_PI, (found + np.pi) % TWO_PI - np.pi)
    return np.where(around, wrapped, found)
