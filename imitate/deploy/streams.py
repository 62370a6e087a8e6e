"""What is known of each thing a robot senses: the newest value, kept as messages come in.

A stream takes messages in the transport's thread and is read in any other. A message that cannot be
understood (wrong length, null, damaged) makes the reading invalid: it is never passed over in silence.
"""

import threading
from collections.abc import Mapping
from typing import Any, Protocol

import numpy as np

from imitate.datasets.camera_pictures import resized
from imitate.deploy import messages
from imitate.deploy.description import AXES, ImageSource, JointSource, PoseSource, Source, Target
from imitate.deploy.images import decoded
from imitate.deploy.robot import Reading
from imitate.deploy.transport import Message
from imitate.errors import RobotError


class Stream(Protocol):
    """The newest of one source."""

    topic: str
    type: str

    @property
    def count(self) -> int:
        """How often all of it came."""

    def take(self, message: Message, arrived_s: float) -> None:
        """Note what came at the local monotonic time `arrived_s`."""

    def reading(self) -> Reading | None:
        """The newest value; None until all of it came."""


def stream_of(source: Source) -> Stream:
    """The stream of a source of a robot's description."""
    if isinstance(source, JointSource):
        return JointStream(source)
    if isinstance(source, ImageSource):
        return ImageStream(source)
    if isinstance(source, PoseSource):
        return ValueStream(source.topic, messages.POSE, _PoseReader(source))
    return ValueStream(source.topic, messages.VALUES, _VectorReader(len(source.names)))


def takeover_stream(topic: str, target: Target) -> Stream:
    """What a person commands in place of the policy: the streamed form of `target`, in units of its kind."""
    size = 7 if target.kind == "pose" else len(target.names)
    if target.kind == "twist":
        return ValueStream(topic, messages.TWIST, _TwistReader(target.names))
    if target.kind == "pose":
        return ValueStream(topic, messages.POSE, _PoseReader(PoseSource(topic)))
    if target.form == "joint_jog":
        return ValueStream(topic, messages.JOINT_JOG, _JogReader(target.names))
    return ValueStream(topic, messages.VALUES, _VectorReader(size))


def stop_stream(topic: str) -> Stream:
    """An emergency stop: (1,) one where it is pressed."""
    return ValueStream(topic, messages.BOOL, _BoolReader())


class JointStream:
    """Joints merged by name from messages that may each hold some of them, in any order."""

    def __init__(self, source: JointSource) -> None:
        self.topic, self.type = source.topic, messages.JOINT_STATE
        self.seen: set[str] = set()
        self.source = source
        self._index = {name: index for index, name in enumerate(source.joints)}
        size = len(source.joints)
        self._values, self._arrived = np.full(size, np.nan), np.full(size, np.nan)
        self._stamps, self._counts = np.full(size, np.nan), np.zeros(size, np.int64)
        self._lock = threading.Lock()

    @property
    def count(self) -> int:
        """How often the joint came that comes most rarely."""
        return int(self._counts.min())

    def take(self, message: Message, arrived_s: float) -> None:
        """Note the joints of a sensor_msgs/JointState; others than the source's are passed over."""
        names = list(message.get("name", ()))
        # A field may be empty: that message says nothing of it.
        given = message.get(self.source.field, ())
        if not len(given):
            self.seen.update(names)
            return
        values = _numbers(given, len(names)) * self.source.scale
        time_s = messages.seconds(message.get("header"))
        with self._lock:
            self.seen.update(names)
            for position, name in enumerate(names):
                index = self._index.get(name)
                if index is not None:
                    self._values[index], self._arrived[index] = values[position], arrived_s
                    self._stamps[index] = np.nan if time_s is None else time_s
                    self._counts[index] += 1

    def missing(self) -> list[str]:
        """The joints of which nothing came yet."""
        with self._lock:
            return [name for name, index in self._index.items() if np.isnan(self._arrived[index])]

    def reading(self) -> Reading | None:
        """All joints (D,) in the source's unit, as old as the oldest of them."""
        with self._lock:
            if np.isnan(self._arrived).any():
                return None
            time_s = float(self._stamps.min())
            values = self._values.copy()
            arrived_s = float(self._arrived.min())
        return Reading(
            values, arrived_s, None if np.isnan(time_s) else time_s, bool(np.isfinite(values).all())
        )


class _Reader(Protocol):
    """The numbers of one message; raises any of MALFORMED where it has none."""

    size: int

    def __call__(self, message: Message) -> np.ndarray: ...


MALFORMED = (KeyError, TypeError, ValueError, IndexError, AttributeError, OverflowError, RobotError)
"""What reading a message of the wrong shape raises."""


