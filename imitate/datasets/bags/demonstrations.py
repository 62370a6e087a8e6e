"""From a plan to episodes: numbers from memory, pictures from a second reading of the log."""

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from imitate.datasets.bags.channel import Channel
from imitate.datasets.bags.message_types import MessageTypes
from imitate.datasets.bags.opening import open_bag, title
from imitate.datasets.bags.planning import ACTION, Plan, Source, Steps, pictures_of
from imitate.datasets.bags.reading import PictureReader
from imitate.datasets.timing import KEY, timing
from imitate.errors import DataError
from imitate.types import Episode

NS = 1_000_000_000


def episodes_of(plan: Plan, damaged: list[str]) -> Iterator[Episode]:
    """All episodes in order; what was damaged of their pictures is told in `damaged` at the end."""
    cameras = pictures_of(plan.sources)
    needed = [_needed(cameras, steps) for steps in plan.episodes]
    last_user: dict[tuple[str, int], int] = {}
    for index, places in enumerate(needed):
        last_user.update(dict.fromkeys(places, index))
    pictures = _Pictures(plan, cameras, set(last_user))
    for index, steps in enumerate(plan.episodes):
        pictures.read_until(needed[index])
        yield _episode(plan, steps, cameras, pictures.held)
        pictures.held = {place: image for place, image in pictures.held.items() if last_user[place] > index}
    damaged += [
        f"{count} damaged pictures of {topic}: the one before stands there"
        for topic, count in pictures.damaged.items()
    ]


class _Pictures:
    """The pictures that are needed, by topic and number, decoded while the log is read a second time."""

    def __init__(self, plan: Plan, cameras: Mapping[str, Source], wanted: set[tuple[str, int]]) -> None:
        self.held: dict[tuple[str, int], np.ndarray] = {}
        self.damaged: dict[str, int] = {}
        self._plan, self._wanted, self._types = plan, wanted, MessageTypes()
        self._cameras = {f"{key}": source for key, source in cameras.items()}
        self._counts: dict[str, int] = {}
        self._last: dict[str, np.ndarray] = {}
        topics = sorted({source.entry.topic for source in cameras.values()})
        self._messages = open_bag(plan.path).messages(topics) if topics else iter(())

    def read_until(self, places: set[tuple[str, int]]) -> None:
        """Read on until all of `places` are held; raises DataError where the log has changed meanwhile."""
        missing = places - self.held.keys()
        while missing:
            try:
                channel, _, data = next(self._messages)
            except StopIteration:
                raise DataError(
                    f"{self._plan.path} changed while it was read: pictures are missing"
                ) from None
            number = self._counts.get(channel.topic, 0)
            self._counts[channel.topic] = number + 1
            for key, source in self._cameras.items():
                if source.entry.topic == channel.topic and (key, number) in self._wanted:
                    self.held[key, number] = self._decoded(key, source, channel, data)
                    missing.discard((key, number))

    def _decoded(self, key: str, source: Source, channel: Channel, data: bytes) -> np.ndarray:
        reader = source.reader
        assert isinstance(reader, PictureReader)
        kind = self._types.of(channel)
        try:
            image = reader.picture(kind.decode(data), kind)
        except DataError as error:
            if "the first is" in str(error):
                raise DataError(f"{self._plan.path}: {error}") from error
            self.damaged[channel.topic] = self.damaged.get(channel.topic, 0) + 1
            image = self._last.get(key, np.zeros(source.spec.shape, np.uint8))
        self._last[key] = image
        return image


def _needed(cameras: Mapping[str, Source], steps: Steps) -> set[tuple[str, int]]:
    return {(key, int(place)) for key, source in cameras.items() for place in _places(source, steps)}


def _places(source: Source, steps: Steps) -> np.ndarray:
    return source.stream.places[source.picked(steps.times_ns)]


def _episode(
    plan: Plan, steps: Steps, cameras: Mapping[str, Source], held: Mapping[tuple[str, int], np.ndarray]
) -> Episode:
    obs: dict[str, Any] = {}
    for key, spec in plan.spec.obs.items():
        if key in cameras:
            obs[key] = np.stack([held[key, int(place)] for place in _places(cameras[key], steps)])
        else:
            obs[key] = _numbers(plan, key, steps).astype(spec.dtype)
    seconds = (steps.times_ns - steps.times_ns[0]) / NS
    return Episode(
        id=steps.id,
        obs=obs,
        action=_numbers(plan, ACTION, steps).astype(plan.spec.action.dtype),
        success=steps.success,
        source=title(plan.path),
        rate_hz=plan.spec.rate_hz,
        metadata={"start_ns": int(steps.times_ns[0]), KEY: timing(seconds, plan.spec.rate_hz)},
    )


def _numbers(plan: Plan, key: str, steps: Steps) -> np.ndarray:
    return np.concatenate([source.values(steps.times_ns) for source in plan.sources[key]], axis=1)
