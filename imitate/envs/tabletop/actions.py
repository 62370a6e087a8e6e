"""Action modes: how a vector becomes servo targets, and how an expert's move becomes that vector."""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Literal

import numpy as np

from imitate.envs.tabletop.arm import JOINTS, MAX_OPENING_M, Arm
from imitate.types import ArraySpec

ActionModeName = Literal["ee_delta", "joint_position"]

MAX_SPEED_M_S = 0.5
MAX_TURN_RAD_S = 2.0
WORKSPACE_LOW_M = np.array([0.22, -0.42, 0.014])
"""The lowest grip height leaves 1 mm under the finger tips."""
WORKSPACE_HIGH_M = np.array([0.72, 0.42, 0.50])


@dataclass(frozen=True)
class Move:
    """What an expert wants of one control step: a displacement (3,) m, a turn rad, and an opening m."""

    delta: np.ndarray
    turn: float
    opening: float


class ActionMode(ABC):
    """One meaning of the action vector."""

    spec: ArraySpec

    @abstractmethod
    def targets(self, arm: Arm, action: np.ndarray) -> tuple[np.ndarray, float]:
        """Joint targets (6,) rad and gripper opening m for `action` (Da,)."""

    @abstractmethod
    def encode(self, arm: Arm, move: Move) -> np.ndarray:
        """The action (Da,) float32 that makes `move` from where the arm is now."""


class EeDelta(ActionMode):
    """Displacement of the grip point from where it is, turn about the vertical, and absolute opening.

    The servos lag by about 25 ms, so four fifths of a displacement are done when its control step ends.
    Measured from where the arm is, not from where it was sent, it winds nothing up against a contact.
    """

    def __init__(self, step_s: float) -> None:
        reach, turn = MAX_SPEED_M_S * step_s, MAX_TURN_RAD_S * step_s
        self.spec = ArraySpec(
            shape=(5,),
            names=("ee_dx", "ee_dy", "ee_dz", "ee_dyaw", "gripper"),
            units=("m", "m", "m", "rad", "m"),
            low=(-reach, -reach, -reach, -turn, 0.0),
            high=(reach, reach, reach, turn, MAX_OPENING_M),
        )

    def targets(self, arm: Arm, action: np.ndarray) -> tuple[np.ndarray, float]:
        """Inverse kinematics of the displaced pose, kept inside the workspace."""
        position = np.clip(arm.position + action[:3], WORKSPACE_LOW_M, WORKSPACE_HIGH_M)
        return arm.solve(position, arm.yaw + float(action[3])), float(action[4])

    def encode(self, arm: Arm, move: Move) -> np.ndarray:
        """The move itself."""
        return np.array([*move.delta, move.turn, move.opening], np.float32)


class JointPosition(ActionMode):
    """Absolute joint angles and absolute opening."""

    def __init__(self, arm: Arm) -> None:
        self.spec = ArraySpec(
            shape=(7,),
            names=(*JOINTS, "gripper"),
            units=("rad",) * 6 + ("m",),
            low=(*map(float, arm.low), 0.0),
            high=(*map(float, arm.high), MAX_OPENING_M),
        )

    def targets(self, arm: Arm, action: np.ndarray) -> tuple[np.ndarray, float]:
        """The action itself."""
        return action[:6], float(action[6])

    def encode(self, arm: Arm, move: Move) -> np.ndarray:
        """Inverse kinematics of the displaced pose."""
        position = np.clip(arm.position + move.delta, WORKSPACE_LOW_M, WORKSPACE_HIGH_M)
        return np.array([*arm.solve(position, arm.yaw + move.turn), move.opening], np.float32)


def action_mode(name: ActionModeName, arm: Arm, step_s: float) -> ActionMode:
    """The action mode called `name`, for a control step of `step_s` seconds."""
    return EeDelta(step_s) if name == "ee_delta" else JointPosition(arm)
