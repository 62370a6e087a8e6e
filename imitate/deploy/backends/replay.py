"""robot=… from a recording: nothing moves, and what a policy would do can be tried again and again."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from imitate.datasets.session_file import SessionFile, holds_session
from imitate.deploy.backends.replay_session import SessionRobot
from imitate.deploy.backends.replay_transport import ReplayTransport
from imitate.deploy.description import RobotDescription
from imitate.deploy.robot import Robot
from imitate.deploy.safety.limits import Limits
from imitate.deploy.topic_robot import TopicRobot
from imitate.errors import ConfigError
from imitate.parts import TARGET, from_json

SAFETY = "imitate.deploy.safety"


@dataclass(frozen=True)
class ReplayConfig:
    """What was recorded at `path`: a session of imitate deploy, a rosbag2 folder, MCAP file or ROS 1 bag.

    description: which of the bag's topics are what; a session knows that itself. speed: 2 is twice as fast.
    limits: where none are given those of the session.
    """

    path: str = ""
    description: RobotDescription | None = None
    speed: float = 1.0
    limits: Limits = field(default_factory=Limits)

    def __post_init__(self) -> None:
        if not self.speed > 0:
            raise ConfigError(f"robot.speed is {self.speed}, expected more than 0")
        if self.path and not Path(self.path).exists():
            raise ConfigError(f"robot.path is {self.path}, which does not exist")
        if self.path and self.limits == Limits():
            object.__setattr__(self, "limits", _recorded_limits(Path(self.path)) or self.limits)

    def build(self) -> Robot:
        """The robot, not yet playing; raises RobotError where the file cannot be read."""
        if not self.path:
            raise ConfigError("robot.path is missing: name the recording with  robot.path=…")
        path = Path(self.path)
        if path.is_file() and holds_session(path):
            return SessionRobot(path, self.speed)
        if self.description is None:
            raise ConfigError(f"robot.description is missing: {path} does not say which topics are what")
        return TopicRobot(self.description, ReplayTransport(path, self.speed))


def _recorded_limits(path: Path) -> Limits | None:
    """The limits that the session at `path` was driven with; None where it is none or does not say."""
    if not path.is_file() or not holds_session(path):
        return None
    told = SessionFile(path).header.get("settings", {}).get("robot", {}).get("limits")
    # A file may come from anybody: nothing but limits is built of it.
    if not told or not all(str(name).startswith(f"{SAFETY}.") for name in _targets(told)):
        return None
    found = from_json(told, "limits of the session")
    return found if isinstance(found, Limits) else None


def _targets(value: Any) -> Iterator[Any]:
    if isinstance(value, Mapping):
        yield from ([value[TARGET]] if TARGET in value else [])
        for item in value.values():
            yield from _targets(item)
    elif isinstance(value, list):
        for item in value:
            yield from _targets(item)
