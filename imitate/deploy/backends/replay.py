"""robot=… from a recording: nothing moves, and what a policy would do can be tried again and again."""

from dataclasses import dataclass, field
from pathlib import Path

from imitate.datasets.session_file import holds_session
from imitate.deploy.backends.replay_session import SessionRobot
from imitate.deploy.backends.replay_transport import ReplayTransport
from imitate.deploy.description import RobotDescription
from imitate.deploy.robot import Robot
from imitate.deploy.safety.limits import Limits
from imitate.deploy.topic_robot import TopicRobot
from imitate.errors import ConfigError


@dataclass(frozen=True)
class ReplayConfig:
    """What was recorded at `path`: a session of imitate deploy, a rosbag2 folder, MCAP file or ROS 1 bag.

    description: which of the bag's topics are what; a session knows that itself. speed: 2 is twice as fast.
    """

    path: str
    description: RobotDescription | None = None
    speed: float = 1.0
    limits: Limits = field(default_factory=Limits)

    def __post_init__(self) -> None:
        if not self.speed > 0:
            raise ConfigError(f"robot.speed is {self.speed}, expected more than 0")
        if not Path(self.path).exists():
            raise ConfigError(f"robot.path is {self.path}, which does not exist")

    def build(self) -> Robot:
        """The robot, not yet playing; raises RobotError where the file cannot be read."""
        path = Path(self.path)
        if path.is_file() and holds_session(path):
            return SessionRobot(path, self.speed)
        if self.description is None:
            raise ConfigError(f"robot.description is missing: {path} does not say which topics are what")
        return TopicRobot(self.description, ReplayTransport(path, self.speed))
