"""The messages that robots are commanded with, as mappings with the field names of ROS 2.

Layouts: std_msgs, sensor_msgs, geometry_msgs, trajectory_msgs of ROS 2's
common_interfaces, control_msgs of ros-controls.
"""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from imitate.deploy.command import Command
from imitate.deploy.description import AXES, Target
from imitate.deploy.transport import Message
from imitate.errors import RobotError

BOOL = "std_msgs/msg/Bool"
STRING = "std_msgs/msg/String"
VALUES = "std_msgs/msg/Float64MultiArray"
JOINT_STATE = "sensor_msgs/msg/JointState"
IMAGE = "sensor_msgs/msg/Image"
COMPRESSED_IMAGE = "sensor_msgs/msg/CompressedImage"
POSE = "geometry_msgs/msg/PoseStamped"
TWIST = "geometry_msgs/msg/TwistStamped"
TRAJECTORY = "trajectory_msgs/msg/JointTrajectory"
JOINT_JOG = "control_msgs/msg/JointJog"
GRIPPER_COMMAND = "control_msgs/action/GripperCommand"

TYPES: Mapping[str, str] = {
    "values": VALUES,
    "trajectory": TRAJECTORY,
    "twist": TWIST,
    "joint_jog": JOINT_JOG,
    "pose": POSE,
    "gripper_command": GRIPPER_COMMAND,
}
"""The type of the topic or action that carries each form of a command."""


def stamp(time_s: float) -> dict[str, int]:
    """builtin_interfaces/Time or Duration of so many seconds, not negative; 0 is "now" for trajectories."""
    whole, nanoseconds = divmod(round(time_s * 1e9), 1_000_000_000)
    return {"sec": whole, "nanosec": nanoseconds}


def seconds(header: Any) -> float | None:
    """The time of a std_msgs/Header in s; None where it has none, or zero, or nonsense."""
    try:
        time = header["stamp"]
        found = float(time["sec"] + time["nanosec"] * 1e-9)
    except (KeyError, TypeError, ValueError, IndexError, OverflowError):
        return None
    return found if 0.0 < found < math.inf else None


def header(time_s: float, frame: str = "") -> dict[str, Any]:
    """std_msgs/Header."""
    return {"stamp": stamp(time_s), "frame_id": frame}


def float_values(values: Sequence[float] | np.ndarray) -> dict[str, Any]:
    """std_msgs/Float64MultiArray with an empty layout, as ros2_control expects it."""
    return {"layout": {"dim": [], "data_offset": 0}, "data": np.asarray(values, np.float64)}


def joint_state(names: Sequence[str], position: np.ndarray, time_s: float) -> dict[str, Any]:
    """sensor_msgs/JointState with positions only."""
    empty = np.zeros(0)
    body = {"position": np.asarray(position, np.float64), "velocity": empty, "effort": empty}
    return {"header": header(time_s), "name": list(names), **body}


def pose_stamped(pose: np.ndarray, time_s: float, frame: str = "") -> dict[str, Any]:
    """geometry_msgs/PoseStamped of (7,) x, y, z in m and the quaternion x, y, z, w."""
    body = {"position": _named("xyz", pose[:3]), "orientation": _named("xyzw", pose[3:])}
    return {"header": header(time_s, frame), "pose": body}


def twist_stamped(names: Sequence[str], values: np.ndarray, time_s: float, frame: str = "") -> dict[str, Any]:
    """geometry_msgs/TwistStamped; `names` are some of AXES, the others are zero."""
    given = dict(zip(names, values.tolist(), strict=True))
    all_six = np.array([given.get(axis, 0.0) for axis in AXES])
    body = {"linear": _named("xyz", all_six[:3]), "angular": _named("xyz", all_six[3:])}
    return {"header": header(time_s, frame), "twist": body}


def joint_trajectory(
    names: Sequence[str], values: np.ndarray, times_s: np.ndarray, velocities: np.ndarray | None
) -> dict[str, Any]:
    """trajectory_msgs/JointTrajectory (n, D) that starts when it arrives: a zero stamp."""
    points = [
        {
            "positions": positions,
            "velocities": np.zeros(0) if velocities is None else velocities[index],
            "accelerations": np.zeros(0),
            "effort": np.zeros(0),
            "time_from_start": stamp(float(times_s[index])),
        }
        for index, positions in enumerate(values)
    ]
    return {"header": header(0.0), "joint_names": list(names), "points": points}


def joint_jog(names: Sequence[str], velocities: np.ndarray, time_s: float) -> dict[str, Any]:
    """control_msgs/JointJog of velocities."""
    body = {"displacements": np.zeros(0), "velocities": velocities, "duration": 0.0}
    return {"header": header(time_s), "joint_names": list(names), **body}


def gripper_goal(position: float, max_effort: float | None) -> dict[str, Any]:
    """The goal of control_msgs/action/GripperCommand: opening in m, force in N (0: the gripper's own)."""
    return {"command": {"position": position, "max_effort": max_effort or 0.0}}


def message_of(command: Command, target: Target, robot_time_s: float) -> Message:
    """`command` in the message of the target's form, SI units throughout.

    robot_time_s: the robot's clock, for the forms whose age the robot checks. Raises RobotError where the
    command does not fit the target or is not finite; nothing of it may be sent then.
    """
    _require_sendable(command, target)
    values = command.values
    if target.form == "trajectory":
        return joint_trajectory(target.names, values, command.times_s, command.velocities)
    if target.form == "twist":
        return twist_stamped(target.names, values[0], robot_time_s, target.frame)
    if target.form == "joint_jog":
        return joint_jog(target.names, values[0], robot_time_s)
    if target.form == "pose":
        return pose_stamped(values[0], robot_time_s, target.frame)
    if target.form == "gripper_command":
        return gripper_goal(float(values[0, 0]), target.max_effort)
    return float_values(values[0])


def _require_sendable(command: Command, target: Target) -> None:
    """What a robot would drop without a word, or act on wrongly, is refused here."""
    where = f"command {command.sequence} of {command.group}"
    size = 7 if target.kind == "pose" else len(target.names)
    if command.kind != target.kind:
        raise RobotError(f"{where} is a {command.kind}, expected {target.kind} for {target.topic}")
    if target.kind != "pose" and command.names != target.names:
        raise RobotError(f"{where} is for {list(command.names)}, expected {list(target.names)}")
    points = len(command.values) if command.values.ndim == 2 else 0
    if command.values.shape != (points, size) or command.times_s.shape != (points,) or not points:
        raise RobotError(f"{where} has shape {command.values.shape}, expected (n, {size}) with n times")
    if target.form != "trajectory" and points != 1:
        raise RobotError(f"{where} has {points} points, expected one: {target.topic} takes {target.form}")
    times = command.times_s
    if target.form == "trajectory" and not (times[0] >= 0 and (np.diff(times) > 0).all()):
        raise RobotError(f"{where} is for times {times.tolist()}, expected rising ones from 0 s on")
    arrays = [command.values, command.times_s, *([] if command.velocities is None else [command.velocities])]
    if not all(np.isfinite(array).all() for array in arrays):
        raise RobotError(f"{where} has values that are not finite numbers")
    if command.velocities is not None and command.velocities.shape != command.values.shape:
        raise RobotError(f"{where} has velocities {command.velocities.shape} for {command.values.shape}")


def _named(names: str, values: np.ndarray) -> dict[str, float]:
    return dict(zip(names, np.asarray(values, np.float64).tolist(), strict=True))
