"""What a robot may do, as its user writes it down: limits by joint, tool and gripper, all in SI units.

A URDF knows positions and velocities of joints. Accelerations are the user's to give, and whatever the user
gives beside a URDF may only be tighter.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol

from imitate.deploy.command import Kind
from imitate.deploy.safety.bounds import AxisBounds, Bounds, GroupBounds
from imitate.deploy.safety.by_kind import (
    GripperLimits,
    JointLimits,
    JumpLimits,
    ToolLimits,
    require_above_zero,
)
from imitate.deploy.safety.urdf import joint_limits_from_urdf
from imitate.errors import ConfigError, nearest

__all__ = ["GripperLimits", "JointLimits", "JumpLimits", "Limits", "TargetLike", "ToolLimits", "merge"]


class TargetLike(Protocol):
    """The part of imitate.deploy.description.Target that limits are found for."""

    @property
    def kind(self) -> Kind:
        """What the values of its commands are."""

    @property
    def names(self) -> tuple[str, ...]:
        """Joints, grippers or axes of a twist, in the order of the values."""


@dataclass(frozen=True)
class Limits:
    """The limits of a robot's YAML.

    joints: by the robot's joint names. acceleration, jerk: of every joint that names none of its own. tools,
    grippers: by the names of the groups they belong to. margin: how far soft position limits lie inside of
    the limits, in rad (m).
    """

    joints: Mapping[str, JointLimits] = field(default_factory=dict)
    acceleration: float | None = None
    jerk: float | None = None
    tools: Mapping[str, ToolLimits] = field(default_factory=dict)
    grippers: Mapping[str, GripperLimits] = field(default_factory=dict)
    margin: float = 0.02
    jump: JumpLimits = field(default_factory=JumpLimits)

    def __post_init__(self) -> None:
        require_above_zero("limits.acceleration", self.acceleration)
        require_above_zero("limits.jerk", self.jerk)
        if not (math.isfinite(self.margin) and self.margin >= 0):
            raise ConfigError(f"limits.margin is {self.margin}, expected 0 or more, in rad")

    def for_targets(
        self, targets: Mapping[str, TargetLike], period_s: float, urdf: str | None = None
    ) -> Bounds:
        """What the gate needs for `targets`, streamed every `period_s` seconds.

        urdf: the XML text of the robot's description. Raises ConfigError, in one line, where a joint, tool or
        gripper that is commanded has no limits, or where a limit is wider than the URDF's.
        """
        require_above_zero("period_s of the commands", period_s)
        described = {} if urdf is None else joint_limits_from_urdf(urdf)
        commanded = {name for t in targets.values() if t.kind.startswith("joint") for name in t.names}
        parts: tuple[tuple[str, Mapping[str, object], set[str]], ...] = (
            ("joints", self.joints, commanded | set(described)),
            ("tools", self.tools, set(targets)),
            ("grippers", self.grippers, set(targets)),
        )
        for part, given, names in parts:
            for name in given:
                if name not in names:
                    raise ConfigError(f"limits.{part}.{name} belongs to nothing{nearest(name, names)}")
        groups = {
            name: _group(name, target, self, described, period_s, urdf is not None)
            for name, target in targets.items()
        }
        return Bounds(groups, self.jump, period_s)


def _group(
    group: str,
    target: TargetLike,
    limits: Limits,
    described: Mapping[str, JointLimits],
    period_s: float,
    has_urdf: bool,
) -> GroupBounds:
    names = tuple(target.names)
    is_trajectory = getattr(target, "form", None) == "trajectory"
    if target.kind in ("joint_position", "joint_velocity"):
        axes = tuple(_axis(name, limits, described, period_s, has_urdf) for name in names)
        return GroupBounds(target.kind, names, len(names), axes, is_trajectory=is_trajectory)
    if target.kind == "gripper":
        gripper = _gripper(group, target, limits)
        return GroupBounds("gripper", names, len(names), gripper=gripper, is_trajectory=is_trajectory)
    if group not in limits.tools:
        raise ConfigError(f"limits.tools.{group} is missing: a commanded tool needs its workspace and speeds")
    size = 7 if target.kind == "pose" else len(names)
    return GroupBounds(target.kind, names, size, tool=limits.tools[group])


def _axis(
    name: str, limits: Limits, described: Mapping[str, JointLimits], period_s: float, has_urdf: bool
) -> AxisBounds:
    user = limits.joints.get(name)
    if user is None and name not in described:
        where = "the URDF has no such joint, and limits.joints names it neither" if has_urdf else "no URDF"
        hint = nearest(name, {*described, *limits.joints})
        raise ConfigError(f"limits.joints.{name} is missing ({where}): commanded joints need limits{hint}")
    merged = merge(name, user or JointLimits(), described.get(name))
    acceleration = merged.acceleration or limits.acceleration
    jerk = merged.jerk or limits.jerk or math.inf
    missing = [
        key for key, value in (("velocity", merged.velocity), ("acceleration", acceleration)) if value is None
    ]
    if not merged.continuous:
        missing += [key for key in ("lower", "upper") if getattr(merged, key) is None]
    if missing or merged.velocity is None or acceleration is None:
        raise ConfigError(
            f"limits.joints.{name}.{missing[0]} is missing: neither the URDF nor limits give it"
            + (", and a URDF never gives accelerations" if missing[0] == "acceleration" else "")
        )
    lower = -math.inf if merged.lower is None else merged.lower
    upper = math.inf if merged.upper is None else merged.upper
    margin = limits.margin if merged.margin is None else merged.margin
    if not lower + margin < upper - margin:
        raise ConfigError(
            f"limits.joints.{name}: nothing is left of {lower:g} to {upper:g} inside a margin of {margin:g}"
        )
    return AxisBounds.make(lower, upper, merged.velocity, acceleration, jerk, period_s, margin)


def merge(name: str, user: JointLimits, described: JointLimits | None) -> JointLimits:
    """The user's limits where given, else the URDF's; raises ConfigError where the user's are wider."""
    if described is None:
        return user
    if user.continuous and not described.continuous:
        raise ConfigError(f"limits.joints.{name}.continuous is true, but the URDF bounds this joint")
    values: dict[str, float | None] = {}
    for key, side in (("lower", -1), ("upper", 1), ("velocity", 1), ("effort", 1)):
        mine, theirs = getattr(user, key), getattr(described, key)
        if mine is not None and theirs is not None and side * mine > side * theirs:
            raise ConfigError(
                f"limits.joints.{name}.{key} is {mine:g}, wider than the URDF's {theirs:g}: "
                "it may only be tighter"
            )
        values[key] = theirs if mine is None else mine
    if values["lower"] is not None and values["upper"] is not None and values["lower"] >= values["upper"]:
        raise ConfigError(
            f"limits.joints.{name}: lower {values['lower']:g} and upper {values['upper']:g} leave nothing"
        )
    continuous = described.continuous and values["lower"] is None and values["upper"] is None
    return JointLimits(
        **values,
        acceleration=user.acceleration,
        jerk=user.jerk,
        margin=user.margin,
        continuous=continuous,
    )


def _gripper(group: str, target: TargetLike, limits: Limits) -> GripperLimits:
    if group not in limits.grippers:
        raise ConfigError(f"limits.grippers.{group} is missing: every commanded gripper needs its openings")
    gripper, effort = limits.grippers[group], getattr(target, "max_effort", None)
    if effort is not None and (gripper.max_effort is None or effort > gripper.max_effort):
        raise ConfigError(
            f"targets.{group}.max_effort is {effort:g} N, but limits.grippers.{group}.max_effort is "
            f"{gripper.max_effort}: expected at most that"
        )
    return gripper
