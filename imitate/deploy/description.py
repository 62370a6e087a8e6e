"""What a robot's YAML says: where observations come from, where commands go, and how old either may be.

Names: a source is where values come from, a target is where a group of commands goes.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from imitate.deploy.command import Kind
from imitate.errors import ConfigError
from imitate.spec import ArraySpec

AXES = ("x", "y", "z", "roll", "pitch", "yaw")

Form = Literal["values", "trajectory", "twist", "joint_jog", "pose", "gripper_command"]
"""The message that carries a command:

values           std_msgs/Float64MultiArray, one per tick
trajectory       trajectory_msgs/JointTrajectory, one per chunk
twist            geometry_msgs/TwistStamped, one per tick
joint_jog        control_msgs/JointJog, one per tick
pose             geometry_msgs/PoseStamped, one per tick
gripper_command  control_msgs/GripperCommand as an action's goal, sent on change
"""

FORMS: Mapping[str, tuple[Form, ...]] = {
    "joint_position": ("values", "trajectory"),
    "joint_velocity": ("values", "joint_jog"),
    "twist": ("twist",),
    "pose": ("pose",),
    "gripper": ("values", "trajectory", "gripper_command"),
}


SERVO_COMMAND_TYPES: Mapping[Form, int] = {"joint_jog": 0, "twist": 1, "pose": 2}
"""The numbers of moveit_msgs/srv/ServoCommandType."""


@dataclass(frozen=True)
class JointSource:
    """Joints of sensor_msgs/JointState, found by name, in the order of `joints`.

    names: what the policy calls them, by default the same. scale: from the robot's unit to `unit`.
    """

    topic: str
    joints: tuple[str, ...]
    field: Literal["position", "velocity", "effort"] = "position"
    names: tuple[str, ...] = ()
    unit: str = "rad"
    scale: float = 1.0
    max_age_s: float = 0.1

    def __post_init__(self) -> None:
        _require_age(self.topic, self.max_age_s)
        if not self.joints or len(set(self.joints)) != len(self.joints):
            raise ConfigError(
                f"robot: joints of {self.topic} are {list(self.joints)}, expected distinct names"
            )
        if self.names and len(self.names) != len(self.joints):
            raise ConfigError(
                f"robot: {self.topic} has {len(self.joints)} joints, but names {list(self.names)}"
            )

    def spec(self) -> ArraySpec:
        """One element per joint."""
        count = len(self.joints)
        return ArraySpec((count,), names=self.names or self.joints, units=(self.unit,) * count)


@dataclass(frozen=True)
class PoseSource:
    """A part of geometry_msgs/PoseStamped: position (3,) m, yaw (1,) rad, or pose (7,) with x, y, z, w."""

    topic: str
    part: Literal["position", "yaw", "pose"] = "pose"
    names: tuple[str, ...] = ()
    max_age_s: float = 0.1

    def __post_init__(self) -> None:
        _require_age(self.topic, self.max_age_s)

    def spec(self) -> ArraySpec:
        """Metres, radians, or both with the unitless quaternion."""
        units = {"position": ("m",) * 3, "yaw": ("rad",), "pose": ("m",) * 3 + ("",) * 4}[self.part]
        circular = (0,) if self.part == "yaw" else ()
        return ArraySpec((len(units),), names=self.names, units=units, circular=circular)


@dataclass(frozen=True)
class VectorSource:
    """The numbers of std_msgs/Float64MultiArray, as many as `names`."""

    topic: str
    names: tuple[str, ...]
    units: tuple[str, ...] = ()
    max_age_s: float = 0.1

    def __post_init__(self) -> None:
        _require_age(self.topic, self.max_age_s)

    def spec(self) -> ArraySpec:
        """One element per name."""
        return ArraySpec((len(self.names),), names=self.names, units=self.units)


@dataclass(frozen=True)
class ImageSource:
    """A camera: CompressedImage (its codec is told from the bytes) or Image, made (height, width, 3) RGB."""

    topic: str
    size: tuple[int, int]
    message: Literal["CompressedImage", "Image"] = "CompressedImage"
    max_age_s: float = 0.2

    def __post_init__(self) -> None:
        _require_age(self.topic, self.max_age_s)
        if min(self.size) < 1:
            raise ConfigError(f"robot: size of {self.topic} is {self.size}, expected (height, width) in px")

    def spec(self) -> ArraySpec:
        """(H, W, 3) uint8."""
        return ArraySpec((*self.size, 3), "uint8")


Source = JointSource | PoseSource | VectorSource | ImageSource


@dataclass(frozen=True)
class Target:
    """Where one group of commands goes.

    kind: see imitate.deploy.command.Kind. action: the elements of the policy's action that feed it, in the
    order of `names`. names: the robot's joints, or for a twist some of AXES, or for a pose nothing. form: the
    message. meaning: of the action's elements: "absolute" values of the kind, a "delta" per control step
    (from where the robot is; of a twist: how far to go in a control step), or a "rate" per second. scale:
    from the policy's unit to the robot's. frame: of a twist or pose. max_effort: of a gripper, N. servo: the
    service of MoveIt Servo that switches it to this form, "" where nothing is to be switched.
    """

    kind: Kind
    topic: str
    action: tuple[str, ...]
    form: Form
    names: tuple[str, ...] = ()
    meaning: Literal["absolute", "delta", "rate"] = "absolute"
    scale: float = 1.0
    frame: str = ""
    max_effort: float | None = None
    servo: str = ""

    def __post_init__(self) -> None:
        if self.servo and self.form not in SERVO_COMMAND_TYPES:
            raise ConfigError(
                f"robot: {self.topic} has form {self.form!r} and names servo={self.servo!r}, "
                f"which takes {', '.join(SERVO_COMMAND_TYPES)}"
            )
        if self.form not in FORMS[self.kind]:
            raise ConfigError(
                f"robot: {self.topic} has form {self.form!r}, expected for {self.kind}: "
                f"{', '.join(FORMS[self.kind])}"
            )
        size = 7 if self.kind == "pose" else len(self.names)
        if len(self.action) != size:
            raise ConfigError(
                f"robot: {self.topic} takes {size} values, but action names {list(self.action)}"
            )
        if self.kind == "twist" and not set(self.names) <= set(AXES):
            raise ConfigError(f"robot: names of {self.topic} are {list(self.names)}, expected of {AXES}")


@dataclass(frozen=True)
class StopSource:
    """An emergency stop: std_msgs/Bool, true means stop; silence counts as stop where it is `required`.

    service: a std_srvs/Trigger of the robot that is called once when a fault stops the session.
    """

    topic: str
    required: bool = False
    max_age_s: float = 1.0
    service: str = ""


@dataclass(frozen=True)
class RobotDescription:
    """The words of a robot: observations by the policy's names, measured state and targets by group.

    takeover: by group, the topic on which a person commands in place of the policy, in the message of the
    group's streamed form (TwistStamped, JointJog, Float64MultiArray). state_rate_hz: how often the robot
    publishes, for `imitate robot check`; None where it does not matter.
    """

    observations: Mapping[str, Source]
    measured: Mapping[str, Source]
    targets: Mapping[str, Target]
    stop: StopSource | None = None
    takeover: Mapping[str, str] = field(default_factory=dict)
    state_rate_hz: float | None = None

    def __post_init__(self) -> None:
        for what in ("measured", "takeover"):
            for name in getattr(self, what):
                if name not in self.targets:
                    raise ConfigError(
                        f"robot.{what} names {name!r}, which is no target: {sorted(self.targets)}"
                    )
        for name in self.targets:
            if name not in self.measured:
                raise ConfigError(
                    f"robot.measured.{name} is missing: every target needs the state that it moves"
                )

    def max_age_s(self) -> dict[str, float]:
        """The largest age of every source, by "observations.NAME" and "measured.GROUP"."""
        return {
            **{f"observations.{name}": source.max_age_s for name, source in self.observations.items()},
            **{f"measured.{group}": source.max_age_s for group, source in self.measured.items()},
        }


def _require_age(topic: str, max_age_s: float) -> None:
    if not max_age_s > 0:
        raise ConfigError(f"robot: max_age_s of {topic} is {max_age_s}, expected a time in s above 0")
