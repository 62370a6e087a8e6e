"""robot=… over DDS: ROS 2 topics without ROS on our side; no services and no actions."""

from dataclasses import dataclass, field

from imitate.deploy.backends.dds_network import DdsNetwork
from imitate.deploy.backends.dds_transport import DdsTransport
from imitate.deploy.description import RobotDescription
from imitate.deploy.safety.limits import Limits
from imitate.deploy.topic_robot import TopicRobot
from imitate.errors import ConfigError, import_extra


@dataclass(frozen=True)
class DdsConfig:
    """A ROS 2 robot in DDS domain `domain` (null: ROS_DOMAIN_ID, else 0).

    interface: the network interface to use, by name or address; empty for what Cyclone DDS chooses. peers:
    the robot's addresses where multicast does not reach it.
    """

    description: RobotDescription
    domain: int | None = None
    interface: str = ""
    peers: tuple[str, ...] = ()
    limits: Limits = field(default_factory=Limits)

    def __post_init__(self) -> None:
        self._network()
        for group, target in self.description.targets.items():
            if target.form == "gripper_command":
                raise ConfigError(
                    f"robot.description.targets.{group}.form is gripper_command, an action, which DDS lacks; "
                    f"use the rosbridge backend, or a gripper that takes values or a trajectory"
                )

        if self.description.stop is not None and self.description.stop.service:
            raise ConfigError(
                "robot.description.stop.service names a service, which DDS lacks; use the rosbridge backend"
            )

    def build(self) -> TopicRobot:
        """The robot, not yet connected; raises MissingExtraError without cyclonedds."""
        import_extra("cyclonedds.core", "ros")
        return TopicRobot(self.description, DdsTransport(self._network()))

    def _network(self) -> DdsNetwork:
        return DdsNetwork(self.domain, self.interface, tuple(self.peers))
