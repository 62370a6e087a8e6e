"""The contract of a robot: it is read without waiting, and takes commands without keeping them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, Protocol

import numpy as np

from imitate.deploy.command import Command
from imitate.deploy.description import StopSource, Target
from imitate.deploy.safety.limits import Limits
from imitate.spec import DataSpec


@dataclass(frozen=True)
class Reading:
    """The newest value of one stream.

    arrived_s: local monotonic time in s at which it came; of parts that came in several messages the oldest.
    stamp_s: the robot's own time in s, None where it gave none. An invalid value (null, not a number) is a
    reading with `valid` false: it counts as an observation that must not be acted on.
    """

    value: np.ndarray
    arrived_s: float
    stamp_s: float | None = None
    valid: bool = True


@dataclass(frozen=True)
class Snapshot:
    """All that a robot knows of itself at one moment; what never came is absent.

    observations: what the policy sees, by the names of its DataSpec. measured: by group of commands, the
    quantity that the group moves: joint positions (D,) in rad or m for joint_position, joint_velocity and
    gripper; the tool's pose (7,) x, y, z, qx, qy, qz, qw for twist and pose. stop: whether an emergency stop
    is pressed. takeover: by group, what a person commands in place of the policy, in the units of its kind.
    """

    observations: Mapping[str, Reading] = field(default_factory=dict)
    measured: Mapping[str, Reading] = field(default_factory=dict)
    stop: Reading | None = None
    takeover: Mapping[str, Reading] = field(default_factory=dict)


@dataclass(frozen=True)
class Finding:
    """One line of what `imitate robot check` found; an error means that the policy must not run."""

    level: Literal["ok", "warning", "error"]
    text: str


class Robot(Protocol):
    """An arm with its sensors, real or simulated.

    Values are in the units of `spec` and of imitate.deploy.command.Kind. Methods are called from several
    threads at once. Whatever a robot waits for, it waits for in threads of its own.
    """

    @property
    def spec(self) -> DataSpec:
        """What it senses and takes, in the words of a policy."""

    @property
    def targets(self) -> Mapping[str, Target]:
        """The groups that take commands, by name."""

    @property
    def max_age_s(self) -> Mapping[str, float]:
        """How old a reading may be, by "observations.NAME" and "measured.GROUP"."""

    @property
    def stop(self) -> StopSource | None:
        """The emergency stop it listens to."""

    def connect(self, timeout_s: float) -> None:
        """Reach the robot; raises RobotError with what is missing where that fails in `timeout_s`."""

    def prepare(self) -> None:
        """Make ready for commands, once a person has allowed them; RobotError where the robot refuses."""

    def is_connected(self) -> bool:
        """Whether a command sent now would leave this machine."""

    def read(self) -> Snapshot:
        """The newest of everything, at once; invalid after `connect` until something came."""

    def measure(self) -> Snapshot:
        """What `read` gives without observations, which may take their time (pictures)."""

    def send(self, command: Command) -> bool:
        """Pass `command` on at once, or drop it and return False; it is never kept for later."""

    def alarm(self) -> None:
        """A fault stops the session: pass it on to who stops the robot, without waiting for an answer."""

    def findings(self) -> Sequence[Finding]:
        """What is there, missing or mismatched, found without moving anything."""

    def close(self) -> None:
        """Let go of everything, threads included; safe to call twice."""


class RobotConfig(Protocol):
    """The frozen dataclass that a YAML of configs/robot names with `_target_`."""

    @property
    def limits(self) -> Limits:
        """What the safety gate keeps."""

    def build(self) -> Robot:
        """The robot, not yet connected; raises MissingExtraError where its transport is not installed."""
