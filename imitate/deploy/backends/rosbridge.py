"""robot=… over rosbridge: ROS 1 and ROS 2 through a WebSocket, the way that works on any network."""

import urllib.parse
from dataclasses import dataclass, field
from typing import Literal

from imitate.deploy.backends.rosbridge_client import RosbridgeTransport
from imitate.deploy.description import RobotDescription
from imitate.deploy.safety.limits import Limits
from imitate.deploy.topic_robot import TopicRobot
from imitate.errors import ConfigError


@dataclass(frozen=True)
class RosbridgeConfig:
    """A robot behind the rosbridge server at `url` (ws://HOST:PORT), which speaks ROS `ros`.

    There is no authentication: the server belongs in a network of its own or behind a tunnel.
    """

    description: RobotDescription
    url: str = "ws://localhost:9090"
    ros: Literal[1, 2] = 2
    limits: Limits = field(default_factory=Limits)

    def __post_init__(self) -> None:
        parts = urllib.parse.urlsplit(self.url)
        if parts.scheme not in ("ws", "wss") or not parts.hostname:
            raise ConfigError(f"robot.url is {self.url!r}, expected ws://HOST:PORT of a rosbridge server")
        if self.ros not in (1, 2):
            raise ConfigError(f"robot.ros is {self.ros!r}, expected 1 or 2")

    def build(self) -> TopicRobot:
        """The robot, not yet connected."""
        return TopicRobot(self.description, RosbridgeTransport(self.url, self.ros))
