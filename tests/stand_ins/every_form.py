"""A robot that takes a command of every form, and such commands."""

import time

import numpy as np

from imitate.deploy.command import Command
from imitate.deploy.description import ImageSource, JointSource, RobotDescription, StopSource, Target

TARGETS = {
    "values": Target("joint_position", "/values", ("a", "b"), "values", ("a", "b")),
    "trajectory": Target("joint_position", "/trajectory", ("c", "d"), "trajectory", ("a", "b")),
    "twist": Target("twist", "/twist", ("e", "f"), "twist", ("x", "yaw"), frame="base"),
    "jog": Target("joint_velocity", "/jog", ("g", "h"), "joint_jog", ("a", "b")),
    "pose": Target("pose", "/pose", tuple("ijklmno"), "pose"),
}
VALUES = {
    "values": ([[0.1, 0.2]], [0.0]),
    "trajectory": ([[0.1, 0.2], [0.3, 0.4]], [0.1, 0.2]),
    "twist": ([[0.1, 0.2]], [0.0]),
    "jog": ([[0.1, 0.2]], [0.0]),
    "pose": ([[1, 2, 3, 0, 0, 0, 1]], [0.0]),
}


def everything() -> RobotDescription:
    state = JointSource("/joint_states", ("a", "b"))
    return RobotDescription(
        observations={"state": state, "camera": ImageSource("/camera", (6, 8))},
        measured=dict.fromkeys(TARGETS, state),
        targets=TARGETS,
        takeover={"twist": "/takeover"},
        stop=StopSource("/stop"),
    )


def command(group: str, made_s: float | None = None) -> Command:
    values, times = VALUES[group]
    target = TARGETS[group]
    made = time.monotonic() if made_s is None else made_s
    return Command(group, target.kind, target.names, np.array(values, float), np.array(times), made, 1)
