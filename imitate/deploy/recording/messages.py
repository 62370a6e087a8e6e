"""Readings and commands as ROS 2 messages: the type and the fields of a transport's dictionary."""

from typing import Any

import cv2
import numpy as np

from imitate.datasets.session_format import IMAGE, JOINTS, JPEG_QUALITY, PNG_PIXELS, POSE, VECTOR
from imitate.deploy.command import Command
from imitate.spec import ArraySpec

Described = tuple[str, dict[str, Any]]
POSE_UNITS = ("m",) * 3 + ("",) * 4
NANOSECONDS = 1_000_000_000
FRAME = "base"


def value_message(value: np.ndarray, spec: ArraySpec, stamp_s: float | None) -> Described:
    """An image, a pose, named numbers or numbers, whichever `spec` says that `value` is.

    An image that no spec describes is known by its shape (H, W, 3) and dtype.
    """
    header = _header(stamp_s)
    if spec.is_image or (value.dtype == np.uint8 and value.ndim == 3):
        return IMAGE, {"header": header, **_compressed(value)}
    numbers = np.asarray(value, np.float64).reshape(-1)
    if spec.units == POSE_UNITS and numbers.size == len(POSE_UNITS):
        return POSE, {"header": header, "pose": _pose(numbers)}
    if spec.names and len(spec.names) == numbers.size:
        return JOINTS, {"header": header, "name": list(spec.names), "position": numbers}
    return VECTOR, {"data": numbers}


def command_message(command: Command) -> Described:
    """`command` in the message that carries its kind; its points as one trajectory where it has joints."""
    header = _header(None, command.kind in ("twist", "pose"))
    if command.kind == "twist":
        return "geometry_msgs/msg/TwistStamped", {"header": header, "twist": _twist(command)}
    if command.kind == "pose":
        return POSE, {"header": header, "pose": _pose(command.values[0])}
    points = [_point(command, index) for index in range(len(command.values))]
    return "trajectory_msgs/msg/JointTrajectory", {
        "header": header,
        "joint_names": list(command.names),
        "points": points,
    }


def _header(stamp_s: float | None, in_space: bool = True) -> dict[str, Any]:
    """A header; its stamp is zero where the robot told no time."""
    sec, nanosec = divmod(round((stamp_s or 0.0) * NANOSECONDS), NANOSECONDS)
    return {"stamp": {"sec": sec, "nanosec": nanosec}, "frame_id": FRAME if in_space else ""}


def _compressed(image: np.ndarray) -> dict[str, Any]:
    bgr = cv2.cvtColor(image, cv2.COLOR_RGB2BGR)
    if image.shape[0] * image.shape[1] <= PNG_PIXELS:
        return {"format": "png", "data": _encoded(".png", bgr, [cv2.IMWRITE_PNG_COMPRESSION, 1])}
    return {"format": "jpeg", "data": _encoded(".jpg", bgr, [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY])}


def _encoded(suffix: str, bgr: np.ndarray, settings: list[int]) -> bytes:
    _, data = cv2.imencode(suffix, bgr, settings)
    return data.tobytes()


def _pose(numbers: np.ndarray) -> dict[str, Any]:
    position = dict(zip("xyz", numbers[:3], strict=True))
    return {"position": position, "orientation": dict(zip("xyzw", numbers[3:], strict=True))}


def _twist(command: Command) -> dict[str, Any]:
    found = dict(zip(command.names, command.values[0], strict=True))
    angular = {axis: found.get(turn, 0.0) for axis, turn in zip("xyz", ("roll", "pitch", "yaw"), strict=True)}
    return {"linear": {axis: found.get(axis, 0.0) for axis in "xyz"}, "angular": angular}


def _point(command: Command, index: int) -> dict[str, Any]:
    sec, nanosec = divmod(round(float(command.times_s[index]) * NANOSECONDS), NANOSECONDS)
    point: dict[str, Any] = {"time_from_start": {"sec": sec, "nanosec": nanosec}}
    if command.kind == "joint_velocity":
        return {**point, "velocities": command.values[index]}
    if command.velocities is not None:
        point["velocities"] = command.velocities[index]
    return {**point, "positions": command.values[index]}
