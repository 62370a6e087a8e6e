"""Names, units and order of what a robosuite environment observes and does, now and in older versions."""

import re
import xml.etree.ElementTree as ET
from collections import OrderedDict
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from imitate.envs.offscreen import mujoco
from imitate.envs.robosuite_recorded import STATES
from imitate.errors import EnvError
from imitate.types import ArraySpec

OBJECT = "object"
"""robomimic's name of all that is observed of the objects."""
IMAGE_SUFFIX = "_image"
Elements = list[tuple[str, str]]

# {end of an observation's name: unit of its elements}, the longest first.
UNITS = (
    ("joint_pos_cos", "1"),
    ("joint_pos_sin", "1"),
    ("joint_pos", "rad"),
    ("joint_vel", "rad/s"),
    ("joint_acc", "rad/s^2"),
    ("quat_site", "1"),
    ("quat", "1"),
    ("pos", "m"),
)
# Units of an arm's action after the controller has scaled it.
OUTPUT_UNITS = {
    "OSC_POSE": ("m",) * 3 + ("rad",) * 3,
    "OSC_POSITION": ("m",) * 3,
    "JOINT_POSITION": ("rad",),
    "JOINT_VELOCITY": ("rad/s",),
    "JOINT_TORQUE": ("N m",),
}
# {robosuite's environment: what robosuite 1.0 to 1.4 put at the end of `object`}; others need no such entry.
OLD_LAST = {
    "TwoArmTransport": ("payload_in_target_bin", "trash_in_trash_bin"),
    "Stack": ("cubeA_to_cubeB",),
    "Door": ("hinge_qpos", "handle_qpos"),
}
OLD_SIGN = {"Lift": "gripper_to_cube_pos"}
"""What 1.0 to 1.4 measured the other way round: the hand minus the cube."""
COMPARED = (
    "Lift", "Stack", "Door", "ToolHang", "TwoArmTransport", "NutAssembly", "NutAssemblySingle",
    "NutAssemblySquare", "NutAssemblyRound", "PickPlace", "PickPlaceSingle", "PickPlaceMilk",
    "PickPlaceBread", "PickPlaceCereal", "PickPlaceCan",
)  # fmt: skip
"""Environments whose `object` was compared between 1.4 and 1.5."""
POSE = ("dx", "dy", "dz", "rx", "ry", "rz")
_JOINTS = {
    mujoco.mjtJoint.mjJNT_SLIDE: ((("", "m"),), (("", "m/s"),)),
    mujoco.mjtJoint.mjJNT_HINGE: ((("", "rad"),), (("", "rad/s"),)),
    mujoco.mjtJoint.mjJNT_BALL: (
        tuple((f"_q{axis}", "1") for axis in "wxyz"),
        tuple((f"_r{axis}", "rad/s") for axis in "xyz"),
    ),
    mujoco.mjtJoint.mjJNT_FREE: (
        (*((f"_{axis}", "m") for axis in "xyz"), *((f"_q{axis}", "1") for axis in "wxyz")),
        (*((f"_v{axis}", "m/s") for axis in "xyz"), *((f"_r{axis}", "rad/s") for axis in "xyz")),
    ),
}


def array_spec(
    suite: Any, key: str, shape: tuple[int, ...] | None = None, dtype: str = "float32"
) -> ArraySpec | None:
    """What `key` holds in this suite; None where it is not observed. `shape` is that of an image.

    Names and units are left open where robosuite does not say what an element means.
    """
    if key.endswith(IMAGE_SUFFIX):
        there = key.removesuffix(IMAGE_SUFFIX) in suite.sim.model.camera_names
        return ArraySpec(shape, "uint8") if there and shape and len(shape) == 3 else None
    if key == STATES:
        return _spec(_state_elements(suite.sim.model._model), dtype)
    seen = suite._get_observations(force_update=True)
    if key == OBJECT:
        parts = [
            name
            for name, made in suite._observables.items()
            if made.modality == OBJECT and made.is_enabled() and made.is_active()
        ]
        found = [[(f"{name}_{n}", u) for n, u in _elements(suite, name, seen[name])] for name in parts]
        return _spec([element for part in found for element in part], dtype) if parts else None
    return _spec(_elements(suite, key, seen[key]), dtype) if key in seen else None


