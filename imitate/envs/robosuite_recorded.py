"""What a dataset says of the robosuite environment it was recorded in, and how to make that one again.

robomimic keeps env_args (env_name, env_version, env_kwargs) in the attributes of `data`; robosuite's own
recorder keeps env, repository_version and env_info; a store imported from either keeps what it found.

robosuite 1.5 changed what one action does. For recordings from before, this module gives the installed one
the old behaviour: actions in the world's frame, fingers that move 0.01 at every physics step instead of 0.2
at every action, a hand that keeps its orientation while no rotation is asked for, and the old order of
computation.
"""

import json
import logging
import math
import os
import re
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from imitate.envs.offscreen import mujoco
from imitate.errors import ConfigError, EnvError, import_extra, nearest

STATES = "states"
"""The observation of a raw recording: the simulator's time, positions and velocities."""

PARTS = ("OSC_POSE", "OSC_POSITION", "JOINT_POSITION", "JOINT_VELOCITY", "JOINT_TORQUE")
NEWEST = (99, 0)
FIRST = (1, 0)
"""The oldest version whose environments, observations and controllers have the names of today."""
COMPOSITE = (1, 5)
EXACT = (1, 4)
"""The oldest version whose recordings were seen to play again exactly (scripts/benchmarks/replay)."""
OLD_GRIPPER_SPEED = 0.01
# How an old OSC_POSITION held the hand: pointing straight down.
STRAIGHT_DOWN = np.diag([-1.0, 1.0, -1.0])
# How a scene is drawn and how long it lasts: we do both ourselves.
OURS = {
    "has_renderer", "has_offscreen_renderer", "use_camera_obs", "use_object_obs", "camera_names",
    "camera_heights", "camera_widths", "camera_depths", "camera_depth", "camera_segmentations",
    "render_camera", "render_collision_mesh", "render_visual_mesh", "render_gpu_device_id", "renderer",
    "renderer_config", "horizon", "ignore_done", "hard_reset", "seed", "env_name", "control_freq",
    "gripper_visualization", "gripper_visualizations", "type",
}  # fmt: skip
INSTEAD = "set env.task, env.robots and env.controller instead of env.dataset"


def env_args_of(path: str) -> dict[str, Any]:
    """What the HDF5 file or imported store at `path` says of its environment, as plain JSON.

    Gives env_name, env_version, env_kwargs, rate_hz, and obs {key: {shape, dtype}} in the dataset's order.
    Raises ConfigError where the file says nothing of the kind.
    """
    place = Path(path)
    if (place / ".zattrs").is_file():
        said = _said_by_store(place)
    elif place.is_file() and h5py.is_hdf5(place):
        said = _said_by_hdf5(place)
    else:
        found = "not there" if not place.exists() else "something else"
        raise ConfigError(
            f"env.dataset is {path}, which is {found}: expected an HDF5 file of robomimic or robosuite, "
            "or a store imported from one"
        )
    kwargs = said.get("env_kwargs")
    if not said.get("env_name") or not isinstance(kwargs, Mapping):
        raise ConfigError(
            f"env.dataset={path} does not say which robosuite environment it was recorded in "
            f"(env_args, or env and env_info): {INSTEAD}"
        )
    _require_version(path, said)
    return said


def _require_version(path: str, said: Mapping[str, Any]) -> None:
    """Raise ConfigError where the version does not tell, or contradicts, how the actions act."""
    version, controllers = said["env_version"], _controllers(said)
    if not version and not controllers:
        raise ConfigError(
            f"env.dataset={path} names neither a robosuite version (env_version) nor a controller "
            f"(controller_configs), so what its actions do is unknown: {INSTEAD}"
        )
    if version_of(version) < FIRST:
        raise ConfigError(
            f"env.dataset={path} was recorded with robosuite {version}, expected 1.0 or newer: its "
            f"environments cannot be made again; {INSTEAD}"
        )
    if version_of(version) < COMPOSITE and any("body_parts" in one for one in controllers):
        raise ConfigError(
            f"env.dataset={path} says robosuite {version}, but its controller has body_parts, which came "
            "with 1.5: correct env_version in the file's env_args"
        )


