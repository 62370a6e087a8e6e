"""Limits of one joint, one tool, one gripper and of jumps, as a robot's YAML gives them: SI units."""

import math
from dataclasses import dataclass, fields

from imitate.errors import ConfigError


@dataclass(frozen=True)
class JointLimits:
    """Of one joint: rad, rad/s, rad/s², rad/s³ (m for sliding joints) and Nm (N).

    None leaves a value to the URDF; a jerk of None is unlimited. margin: how far the soft limits lie inside
    of lower and upper; None for that of Limits. continuous: it turns without end and has no lower and upper.
    effort is compared with the URDF and kept for reports: no kind of command carries one.
    """

    lower: float | None = None
    upper: float | None = None
    velocity: float | None = None
    acceleration: float | None = None
    jerk: float | None = None
    effort: float | None = None
    margin: float | None = None
    continuous: bool = False

    def __post_init__(self) -> None:
        for name in ("velocity", "acceleration", "jerk", "effort"):
            require_above_zero(f"limits.joints.*.{name}", getattr(self, name))
        _require_finite("limits.joints.*", self)
        if self.margin is not None and self.margin < 0:
            raise ConfigError(f"limits.joints.*.margin is {self.margin}, expected 0 or more")
        if self.continuous and (self.lower is not None or self.upper is not None):
            raise ConfigError("limits.joints.*: a continuous joint has no lower and upper: remove them")
        if self.lower is not None and self.upper is not None and self.lower >= self.upper:
            raise ConfigError(
                f"limits.joints.*: lower is {self.lower} and upper is {self.upper}, expected lower < upper"
            )


@dataclass(frozen=True)
class ToolLimits:
    """Of a tool that is moved by twists or poses.

    low, high: the workspace box (3,) in m, in the frame of the group's measured pose. speed m/s and
    acceleration m/s² bound the length of the vectors, turn rad/s and turn_acceleration rad/s² those of
    rotation. step_m, step_rad: how far one pose may lie from the one sent before.
    """

    low: tuple[float, float, float]
    high: tuple[float, float, float]
    speed: float
    acceleration: float
    turn: float
    turn_acceleration: float
    step_m: float = 0.05
    step_rad: float = 0.2

    def __post_init__(self) -> None:
        for name in ("speed", "acceleration", "turn", "turn_acceleration", "step_m", "step_rad"):
            require_above_zero(f"limits.tools.*.{name}", getattr(self, name))
        for axis, low, high in zip("xyz", self.low, self.high, strict=True):
            if not (math.isfinite(low) and math.isfinite(high) and low < high):
                raise ConfigError(
                    f"limits.tools.*: the workspace in {axis} is {low} to {high}, expected low < high in m"
                )


@dataclass(frozen=True)
class GripperLimits:
    """Of one gripper: openings low and high in m, speed of the opening in m/s, max_effort in N."""

    low: float
    high: float
    speed: float
    max_effort: float | None = None

    def __post_init__(self) -> None:
        require_above_zero("limits.grippers.*.speed", self.speed)
        require_above_zero("limits.grippers.*.max_effort", self.max_effort)
        if not (math.isfinite(self.low) and math.isfinite(self.high) and self.low < self.high):
            raise ConfigError(
                f"limits.grippers.*: low is {self.low} and high is {self.high}, expected low < high in m"
            )


@dataclass(frozen=True)
class JumpLimits:
    """How far what is sent may lie from the measured state: joint rad (m), tool_m m, tool_rad rad.

    A command further away is not shortened but stops the robot: it does not follow.
    """

    joint: float = 0.3
    tool_m: float = 0.1
    tool_rad: float = 0.5

    def __post_init__(self) -> None:
        for item in fields(self):
            require_above_zero(f"limits.jump.{item.name}", getattr(self, item.name))


def require_above_zero(key: str, value: float | None) -> None:
    """Raise ConfigError unless `value` is None or a finite number above 0."""
    if value is not None and not (math.isfinite(value) and value > 0):
        raise ConfigError(f"{key} is {value}, expected a finite number above 0")


def _require_finite(key: str, limits: JointLimits) -> None:
    for name in ("lower", "upper", "margin"):
        value = getattr(limits, name)
        if value is not None and not math.isfinite(value):
            raise ConfigError(f"{key}.{name} is {value}, expected a finite number")
