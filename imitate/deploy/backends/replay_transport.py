"""A recorded bag as the topics of a robot: a rosbag2 folder, an MCAP file of ROS 2, or a bag of ROS 1."""

import time
from collections import deque
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from imitate.deploy.backends.replay_pace import Player
from imitate.deploy.ros_types import to_dict, typestore
from imitate.deploy.transport import Message, OnMessage, Survey, Topic, TopicSurvey
from imitate.errors import RobotError, import_extra

RECORDING = ("the recording",)
KEPT_COMMANDS = 100_000


class ReplayTransport:
    """Plays the messages of `path` at `speed` times their pace, once; `published` is what it was sent."""

    def __init__(self, path: Path, speed: float) -> None:
        self._path = path
        self._player = Player(speed)
        self._topics: Mapping[str, str] = {}
        self._wanted: Mapping[str, Topic] = {}
        self.published: deque[tuple[float, str, Message]] = deque(maxlen=KEPT_COMMANDS)
        """(local monotonic time in s, topic, message) of the last commands, which reach nobody."""

    def open(
        self,
        subscriptions: Sequence[Topic],
        publications: Sequence[Topic],
        on_message: OnMessage,
        timeout_s: float,
    ) -> None:
        """See Transport; begins to play. RobotError where the file is damaged or has none of the topics."""
        with self._reader() as reader:
            self._topics = {name: info.msgtype or "" for name, info in reader.topics.items()}
        self._wanted = {t.name: t for t in subscriptions if self._topics.get(t.name) == t.type}
        if subscriptions and not self._wanted:
            needed = ", ".join(f"{topic.name} ({topic.type})" for topic in subscriptions)
            there = ", ".join(f"{name} ({kind})" for name, kind in sorted(self._topics.items()))
            raise RobotError(f"{self._path} has none of {needed}; it has {there}")
        self._player.start(lambda: self._play(on_message))

    def publish(self, topic: str, message: Message) -> bool:
        """See Transport; keeps the message in `published`, and says no once the recording is over."""
        if not self.is_connected():
            return False
        self.published.append((time.monotonic(), topic, message))
        return True

    def send_goal(self, action: str, action_type: str, goal: Message) -> bool:
        """Kept in `published`, like a message."""
        return self.publish(action, goal)

    def call(self, service: str, service_type: str, request: Message, timeout_s: float) -> dict[str, Any]:
        """A recording answers nothing: RobotError."""
        raise RobotError(f"service {service}: {self._path} is a recording and cannot answer")

    def is_connected(self) -> bool:
        """Whether it still plays."""
        return self._player.is_playing()

    def survey(self) -> Survey:
        """See Transport; every topic counts as subscribed to, as a recording takes any command."""
        topics = {name: TopicSurvey(kind, RECORDING, RECORDING) for name, kind in self._topics.items()}
        return Survey(topics, None, (f"this is a recording, {self._path}: commands reach nobody",))

    def close(self) -> None:
        """See Transport."""
        self._player.close()

    def _reader(self) -> Any:
        library = import_extra("rosbags.highlevel.anyreader", "ros")
        try:
            # Bags of older ROS 2 in sqlite3 hold no definitions.
            return _Opened(library.AnyReader([self._path], default_typestore=typestore()), self._path)
        except library.AnyReaderError as error:
            raise RobotError(f"{self._path} cannot be played: {error}") from error

    def _play(self, on_message: OnMessage) -> None:
        # A reader of sqlite3 belongs to the thread that opened it.
        with self._reader() as reader:
            chosen = [found for found in reader.connections if found.topic in self._wanted]
            for connection, time_ns, data in reader.messages(connections=chosen):
                if not self._player.wait(time_ns / 1e9):
                    return
                message = reader.deserialize(data, connection.msgtype)
                found = to_dict(message, connection.msgtype, reader.typestore)
                on_message(connection.topic, found, time.monotonic())


class _Opened:
    """A reader as a context, whose errors name the file."""

    def __init__(self, reader: Any, path: Path) -> None:
        self._reader, self._path = reader, path

    def __enter__(self) -> Any:
        try:
            return self._reader.__enter__()
        except Exception as error:  # rosbags', and what a damaged file raises on the way.
            raise RobotError(f"{self._path} cannot be played: {error}") from error

    def __exit__(self, *error: Any) -> None:
        self._reader.__exit__(*error)
