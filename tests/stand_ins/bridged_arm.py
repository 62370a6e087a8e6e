"""A robot behind a bridge, in this process: made, waited for, and let go."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
from quirky_bridge import QuirkyBridge
from tiny_arm import TinyConfig, description

from imitate.deploy.backends.rosbridge import RosbridgeConfig
from imitate.deploy.command import Command
from imitate.deploy.description import RobotDescription
from imitate.deploy.robot import Robot
from imitate.deploy.simulation.simulated_arm import SimulatedArm

AXES = ("x", "y", "z", "yaw")


@dataclass
class Bridged:
    """The two ends: `robot` is ours, `bridge` and `arm` are the robot's."""

    robot: Robot
    bridge: QuirkyBridge
    arm: SimulatedArm


@contextmanager
def bridged_arm(ros: Any = 2, config: TinyConfig | None = None) -> Iterator[Bridged]:
    """A tiny arm and a robot that is connected to it and has read everything once."""
    bridge = QuirkyBridge(ros=ros)
    arm = SimulatedArm(config or TinyConfig(), bridge)
    arm.start()
    bridge.start()
    robot = robot_at(bridge.port, ros)
    try:
        robot.connect(5.0)
        wait_until(lambda: len(robot.read().observations) == len(description().observations))
        yield Bridged(robot, bridge, arm)
    finally:
        robot.close()
        arm.close()
        bridge.close()


def robot_at(port: int, ros: Any = 2, what: RobotDescription | None = None, host: str = "127.0.0.1") -> Robot:
    """A robot behind the bridge at `port`, not yet connected."""
    return RosbridgeConfig(what or description(), f"ws://{host}:{port}", ros).build()


def wait_until(is_true: Callable[[], bool], timeout_s: float = 10.0) -> None:
    """Wait for something that happens in other threads."""
    deadline = time.monotonic() + timeout_s
    while not is_true():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.002)


class Pilot:
    """Sends commands that carry the time of their sending."""

    def __init__(self, robot: Robot) -> None:
        self.robot, self.sequence, self.sent = robot, 0, 0

    def send(self, made_s: float | None = None) -> bool:
        """One twist and one opening; whether both left."""
        made = time.monotonic() if made_s is None else made_s
        twist = np.array([[made, 0.0, 0.0, 0.0]])
        left = self._send("arm", "twist", AXES, twist, made)
        return self._send("gripper", "gripper", ("gripper",), np.array([[made]]), made) and left

    def stream(self, seconds: float, rate_hz: float = 50.0) -> int:
        """Send at a rate; how many left."""
        until, left = time.monotonic() + seconds, 0
        while time.monotonic() < until:
            left += self.send()
            time.sleep(1.0 / rate_hz)
        return left

    def _send(self, group: str, kind: Any, names: tuple[str, ...], values: np.ndarray, made: float) -> bool:
        self.sequence += 1
        return self.robot.send(Command(group, kind, names, values, np.zeros(1), made, self.sequence))