class ValueStream:
    """A few numbers of each message."""

    def __init__(self, topic: str, message_type: str, reader: _Reader) -> None:
        self.topic, self.type, self._reader = topic, message_type, reader
        self._newest: Reading | None = None
        self.count = 0

    def take(self, message: Message, arrived_s: float) -> None:
        """Note the newest numbers, invalid where they cannot be read."""
        time_s = messages.seconds(message.get("header"))
        try:
            value = self._reader(message)
        except MALFORMED:
            value = np.full(self._reader.size, np.nan)
        self._newest = Reading(value, arrived_s, time_s, bool(np.isfinite(value).all()))
        self.count += 1

    def reading(self) -> Reading | None:
        """The newest numbers (D,)."""
        return self._newest


class ImageStream:
    """A camera; a picture is decoded only when somebody asks for it."""

    def __init__(self, source: ImageSource) -> None:
        self.topic = source.topic
        self.type = messages.IMAGE if source.message == "Image" else messages.COMPRESSED_IMAGE
        self.found_size: tuple[int, int] | None = None
        self.size, self.count = source.size, 0
        self.trouble = ""
        self._newest: tuple[Message, float] | None = None
        self._decoded: tuple[Message, Reading] | None = None
        self._lock = threading.Lock()

    def take(self, message: Message, arrived_s: float) -> None:
        """Note the newest picture."""
        self._newest = (message, arrived_s)
        self.count += 1

    def reading(self) -> Reading | None:
        """The newest picture (H, W, 3) uint8 RGB in the source's size."""
        newest = self._newest
        if newest is None:
            return None
        with self._lock:
            if self._decoded is None or self._decoded[0] is not newest[0]:
                self._decoded = (newest[0], self._decode(*newest))
            return self._decoded[1]

    def _decode(self, message: Message, arrived_s: float) -> Reading:
        time_s = messages.seconds(message.get("header"))
        try:
            picture = decoded(message, self.type)
        except MALFORMED as error:
            self.trouble = str(error)
            return Reading(np.zeros((*self.size, 3), np.uint8), arrived_s, time_s, valid=False)
        self.found_size = (picture.shape[0], picture.shape[1])
        return Reading(resized(picture, self.size), arrived_s, time_s)


class _VectorReader:
    def __init__(self, size: int) -> None:
        self.size = size

    def __call__(self, message: Message) -> np.ndarray:
        return _numbers(message["data"], self.size)


class _BoolReader:
    size = 1

    def __call__(self, message: Message) -> np.ndarray:
        if not isinstance(message["data"], bool | np.bool_):
            raise RobotError("no boolean")
        return np.array([float(message["data"])])


class _PoseReader:
    def __init__(self, source: PoseSource) -> None:
        self.size, self._part = source.spec().size, source.part

    def __call__(self, message: Message) -> np.ndarray:
        pose = message["pose"]
        position, turn = _fields(pose["position"], "xyz"), _fields(pose["orientation"], "xyzw")
        if self._part == "position":
            return position
        norm = float(np.linalg.norm(turn))
        if not 0.99 < norm < 1.01:
            raise RobotError("no unit quaternion")
        x, y, z, w = turn / norm
        if self._part == "yaw":
            return np.array([np.arctan2(2.0 * (w * z + x * y), 1.0 - 2.0 * (y * y + z * z))])
        return np.array([*position, x, y, z, w])


class _TwistReader:
    def __init__(self, names: tuple[str, ...]) -> None:
        self.size = len(names)
        self._indices = [AXES.index(name) for name in names]

    def __call__(self, message: Message) -> np.ndarray:
        twist = message["twist"]
        all_six = np.concatenate([_fields(twist["linear"], "xyz"), _fields(twist["angular"], "xyz")])
        return all_six[self._indices]


class _JogReader:
    def __init__(self, names: tuple[str, ...]) -> None:
        self.size, self._names = len(names), names

    def __call__(self, message: Message) -> np.ndarray:
        given = dict(zip(message["joint_names"], _numbers(message["velocities"]), strict=True))
        return np.array([given.get(name, 0.0) for name in self._names])


def _fields(value: Mapping[str, Any], names: str) -> np.ndarray:
    return _numbers([value[name] for name in names])


def _numbers(values: Any, size: int | None = None) -> np.ndarray:
    """A copy as float64 (size,), all NaN where it is anything else; null is NaN."""
    if isinstance(values, list) and any(isinstance(value, bool | str) for value in values):
        return np.full(len(values) if size is None else size, np.nan)
    try:
        array = np.array(values, np.float64)
    except (TypeError, ValueError, OverflowError):
        return np.full(0 if size is None else size, np.nan)
    if size is not None and array.shape != (size,):
        return np.full(size, np.nan)
    return array
