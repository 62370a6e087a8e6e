"""Recorded commands as numbers; the inverse of imitate.deploy.recording.messages.command_message."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from imitate.datasets.session_file import Record
from imitate.datasets.session_format import POSE
from imitate.deploy.ros_types import typestore

TWIST = "geometry_msgs/msg/TwistStamped"


@dataclass(frozen=True)
class Points:
    """One command: its setpoints (n, D) and when each is due, in local monotonic s."""

    made_s: float
    times_s: np.ndarray
    values: np.ndarray


def command_points(record: Record, target: Mapping[str, Any]) -> Points:
    """The command of `record`, whose group is described by `target`; see imitate.deploy.command.Kind."""
    message: Any = typestore().deserialize_cdr(record.data, record.type)
    made_s = record.came_s
    if record.type == TWIST:
        return Points(made_s, np.array([made_s]), _twist(message.twist, target["names"])[None])
    if record.type == POSE:
        return Points(made_s, np.array([made_s]), record.array()[None])
    is_rate = target.get("kind") == "joint_velocity"
    rows = [point.velocities if is_rate else point.positions for point in message.points]
    after_s = [point.time_from_start.sec + 1e-9 * point.time_from_start.nanosec for point in message.points]
    return Points(made_s, made_s + np.array(after_s), np.array(rows, np.float64).reshape(len(rows), -1))


def _twist(twist: Any, names: list[str]) -> np.ndarray:
    parts = {
        **{axis: getattr(twist.linear, axis) for axis in "xyz"},
        **{
            turn: getattr(twist.angular, axis)
            for axis, turn in zip("xyz", ("roll", "pitch", "yaw"), strict=True)
        },
    }
    return np.array([parts[name] for name in names])
