"""Reach: bring the grip point to a mark in the air and stop there."""

from dataclasses import dataclass

import numpy as np

from imitate.envs.tabletop.arm import MAX_OPENING_M
from imitate.envs.tabletop.config import TabletopConfig
from imitate.envs.tabletop.env import TabletopEnv
from imitate.envs.tabletop.scene import Builder, Scene
from imitate.envs.tabletop.task import Draws, Task, Waypoint, position_spec

GOAL_LOW, GOAL_HIGH = (0.34, -0.25, 0.06), (0.60, 0.25, 0.34)
NEAREST_START_M = 0.10
REACHED_RADIUS_M = 0.02
STOPPED_RAD_S = 0.3


@dataclass(frozen=True)
class ReachConfig(TabletopConfig):
    """Settings of tabletop/reach."""

    max_steps: int = 60

    def build(self) -> TabletopEnv:
        """Make the environment."""
        return TabletopEnv(self, Reach())


class Reach(Task):
    """The grip point has to come to a mark at least 10 cm away.

    | observation    | unit | meaning |
    |----------------|------|---------|
    | goal (3)       | m    | the mark |
    | ee_to_goal (3) | m    | mark minus grip point |
    """

    success_definition = "the grip point is within 2 cm of the mark and no joint turns faster than 0.3 rad/s"
    obs_specs = {"goal": position_spec("goal"), "ee_to_goal": position_spec("ee_to_goal")}  # noqa: RUF012

    def add_bodies(self, builder: Builder) -> None:
        """The mark, which nothing can touch."""
        builder.add_sphere(builder.add_placed_body("mark"), "mark", REACHED_RADIUS_M)

    def begin(self, scene: Scene, draws: Draws) -> None:
        """Draw the mark, away from the gripper."""
        scene.forward()
        goal = draws.within(GOAL_LOW, GOAL_HIGH)
        while np.linalg.norm(goal - scene.arm.position) < NEAREST_START_M:
            goal = draws.within(GOAL_LOW, GOAL_HIGH)
        scene.place("mark", goal)

    def observe(self, scene: Scene) -> dict[str, np.ndarray]:
        """The mark, and the way to it."""
        goal = scene.position("mark")
        return {"goal": goal, "ee_to_goal": goal - scene.arm.position}

    def is_solved(self, scene: Scene) -> bool:
        """At the mark, at rest."""
        away = np.linalg.norm(scene.position("mark") - scene.arm.position)
        return bool(away < REACHED_RADIUS_M) and scene.arm.joint_speed < STOPPED_RAD_S

    def plan(self, scene: Scene) -> Waypoint:
        """Straight to the mark."""
        return Waypoint(scene.position("mark"), 0.0, MAX_OPENING_M, is_transit=True)