def observe_in_old_order(suite: Any, name: str) -> None:
    """Put the parts of `object` in the order of robosuite 1.0 to 1.4: a pose before what is computed from it.

    robosuite 1.5 computes where an object is in the hand's frame before it looks where the object is, so that
    these elements are those of one step before; in the old order they are of now.
    """
    made, order = suite._observables, []
    for key in made:
        found = re.match(r"(.+)_to_.*eef_(pos|quat)$", key)
        poses = [f"{found[1]}_pos", f"{found[1]}_quat"] if found else []
        order += [pose for pose in poses if pose in made and pose not in order]
        order += [key] if key not in order else []
    last = [key for key in OLD_LAST.get(name, ()) if key in made]
    suite._observables = OrderedDict(
        (key, made[key]) for key in [*(k for k in order if k not in last), *last]
    )


def observe_with_old_signs(suite: Any, name: str) -> None:
    """Measure as robosuite 1.0 to 1.4 did where 1.5 measures the other way round."""
    if key := OLD_SIGN.get(name):
        sensor = suite._observables[key]._sensor

        def turned(cache: Any) -> Any:
            return -sensor(cache)

        # As robosuite's own decorator of sensors does.
        turned.__dict__["__modality__"] = sensor.__modality__
        suite.modify_observable(key, "sensor", turned)


def _spec(elements: Elements, dtype: str) -> ArraySpec:
    units = tuple(unit for _, unit in elements)
    names = tuple(name for name, _ in elements)
    return ArraySpec((len(elements),), dtype, names, units if all(units) else ())


def _elements(suite: Any, name: str, value: Any) -> Elements:
    fingers = _finger_unit(suite, name)
    unit = fingers or next((unit for end, unit in UNITS if name.endswith(end)), "")
    size = np.size(value)
    is_place = (
        name.endswith(("pos", "quat", "quat_site")) and not name.endswith("joint_pos") and size in (3, 4)
    )
    axes: Iterable[str] = "xyzw"[:size] if is_place and not fingers else map(str, range(size))
    return [(axis, unit) for axis in axes]


def _finger_unit(suite: Any, name: str) -> str:
    """The unit of gripper_qpos and gripper_qvel: metres for sliding fingers, else radians."""
    ends = {"gripper_qpos": "", "gripper_qvel": "/s"}
    end = next((ends[known] for known in ends if name.endswith(known)), None)
    if end is None:
        return ""
    model = suite.sim.model
    joints = [joint for robot in suite.robots for hand in robot.gripper.values() for joint in hand.joints]
    kinds = {int(model.jnt_type[model.joint_name2id(joint)]) for joint in joints}
    return ("m" if kinds == {int(mujoco.mjtJoint.mjJNT_SLIDE)} else "rad") + end


def _state_elements(model: Any) -> Elements:
    positions: Elements = []
    velocities: Elements = []
    for index in range(model.njnt):
        name = model.joint(index).name
        for found, elements in zip(
            (positions, velocities), _JOINTS[mujoco.mjtJoint(int(model.jnt_type[index]))], strict=True
        ):
            found += [(f"{name}{end}", unit) for end, unit in elements]
    speeds = [(f"{name}_velocity" if unit.endswith("/s") else name, unit) for name, unit in velocities]
    return [("time", "s"), *positions, *speeds]


