"""What is sent to a robot: setpoints of one group of joints or of one tool, with the times they are for."""

from dataclasses import dataclass
from typing import Literal

import numpy as np

Kind = Literal["joint_position", "joint_velocity", "twist", "pose", "gripper"]
"""What the values of a command are, with their units:

joint_position  rad (m for sliding joints), one per joint
joint_velocity  rad/s (m/s), one per joint
twist           m/s and rad/s of the tool: any of x, y, z, roll, pitch, yaw, in the order of the names
pose            of the tool: x, y, z in m and a unit quaternion x, y, z, w
gripper         opening in m, one per gripper
"""


@dataclass(frozen=True)
class Command:
    """Setpoints (n, D) of one group; one point where values are streamed, several for a trajectory.

    group: the name of the target in the robot's description. names (D,): joints or axes. times_s (n,): when
    each point is to be reached, in seconds after `made_s`, rising and not negative. velocities (n, D): along
    a trajectory of positions, None where nothing is known. made_s: local monotonic time in s. sequence:
    rises by one with every command of a session.
    """

    group: str
    kind: Kind
    names: tuple[str, ...]
    values: np.ndarray
    times_s: np.ndarray
    made_s: float
    sequence: int
    velocities: np.ndarray | None = None
