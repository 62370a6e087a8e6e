"""From a plan to episodes: numbers from memory, pictures from a second reading of the log."""

import os
from collections import Counter
from collections.abc import Iterator, Mapping

import numpy as np

from imitate.datasets.bags.channel import Channel
from imitate.datasets.bags.message_types import MessageTypes
from imitate.datasets.bags.opening import open_bag, title
from imitate.datasets.bags.planning import ACTION, Plan, Steps
from imitate.datasets.bags.reading import OtherSizeError, PictureReader
from imitate.datasets.bags.sources import Source, pictures_of
from imitate.datasets.bags.streams import NS
from imitate.datasets.timing import KEY, timing
from imitate.errors import DataError
from imitate.types import Episode

MEMORY_SHARE = 0.5

Rows = dict[tuple[str, int], list[int]]
"""By observation and number of the picture, the steps of an episode that show it."""


def require_memory(plan: Plan) -> None:
    """Raise DataError where an episode's pictures would fill the machine: an episode is held as a whole."""
    step = sum(spec.size for spec in plan.spec.obs.values() if spec.is_image)
    longest = max(plan.episodes, key=lambda steps: len(steps.times_ns))
    needed, most = step * len(longest.times_ns), MEMORY_SHARE * _machine_bytes()
    if needed > most:
        raise DataError(
            f"{plan.path}: the pictures of episode {longest.id!r} ({len(longest.times_ns)} steps) take "
            f"{needed / 2**30:.1f} GiB, more than {most / 2**30:.1f} GiB; mark shorter ones, or set  size:"
        )


def _machine_bytes() -> float:
    if not hasattr(os, "sysconf"):  # On Windows.
        return float("inf")
    return float(os.sysconf("SC_PHYS_PAGES")) * os.sysconf("SC_PAGE_SIZE")


def episodes_of(plan: Plan, damaged: list[str]) -> Iterator[Episode]:
    """All episodes in order; what was damaged of their pictures is told in `damaged` at the end."""
    cameras = pictures_of(plan.sources)
    wanted: Counter[tuple[str, int]] = Counter()
    for steps in plan.episodes:
        wanted.update(_rows(cameras, steps).keys())
    pictures = _Pictures(plan, cameras, wanted)
    for steps in plan.episodes:
        yield _episode(plan, steps, pictures.of(_rows(cameras, steps), len(steps.times_ns)))
    damaged += [
        f"{count} damaged pictures of {topic}: the one before stands there"
        for topic, count in pictures.damaged.items()
    ]


class _Pictures:
    """The pictures that episodes show, decoded while the log is read a second time.

    wanted: how many episodes show each. Those that a later one shows too are held.
    """

    def __init__(self, plan: Plan, cameras: Mapping[str, Source], wanted: Counter[tuple[str, int]]) -> None:
        self.damaged: Counter[str] = Counter()
        self._plan, self._cameras, self._wanted = plan, cameras, wanted
        self._types = MessageTypes()
        self._held: dict[tuple[str, int], np.ndarray] = {}
        self._counts: Counter[str] = Counter()
        self._last: dict[str, np.ndarray] = {}
        topics = sorted({source.entry.topic for source in cameras.values()})
        self._messages = open_bag(plan.path).messages(topics) if topics else iter(())

    def of(self, rows: Rows, count: int) -> dict[str, np.ndarray]:
        """(count, H, W, 3) by observation; raises DataError where the log has changed meanwhile."""
        found = {
            key: np.empty((count, *source.spec.shape), np.uint8) for key, source in self._cameras.items()
        }
        missing = set(rows)
        for place in rows.keys() & self._held.keys():
            self._put(place, self._held.pop(place), rows, found)
            missing.discard(place)
        while missing:
            for place, image in self._next():
                self._put(place, image, rows, found)
                missing.discard(place)
        return found

    def _put(
        self, place: tuple[str, int], image: np.ndarray, rows: Rows, found: Mapping[str, np.ndarray]
    ) -> None:
        if place in rows:
            found[place[0]][rows[place]] = image
            self._wanted[place] -= 1
        if self._wanted[place] > 0:
            self._held[place] = image

    def _next(self) -> Iterator[tuple[tuple[str, int], np.ndarray]]:
        """What the next message gives to the observations that want it."""
        try:
            channel, _, data = next(self._messages)
        except StopIteration:
            raise DataError(f"{self._plan.path} changed while it was read: pictures are missing") from None
        number = self._counts[channel.topic]
        self._counts[channel.topic] += 1
        for key, source in self._cameras.items():
            if source.entry.topic == channel.topic and self._wanted[key, number] > 0:
                yield (key, number), self._decoded(key, source, channel, data)

    def _decoded(self, key: str, source: Source, channel: Channel, data: bytes) -> np.ndarray:
        reader = source.reader
        assert isinstance(reader, PictureReader)
        kind = self._types.of(channel)
        try:
            image = reader.picture(kind.decode(data), kind)
        except OtherSizeError as error:
            raise DataError(f"{self._plan.path}: {error}") from error
        except DataError:
            self.damaged[channel.topic] += 1
            image = self._last.get(key, np.zeros(source.spec.shape, np.uint8))
        self._last[key] = image
        return image


def _rows(cameras: Mapping[str, Source], steps: Steps) -> Rows:
    found: Rows = {}
    for key, source in cameras.items():
        for row, place in enumerate(source.stream.places[source.picked(steps.times_ns)].tolist()):
            found.setdefault((key, place), []).append(row)
    return found


def _episode(plan: Plan, steps: Steps, pictures: Mapping[str, np.ndarray]) -> Episode:
    seconds = (steps.times_ns - steps.times_ns[0]) / NS
    return Episode(
        id=steps.id,
        obs={
            key: pictures[key] if key in pictures else _numbers(plan, key, steps).astype(spec.dtype)
            for key, spec in plan.spec.obs.items()
        },
        action=_numbers(plan, ACTION, steps).astype(plan.spec.action.dtype),
        success=steps.success,
        source=title(plan.path),
        rate_hz=plan.spec.rate_hz,
        metadata={"start_ns": int(steps.times_ns[0]), KEY: timing(seconds, plan.spec.rate_hz)},
    )


def _numbers(plan: Plan, key: str, steps: Steps) -> np.ndarray:
    return np.concatenate([source.values(steps.times_ns) for source in plan.sources[key]], axis=1)