def action_spec(suite: Any) -> ArraySpec:
    """The action of all arms: each element in units of what 1 asks for, such as "0.05 m"."""
    elements: Elements = []
    bounded = True
    for number, robot in enumerate(suite.robots):
        prefix = f"robot{number}_" if len(suite.robots) > 1 else ""
        control = robot.composite_controller
        for part, (start, end) in control._action_split_indexes.items():
            made = control.part_controllers[part]
            if part in control.grippers:
                names = ["gripper"] if end - start == 1 else [f"gripper{n}" for n in range(end - start)]
                elements += [(f"{prefix}{name}", "1") for name in names]
                continue
            bounded &= getattr(made, "input_type", "delta") == "delta"
            elements += [(f"{prefix}{n}", u) for n, u in _arm_elements(made, end - start)]
    low, high = (tuple(map(float, limit)) for limit in suite.action_spec)
    named, units = zip(*elements, strict=True)
    return ArraySpec((len(elements),), "float32", named, units, *((low, high) if bounded else ()))


def _arm_elements(controller: Any, size: int) -> Elements:
    """An arm's elements; in a mode of variable stiffness gains come first, and have no unit given."""
    kind = f"OSC_{controller.name_suffix}" if hasattr(controller, "name_suffix") else ""
    units = OUTPUT_UNITS.get(kind) or OUTPUT_UNITS.get(_joint_kind(controller), ("1",))
    moved = len(units) if kind else size
    names = POSE[:moved] if kind else tuple(f"joint{n + 1}" for n in range(moved))
    if getattr(controller, "input_type", "delta") == "absolute":
        names, scales = tuple(name.removeprefix("d") for name in names), np.ones(moved)
    else:
        reach = np.broadcast_to(controller.output_max - controller.output_min, moved)
        scales = reach / np.broadcast_to(controller.input_max - controller.input_min, moved)
    units = units * (moved // len(units))
    told = [unit if scale == 1.0 else f"{scale:g} {unit}" for scale, unit in zip(scales, units, strict=True)]
    return [*((f"gain{n}", "1") for n in range(size - moved)), *zip(names, told, strict=True)]


def _joint_kind(controller: Any) -> str:
    names = {"JointPositionController": "JOINT_POSITION", "JointVelocityController": "JOINT_VELOCITY"}
    return names.get(type(controller).__name__, "JOINT_TORQUE")


def as_named_now(xml: str, suite: Any) -> str:
    """A recorded scene (MuJoCo XML) under the names that the installed robosuite looks for.

    Sites and geometries that only the installed version knows are added where they belong, without mass and
    touching nothing. Raises EnvError where the scene lacks a joint or actuator that the installed one moves.
    """
    xml = re.sub(r'"gripper(\d+)_(?!right_gripper_|left_gripper_)', r'"gripper\1_right_', xml)
    xml = re.sub(r'"mount(\d+)_', r'"fixed_mount\1_', xml).replace("/assets/mounts/", "/assets/bases/")
    root = ET.fromstring(xml)
    model = suite.sim.model
    joints = {joint.get("name") for kind in ("joint", "freejoint") for joint in root.iter(kind)}
    drives = {drive.get("name") for group in root.iter("actuator") for drive in group}
    _require(model.joint_names, joints, "joint")
    _require(model.actuator_names, drives, "actuator")
    _add_missing(root, model, "site", model.site_names, model.site_bodyid, {})
    inert = {"contype": "0", "conaffinity": "0", "mass": "0"}
    _add_missing(root, model, "geom", model.geom_names, model.geom_bodyid, inert)
    return ET.tostring(root, encoding="unicode")


def _add_missing(
    root: ET.Element, model: Any, kind: str, names: Any, bodies: np.ndarray, more: Mapping[str, str]
) -> None:
    places = {body.get("name"): body for body in root.iter("body")}
    there = {item.get("name") for item in root.iter(kind)}
    for index, name in enumerate(names):
        body = places.get(model.body_id2name(bodies[index]))
        if name and name not in there and body is not None:
            pose = {
                key: " ".join(map(str, getattr(model, f"{kind}_{key}")[index])) for key in ("pos", "quat")
            }
            ET.SubElement(body, kind, {"name": name, "size": "0.001", "rgba": "0 0 0 0", **pose, **more})


def _require(wanted: Any, there: set[str | None], kind: str) -> None:
    if missing := sorted(set(wanted) - there):
        raise EnvError(
            f"the recorded scene has no {kind} {missing[0]!r}, which the installed robosuite moves"
        )
