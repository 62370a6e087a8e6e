"""A recorded session of imitate deploy as a robot: it senses what it sensed then, whatever it is told."""

import threading
import time
from collections import deque
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from imitate.datasets.session_file import Record, SessionFile
from imitate.datasets.session_format import MEASURED, OBSERVATIONS, STOP, TAKEOVER
from imitate.deploy.backends.replay_pace import Player
from imitate.deploy.command import Command
from imitate.deploy.description import StopSource, Target
from imitate.deploy.robot import Finding, Reading, Snapshot
from imitate.deploy.ros_types import decode
from imitate.errors import DataError, RobotError
from imitate.spec import DataSpec

DEFAULT_AGE = 3.0
KEPT_COMMANDS = 100_000


class SessionRobot:
    """Plays the session at `path`, at `speed` times its pace, once; `sent` is what it was told."""

    def __init__(self, path: Path, speed: float) -> None:
        self._path = path
        try:
            self._file = SessionFile(path)
        except DataError as error:
            raise RobotError(str(error)) from error
        self._spec = DataSpec.from_json(self._file.header["spec"])
        described = (self._file.header.get("robot") or {}).get("targets") or {}
        self._targets = {group: _target(fields) for group, fields in described.items()}
        self._player = Player(speed)
        self._readings: dict[str, Reading] = {}
        self._lock = threading.Lock()
        self.sent: deque[tuple[float, Command]] = deque(maxlen=KEPT_COMMANDS)
        """(local monotonic time in s, command) of the last commands, which reach nobody."""

    @property
    def spec(self) -> DataSpec:
        """That of the policy of the session."""
        return self._spec

    @property
    def targets(self) -> Mapping[str, Target]:
        """The groups that took commands."""
        return self._targets

    @property
    def max_age_s(self) -> Mapping[str, float]:
        """As in the session; where it does not say, some control periods."""
        told: Mapping[str, float] = self._file.header.get("max_age_s") or {}
        default = DEFAULT_AGE / (self._spec.rate_hz or 1.0)
        keys = [f"observations.{name}" for name in self._spec.obs] + [f"measured.{g}" for g in self._targets]
        return {key: float(told.get(key, default)) for key in keys}

    @property
    def stop(self) -> StopSource | None:
        """None is required of a recording; one that was recorded counts."""
        return None

    def connect(self, timeout_s: float) -> None:
        """Begin to play."""
        self._player.start(self._play)

    def is_connected(self) -> bool:
        """Whether it still plays."""
        return self._player.is_playing()

    def read(self) -> Snapshot:
        """See Robot."""
        with self._lock:
            found = dict(self._readings)
        return Snapshot(
            _under(OBSERVATIONS, found), _under(MEASURED, found), found.get(STOP), _under(TAKEOVER, found)
        )

    def measure(self) -> Snapshot:
        """See Robot."""
        found = self.read()
        return Snapshot({}, found.measured, found.stop, found.takeover)

    def send(self, command: Command) -> bool:
        """Keep `command` in `sent`; False once the recording is over."""
        if not self.is_connected():
            return False
        self.sent.append((time.monotonic(), command))
        return True

    def prepare(self) -> None:
        """Nothing has to be switched."""

    def alarm(self) -> None:
        """Nobody else has to be told."""

    def findings(self) -> Sequence[Finding]:
        """What the recording holds."""
        mode = self._file.header.get("mode", "unknown")
        return (
            Finding("warning", f"this is a recording ({self._path}, mode {mode}): commands reach nobody"),
        )

    def close(self) -> None:
        """Stop playing."""
        self._player.close()

    def _play(self) -> None:
        for record in self._file.records():
            if not record.topic.startswith((OBSERVATIONS, MEASURED, TAKEOVER, STOP)):
                continue
            if not self._player.wait(record.time_s):
                return
            reading = Reading(self._value(record), time.monotonic())
            with self._lock:
                self._readings[record.topic] = reading

    def _value(self, record: Record) -> np.ndarray:
        if record.topic == STOP:
            return np.array(decode(record.data, record.type)["data"])
        value, spec = record.array(), self._spec.obs.get(record.topic.removeprefix(OBSERVATIONS))
        return value if spec is None else value.reshape(spec.shape)


def _under(root: str, readings: Mapping[str, Reading]) -> dict[str, Reading]:
    return {topic.removeprefix(root): found for topic, found in readings.items() if topic.startswith(root)}


def _target(fields: Mapping[str, Any]) -> Target:
    """A target of what `dataclasses.asdict` and JSON made of it."""
    found: dict[str, Any] = {k: tuple(v) if isinstance(v, list) else v for k, v in fields.items()}
    return Target(**found)
