"""robot=… of ROS 1: topics and services through rospy, where it is installed."""

from dataclasses import dataclass, field

from imitate.deploy.backends.ros1_transport import Ros1Transport
from imitate.deploy.description import RobotDescription
from imitate.deploy.safety.limits import Limits
from imitate.deploy.topic_robot import TopicRobot
from imitate.errors import ConfigError


@dataclass(frozen=True)
class Ros1Config:
    """A ROS 1 robot at the master `master`, "" for ROS_MASTER_URI.

    python: the interpreter that has rospy; that of Debian and of ROS Noetic is /usr/bin/python3. Environment
    variables (ROS_IP, and PYTHONPATH of a sourced setup.bash) are passed on to it.
    """

    description: RobotDescription
    master: str = ""
    python: str = "/usr/bin/python3"
    limits: Limits = field(default_factory=Limits)

    def __post_init__(self) -> None:
        if self.master and not self.master.startswith("http://"):
            raise ConfigError(f"robot.master is {self.master!r}, expected http://HOST:PORT, or empty")
        for group, target in self.description.targets.items():
            if target.form == "gripper_command":
                raise ConfigError(
                    f"robot.description.targets.{group}.form is gripper_command, an action; use the "
                    f"rosbridge backend, or a gripper that takes values or a trajectory"
                )

    def build(self) -> TopicRobot:
        """The robot, not yet connected."""
        return TopicRobot(self.description, Ros1Transport(self.master, self.python))
