"""What a tabletop task adds to the arm: bodies, where they start, what is observed, success, and a plan."""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from imitate.envs.tabletop.scene import Builder, Scene
from imitate.types import ArraySpec


@dataclass(frozen=True)
class Waypoint:
    """Where an expert wants the gripper next: grip point (3,) m, yaw rad, opening m.

    `is_transit` marks free travel, which styles may bend to a side. `speed` scales the usual pace.
    """

    position: np.ndarray
    yaw: float
    opening: float
    is_transit: bool = False
    speed: float = 1.0


@dataclass(frozen=True)
class Draws:
    """Where an episode starts: points of boxes, which are wider by the share `widened` about their middle.

    A box that is wider gives the same point, further from the middle.
    """

    rng: np.random.Generator
    widened: float = 0.0

    def within(self, low: tuple[float, ...], high: tuple[float, ...]) -> np.ndarray:
        """A point drawn uniformly from a box."""
        point = self.rng.uniform(low, high)
        return point + self.widened * (point - np.add(low, high) / 2) if self.widened else point


class Task(ABC):
    """One task. It keeps nothing between calls: all of an episode is in the scene."""

    success_definition: ClassVar[str]
    obs_specs: ClassVar[Mapping[str, ArraySpec]]

    @abstractmethod
    def add_bodies(self, builder: Builder) -> None:
        """Add the task's bodies to the model."""

    @abstractmethod
    def begin(self, scene: Scene, draws: Draws) -> None:
        """Draw the start of an episode: place the bodies."""

    @abstractmethod
    def observe(self, scene: Scene) -> dict[str, np.ndarray]:
        """The observations `obs_specs`, beside those of the arm."""

    @abstractmethod
    def is_solved(self, scene: Scene) -> bool:
        """Whether the state of this moment is a success."""

    @abstractmethod
    def plan(self, scene: Scene) -> Waypoint:
        """The expert's next waypoint, from the state of this moment alone."""


def position_spec(prefix: str, axes: str = "xyz", reach_m: float = 2.0, yaw: bool = False) -> ArraySpec:
    """The spec of a position or displacement along `axes` in m, with a yaw in rad at the end if asked."""
    count = len(axes)
    turn = ("yaw",) if yaw else ()
    return ArraySpec(
        shape=(count + len(turn),),
        names=tuple(f"{prefix}_{axis}" for axis in (*axes, *turn)),
        units=("m",) * count + ("rad",) * len(turn),
        low=(-reach_m,) * count + (-np.pi,) * len(turn),
        high=(reach_m,) * count + (np.pi,) * len(turn),
        circular=(count,) if yaw else (),
    )


def above(position: np.ndarray, height_m: float) -> np.ndarray:
    """The point `height_m` over `position` (3,)."""
    return position + np.array([0.0, 0.0, height_m])


def aside(way: np.ndarray) -> float:
    """The horizontal length of a displacement, m."""
    return float(np.hypot(way[0], way[1]))
