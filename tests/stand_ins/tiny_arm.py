"""A simulated arm without physics, and a process that runs it: what it obeyed stands in a file, line by line.

    python tiny_arm.py PORT FILE [HOST]

Commands carry the monotonic time of their sending as their first value, so their true age is known.
"""

import json
import signal
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from quirky_bridge import QuirkyBridge

from imitate.deploy.description import JointSource, PoseSource, RobotDescription, Target
from imitate.deploy.simulation.arm_topics import GRIPPER, JOINT_STATES, POSE, TWIST
from imitate.deploy.simulation.simulated_arm import SimulatedArm
from imitate.spec import ArraySpec, DataSpec

SPEC = DataSpec(
    {
        "joints": ArraySpec((2,), names=("joint1", "joint2"), units=("rad", "rad")),
        "gripper": ArraySpec((1,), names=("gripper",), units=("m",)),
        "ee_pos": ArraySpec((3,), names=("ee_x", "ee_y", "ee_z"), units=("m",) * 3),
        "ee_yaw": ArraySpec((1,), names=("ee_yaw",), units=("rad",)),
    },
    ArraySpec((5,), names=("ee_dx", "ee_dy", "ee_dz", "ee_dyaw", "gripper")),
    rate_hz=50.0,
)


@dataclass(frozen=True)
class TinyConfig:
    """`cameras` adds pictures; an episode has `max_steps` steps."""

    max_steps: int = 1_000_000
    cameras: tuple[str, ...] = ()

    def build(self) -> "TinyEnv":
        return TinyEnv(self)


class TinyEnv:
    """Notes its actions; the tool stands still."""

    def __init__(self, config: TinyConfig) -> None:
        self.config = config
        images = {name: ArraySpec((8, 12, 3), "uint8") for name in config.cameras}
        self.data_spec = DataSpec({**SPEC.obs, **images}, SPEC.action, SPEC.rate_hz)
        self.actions: list[np.ndarray] = []

    def reset(self, *, seed: int) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
        self.actions, self.seed = [], seed
        return self._observe(), {"success": False, "score": 0.0}

    def step(self, action: np.ndarray) -> tuple[dict[str, np.ndarray], float, bool, bool, dict[str, Any]]:
        self.actions.append(action.copy())
        is_over = len(self.actions) >= self.config.max_steps
        return self._observe(), 0.0, False, is_over, {"success": is_over, "score": 0.5}

    def close(self) -> None:
        pass

    def _observe(self) -> dict[str, np.ndarray]:
        picture = np.full((8, 12, 3), len(self.actions) % 256, np.uint8)
        return {
            "joints": np.array([0.1, -0.2], np.float32),
            "gripper": np.array([0.05], np.float32),
            "ee_pos": np.array([0.4, 0.0, 0.2], np.float32),
            "ee_yaw": np.array([0.3], np.float32),
            **dict.fromkeys(self.config.cameras, picture),
        }


def description() -> RobotDescription:
    """The tiny arm in the words of a robot."""
    gripper = JointSource(JOINT_STATES, ("gripper",), unit="m")
    return RobotDescription(
        observations={
            "joints": JointSource(JOINT_STATES, ("joint1", "joint2")),
            "gripper": gripper,
            "ee_pos": PoseSource(POSE, "position", ("ee_x", "ee_y", "ee_z")),
            "ee_yaw": PoseSource(POSE, "yaw", ("ee_yaw",)),
        },
        measured={"arm": PoseSource(POSE), "gripper": gripper},
        targets={
            "arm": Target(
                "twist",
                TWIST,
                ("ee_dx", "ee_dy", "ee_dz", "ee_dyaw"),
                "twist",
                ("x", "y", "z", "yaw"),
                "delta",
            ),
            "gripper": Target("gripper", GRIPPER, ("gripper",), "values", ("gripper",)),
        },
        state_rate_hz=50.0,
    )


def _serve(port: int, log: Path, host: str) -> None:
    bridge = QuirkyBridge(host, port)
    arm = SimulatedArm(TinyConfig(), bridge)
    arm.start()
    bridge.start()
    sys.stdout.write(f"{bridge.port}\n")
    sys.stdout.flush()
    told = 0
    with log.open("a") as file:
        while True:
            time.sleep(0.01)
            entries = list(arm.applied)
            for entry in entries[told:]:
                age = entry.time_s - float(entry.values[0])
                file.write(json.dumps({"names": entry.names, "at": entry.time_s, "age": age}) + "\n")
            file.flush()
            told = len(entries)


if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    _serve(int(sys.argv[1]), Path(sys.argv[2]), sys.argv[3] if len(sys.argv) > 3 else "127.0.0.1")
