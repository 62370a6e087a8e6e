"""imitate robot simulate: run an environment in real time behind a rosbridge server or on DDS, as a robot.

    imitate robot simulate env=tabletop/pick_place port=9090
    imitate robot check robot=simulated_arm                     in another terminal
    imitate deploy policy=policy.imitate robot=simulated_arm    in another terminal

publishes joints, tool pose, what else the task observes and its cameras, and takes twists, joints and gripper
openings on topics: configs/robot/simulated_arm.yaml names them. Commands older than 0.1 s are not obeyed. An
episode begins with the first command; at its end the arm rests until the service /simulation/reset
{"seed": …} starts another. Runs until Ctrl-C.

Keys:
    env         any tabletop task, pusht or point_obstacle; its settings are env.…
    seed        of the first episode
    over        rosbridge, or dds: ROS 2 topics in the domain of ROS_DOMAIN_ID, without services
    host, port  of rosbridge: where to listen; host=0.0.0.0 lets every machine of the network in, without
                a password
    ros         the dialect of the bridge: 1 or 2
"""

import time
from dataclasses import dataclass
from typing import Any, Literal

from imitate.cli.command import Outcome
from imitate.deploy.backends.dds_network import DdsNetwork
from imitate.deploy.simulation.bridge_server import BridgeServer
from imitate.deploy.simulation.dds_host import DdsHost
from imitate.deploy.simulation.simulated_arm import SimulatedArm
from imitate.errors import ConfigError, import_extra
from imitate.progress import Progress

LOOK_S = 0.2


@dataclass(frozen=True)
class RobotSimulateCommand:
    """The settings of `imitate robot simulate`; see the module."""

    env: Any
    seed: int
    over: Literal["rosbridge", "dds"]
    host: str
    port: int
    ros: Literal[1, 2]

    def __post_init__(self) -> None:
        if not 0 <= self.port <= 65535:
            raise ConfigError(f"port is {self.port}, expected 1 to 65535, or 0 for any that is free")
        if self.seed < 0:
            raise ConfigError(f"seed is {self.seed}, expected a whole number, 0 or more")

    def run(self, progress: Progress) -> Outcome:
        """Serve until interrupted."""
        server = self._server()
        arm = SimulatedArm(self.env, server, self.seed)
        try:
            arm.start()
            server.start()
            progress.say(f"simulated arm at {server.address}; Ctrl-C ends it")
            self._watch(arm, progress)
        except KeyboardInterrupt:
            pass
        finally:
            arm.close()
            server.close()
        status = arm.status()
        return Outcome(status, [_line(status)])

    def _server(self) -> BridgeServer | DdsHost:
        if self.over == "dds":
            import_extra("cyclonedds.core", "ros")
            return DdsHost(DdsNetwork())
        return BridgeServer(self.host, self.port, self.ros)

    @staticmethod
    def _watch(arm: SimulatedArm, progress: Progress) -> None:
        """Say how each episode ended."""
        told = -1
        while True:
            status = arm.status()
            if status["over"] and status["episode"] != told:
                told = status["episode"]
                progress.say(_line(status))
            time.sleep(LOOK_S)


def _line(status: dict[str, Any]) -> str:
    outcome = "success" if status["success"] else f"no success, score {status['score']:.2f}"
    return (
        f"seed {status['seed']}: {outcome} after {status['step']} steps, {status['refused']} commands refused"
    )