def _controllers(env_args: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """The controllers it names, one for all arms or one for each robot."""
    told = env_args["env_kwargs"].get("controller_configs") or []
    return [one for one in (told if isinstance(told, list) else [told]) if isinstance(one, Mapping)]


def _said_by_store(place: Path) -> dict[str, Any]:
    try:
        described = json.loads((place / ".zattrs").read_text(encoding="utf-8"))["imitate"]
        spec, metadata = described["spec"], described["metadata"]
        obs = {key: {"shape": array["shape"], "dtype": array["dtype"]} for key, array in spec["obs"].items()}
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise ConfigError(f"env.dataset={place} is no store of imitate: {error!r}") from error
    raw = metadata.get("robosuite")
    args = metadata.get("env_args") or (_as_env_args(raw, raw.get("env_info")) if raw else {})
    return _whole(args, obs, spec.get("rate_hz"))


def _said_by_hdf5(place: Path) -> dict[str, Any]:
    try:
        with h5py.File(place, "r") as file:
            data = file["data"]
            first = data[min(data, key=lambda name: (len(name), name))]
            obs = {key: _array(item) for key, item in first.get("obs", {}).items()}
            told = {key: data.attrs[key] for key in data.attrs}
            if "env_args" in told:
                return _whole(json.loads(told["env_args"]), obs, None)
            info = json.loads(told.get("env_info", "null"))
            states = first[STATES]
            seconds = np.diff(states[:, 0])
            return _whole(
                _as_env_args(told, info), obs or {STATES: _array(states)}, 1.0 / float(np.median(seconds))
            )
    except (OSError, KeyError, ValueError, TypeError, AttributeError) as error:
        raise ConfigError(f"env.dataset={place} is no file of robomimic or robosuite: {error!r}") from error


def _as_env_args(told: Mapping[str, Any], info: Any) -> dict[str, Any]:
    return {
        "env_name": told.get("env"),
        "env_version": told.get("repository_version", ""),
        "env_kwargs": info,
    }


def _array(array: h5py.Dataset) -> dict[str, Any]:
    return {"shape": list(array.shape[1:]) or [1], "dtype": array.dtype.name}


def _whole(args: Mapping[str, Any], obs: Mapping[str, Any], rate_hz: float | None) -> dict[str, Any]:
    kwargs = args.get("env_kwargs")
    told = kwargs.get("control_freq") if isinstance(kwargs, Mapping) else None
    return {
        "env_name": args.get("env_name"),
        "env_version": str(args.get("env_version") or ""),
        "env_kwargs": kwargs,
        "rate_hz": round(float(told or rate_hz or 20.0), 6),
        "obs": dict(obs),
    }


def installed() -> Any:
    """The package robosuite without its greetings, and without its choice of how to draw."""
    before, level = os.environ.get("MUJOCO_GL"), logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            package = import_extra("robosuite", "robosuite")
    finally:
        logging.disable(level)
        os.environ.pop("MUJOCO_GL", None)
        if before is not None:
            os.environ["MUJOCO_GL"] = before
    logging.getLogger("robosuite_logs").setLevel(logging.ERROR)
    return package


def version_differences(env_args: Mapping[str, Any], version: str) -> tuple[str, ...]:
    """What is not as recorded because robosuite and MuJoCo went on."""
    told = env_args["env_version"]
    if told == version:
        return ()
    acts = "; controllers and grippers act as those of 1.4 did" if is_old(env_args) else ""
    if version_of(told) < EXACT or (is_old(env_args) and not told):
        acts += f", and recordings from before {EXACT[0]}.{EXACT[1]} do not play again exactly"
    return (
        f"{both_versions(env_args, version)} and MuJoCo {mujoco.__version__}: contacts "
        f"are computed, and starts and object sizes drawn, as these do{acts}",
    )


def both_versions(env_args: Mapping[str, Any], version: str) -> str:
    """What it was recorded with, and the installed `version` with which it is played."""
    told = env_args["env_version"] or f"of an unknown version{' before 1.5' if is_old(env_args) else ''}"
    return f"recorded with robosuite {told}, played with {version}"


def version_of(text: str) -> tuple[int, ...]:
    """(1, 4) for "1.4.1"; the newest there can be where nothing is said."""
    found = re.match(r"(\d+)\.(\d+)", text)
    return (int(found[1]), int(found[2])) if found else NEWEST


def is_old(env_args: Mapping[str, Any]) -> bool:
    """Whether it was recorded with robosuite 1.4 or older.

    Where no version is said (robomimic's sets of 2021) the controller tells, which 1.5 made of body parts.
    """
    if told := env_args["env_version"]:
        return version_of(told) < COMPOSITE
    return not any("body_parts" in one for one in _controllers(env_args))


def suite_settings(env_args: Mapping[str, Any], accepted: set[str], defaults: Any) -> dict[str, Any]:
    """The keyword arguments with which the installed robosuite makes the recorded environment.

    `accepted`: what the installed environment takes; `defaults(name)`: its settings of an arm controller.
    Raises EnvError naming the setting that the installed version cannot reproduce.
    """
    kwargs = {key: value for key, value in env_args["env_kwargs"].items() if key not in OURS}
    mounts = kwargs.pop("mount_types", "default")
    if mounts != "default":
        raise EnvError(f"env_kwargs.mount_types is {mounts!r}: robosuite 1.5 has other mounts")
    if not kwargs.get("use_indicator_object"):  # of 1.0 to 1.3; where it is off it does nothing
        kwargs.pop("use_indicator_object", None)
    if unknown := sorted(set(kwargs) - accepted):
        raise EnvError(
            f"env_kwargs.{unknown[0]} of the dataset is unknown to the installed robosuite"
            f"{nearest(unknown[0], accepted)}"
        )
    if not is_old(env_args):
        return kwargs
    told = kwargs.get("controller_configs") or defaults("OSC_POSE")
    kwargs["controller_configs"] = (
        [composite(part) for part in told] if isinstance(told, list) else composite(told)
    )
    return {**kwargs, "lite_physics": False}


def composite(part: Mapping[str, Any]) -> dict[str, Any]:
    """An arm's controller of robosuite 1.0 to 1.4 as a composite controller of 1.5, in the world's frame.

    Raises EnvError for what 1.5 does not have.
    """
    kind = part.get("type") if isinstance(part, Mapping) else None
    if kind not in PARTS:
        raise EnvError(
            f"controller {kind or part!r} of the dataset is none of the installed robosuite that act as "
            f"before, expected {', '.join(PARTS)}"
        )
    for limits in ("position_limits", "orientation_limits"):
        if part.get(limits) is not None:
            raise EnvError(f"controller setting {limits} of the dataset is not implemented by robosuite 1.5")
    names = {"damping": "damping_ratio", "damping_limits": "damping_ratio_limits"}
    arm = {names.get(key, key): value for key, value in part.items() if key != "control_delta"}
    arm["input_type"] = "delta" if part.get("control_delta", True) else "absolute"
    return {
        "type": "BASIC",
        "body_parts": {"right": {**arm, "input_ref_frame": "world", "gripper": {"type": "GRIP"}}},
    }


def rest_here(suite: Any) -> None:
    """Make where the arms are now their goal, and the posture to which they tend.

    For a state without its scene. In a recorded scene an arm tends to its posture without noise, as there.
    """
    for robot in suite.robots:
        for arm in robot.arms:
            robot.part_controllers[arm].update_initial_joints(robot._joint_positions)


def act_as_before(suite: Any) -> None:
    """Make a reset suite act as robosuite 1.0 to 1.4 did; it is lost with the next reset of the suite."""
    for robot in suite.robots:
        for arm, gripper in robot.gripper.items():
            _slow(gripper)
            _hold_orientation(robot.part_controllers[arm])
    newer = suite._pre_action

    def pre_action(action: np.ndarray, policy_step: bool = False) -> None:
        if not policy_step:
            _move_grippers(suite, action)
        newer(action, policy_step)

    suite._pre_action = pre_action


def _slow(gripper: Any) -> None:
    if hasattr(type(gripper), "speed"):
        kind = type(gripper)
        gripper.__class__ = type(kind.__name__, (kind,), {"speed": OLD_GRIPPER_SPEED})


def _hold_orientation(controller: Any) -> None:
    if not hasattr(controller, "compute_goal_ori"):
        return
    newer = controller.compute_goal_ori

    def compute_goal_ori(delta: np.ndarray, goal_update_mode: str | None = None) -> np.ndarray:
        if not controller.use_ori:
            return STRAIGHT_DOWN
        if all(math.isclose(value, 0.0) for value in delta):
            return np.array(controller.goal_ori)
        return newer(delta, goal_update_mode)

    controller.compute_goal_ori = compute_goal_ori


def _move_grippers(suite: Any, action: np.ndarray) -> None:
    start = 0
    for robot in suite.robots:
        control = robot.composite_controller
        for name, gripper in control.grippers.items():
            if name in control.part_controllers and hasattr(type(gripper), "speed"):
                low, high = (start + index for index in control._action_split_indexes[name])
                control.part_controllers[name].set_goal(gripper.format_action(action[low:high]))
        start += robot.action_dim
