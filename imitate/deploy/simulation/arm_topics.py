"""An environment in the words of a robot's topics: which it publishes, and which command it."""

from collections.abc import Iterator, Mapping

import numpy as np

from imitate.deploy import messages
from imitate.deploy.images import encoded
from imitate.deploy.simulation.inbox import Channel
from imitate.deploy.transport import Message, Topic
from imitate.errors import EnvError
from imitate.spec import ArraySpec, DataSpec

JOINT_STATES = "/joint_states"
POSE = "/arm/pose"
TWIST = "/arm/twist"
COMMANDS = "/arm/commands"
TRAJECTORY = "/arm/joint_trajectory"
GRIPPER = "/gripper/commands"

POSE_KEYS = ("ee_pos", "ee_yaw")
"""Observations that make the pose of a tabletop arm's tool, which points straight down."""


def channels(spec: DataSpec) -> list[Channel]:
    """What commands an environment with this spec; raises EnvError for one that is no arm known here.

    Tabletop arms take a twist or joints, and a gripper; of others the whole action is one message.
    """
    action = spec.action
    if action.names[:4] == ("ee_dx", "ee_dy", "ee_dz", "ee_dyaw"):
        period_s = 1.0 / _rate(spec)
        twist = Channel(slice(0, 4), ("x", "y", "z", "yaw"), {TWIST: messages.TWIST}, factor=period_s)
        return [twist, _gripper(4)]
    if "joints" in spec.obs and action.names[:-1] == spec.obs["joints"].names:
        topics = {COMMANDS: messages.VALUES, TRAJECTORY: messages.TRAJECTORY}
        size = len(action.names) - 1
        joints = Channel(slice(0, size), action.names[:-1], topics, resting=lambda obs: obs["joints"])
        return [joints, _gripper(size)]
    return [_whole(spec)]


def _gripper(column: int) -> Channel:
    columns, topics = slice(column, column + 1), {GRIPPER: messages.VALUES}
    return Channel(columns, ("gripper",), topics, resting=lambda obs: obs["gripper"])


def _whole(spec: DataSpec) -> Channel:
    """A velocity goes back to zero; a position keeps its value, from the first observed elements on."""
    names, units = spec.action.names, spec.action.units
    whole, topics = slice(0, spec.action.size), {COMMANDS: messages.VALUES}
    if all(unit.endswith("/s") for unit in units):
        return Channel(whole, names, topics)
    key = next((k for k, array in spec.obs.items() if array.units[: len(units)] == units), None)
    if key is None or not names:
        raise EnvError(f"no robot can be made of this environment: its action is {list(names)} in {units}")
    return Channel(whole, names, topics, resting=lambda obs: obs[key][: len(names)])


def publications(spec: DataSpec) -> list[Topic]:
    """Every topic that `messages_of` publishes."""
    image = [Topic(_camera(key), messages.COMPRESSED_IMAGE) for key, a in spec.obs.items() if a.is_image]
    pose = [Topic(POSE, messages.POSE)] if _has_pose(spec) else []
    vectors = [Topic(_vector(key), messages.VALUES) for key in spec.obs if _is_plain(spec, key)]
    return [Topic(JOINT_STATES, messages.JOINT_STATE), *pose, *vectors, *image]


def messages_of(
    spec: DataSpec, obs: Mapping[str, np.ndarray], time_s: float
) -> Iterator[tuple[str, Message]]:
    """An observation as messages stamped with the robot's time `time_s`.

    Joints and gripper come as two messages on one topic, each with part of the joints.
    """
    for key, array in spec.obs.items():
        if array.is_image:
            body = {"format": "png", "data": encoded(obs[key])}
            yield _camera(key), {"header": messages.header(time_s, key), **body}
        elif _is_joints(spec, key):
            yield JOINT_STATES, messages.joint_state(array.names, obs[key], time_s)
        if _is_plain(spec, key):
            yield _vector(key), messages.float_values(obs[key])
    if _has_pose(spec):
        half = float(obs["ee_yaw"][0]) / 2
        pose = np.array([*obs["ee_pos"], 0.0, 0.0, np.sin(half), np.cos(half)])
        yield POSE, messages.pose_stamped(pose, time_s, "base")


def _rate(spec: DataSpec) -> float:
    if not spec.rate_hz:
        raise EnvError("no robot can be made of this environment: it has no control rate")
    return spec.rate_hz


def _has_pose(spec: DataSpec) -> bool:
    return all(key in spec.obs for key in POSE_KEYS)


def _is_joints(spec: DataSpec, key: str) -> bool:
    """What is published as joints: those of an arm, or every named element of something simpler."""
    array: ArraySpec = spec.obs[key]
    return key in ("joints", "gripper") if "joints" in spec.obs else bool(array.names)


def _is_plain(spec: DataSpec, key: str) -> bool:
    is_arm = "joints" in spec.obs and (key in ("joints", "gripper") or key in POSE_KEYS)
    return not spec.obs[key].is_image and not is_arm


def _vector(key: str) -> str:
    return f"/observations/{key}"


def _camera(key: str) -> str:
    return f"/camera/{key}/compressed"
