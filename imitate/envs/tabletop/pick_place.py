"""Pick and place: lift a cube onto a raised platform and let go."""

from dataclasses import dataclass

import numpy as np

from imitate.envs.tabletop.arm import MAX_OPENING_M
from imitate.envs.tabletop.config import TabletopConfig
from imitate.envs.tabletop.env import TabletopEnv
from imitate.envs.tabletop.grasp import grasp
from imitate.envs.tabletop.scene import Builder, Scene
from imitate.envs.tabletop.task import Draws, Task, Waypoint, above, aside, position_spec

CUBE_HALF_M = 0.02
CUBE_KG = 0.06
PLATFORM_HALF_M = (0.055, 0.055, 0.02)
CUBE_LOW, CUBE_HIGH = (0.38, -0.22, -0.5), (0.54, -0.05, 0.5)
"""Cube centre x, y in m and yaw in rad."""
GOAL_LOW, GOAL_HIGH = (0.40, 0.10), (0.54, 0.20)
"""Platform centre x, y in m: always clear of the cube and of the open gripper around it."""

PLACED_RADIUS_M = 0.03
REST_HEIGHT_M = 0.006
REST_SPEED_M_S = 0.05


@dataclass(frozen=True)
class PickPlaceConfig(TabletopConfig):
    """Settings of tabletop/pick_place."""

    def build(self) -> TabletopEnv:
        """Make the environment."""
        return TabletopEnv(self, PickPlace())


class PickPlace(Task):
    """A 4 cm cube of 60 g has to be carried onto a platform 4 cm high, 11 cm wide.

    | observation         | unit   | meaning |
    |---------------------|--------|---------|
    | object (4)          | m, rad | cube centre x, y, z and yaw |
    | goal (3)            | m      | where the cube's centre should come to rest |
    | ee_to_object (3)    | m      | cube centre minus grip point |
    | object_to_goal (3)  | m      | goal minus cube centre |
    """

    success_definition = (
        "the cube rests on the platform, its centre within 3 cm of the middle, and neither finger touches it"
    )
    obs_specs = {  # noqa: RUF012
        "object": position_spec("object", yaw=True),
        "goal": position_spec("goal"),
        "ee_to_object": position_spec("ee_to_object"),
        "object_to_goal": position_spec("object_to_goal"),
    }

    def add_bodies(self, builder: Builder) -> None:
        """A free cube and the platform, its middle marked."""
        cube = builder.add_free_body("cube")
        half = (CUBE_HALF_M,) * 3
        builder.add_box(cube, "object", half, name="cube", mass=CUBE_KG, condim=4)
        platform = builder.add_placed_body("platform")
        builder.add_box(platform, "fixture", PLATFORM_HALF_M)
        builder.add_disc(platform, "mark", PLACED_RADIUS_M, 0.0005, pos=(0, 0, PLATFORM_HALF_M[2] + 0.001))

    def begin(self, scene: Scene, draws: Draws) -> None:
        """Draw where the cube and the platform are."""
        x, y, yaw = draws.within(CUBE_LOW, CUBE_HIGH)
        scene.place("cube", np.array([x, y, CUBE_HALF_M]), yaw)
        scene.place("platform", np.array([*draws.within(GOAL_LOW, GOAL_HIGH), PLATFORM_HALF_M[2]]))

    def observe(self, scene: Scene) -> dict[str, np.ndarray]:
        """Cube, goal, and the two displacements between gripper, cube and goal."""
        cube, goal = scene.position("cube"), _goal(scene)
        return {
            "object": np.array([*cube, scene.yaw("cube")]),
            "goal": goal,
            "ee_to_object": cube - scene.arm.position,
            "object_to_goal": goal - cube,
        }

    def is_solved(self, scene: Scene) -> bool:
        """Resting on the platform near its middle, let go."""
        away = _goal(scene) - scene.position("cube")
        return (
            aside(away) < PLACED_RADIUS_M
            and abs(away[2]) < REST_HEIGHT_M
            and scene.speed("cube") < REST_SPEED_M_S
            and scene.arm.touches(scene.model.geom("cube").id) == 0
        )

    def plan(self, scene: Scene) -> Waypoint:
        """Grasp the cube, carry it above the platform, down, open, up."""
        arm, cube = scene.arm, scene.position("cube")
        to_goal = _goal(scene) - cube
        if aside(to_goal) < 0.015 and abs(to_goal[2]) < 0.004:
            # Still downwards while opening, so that a cube just above the platform is not grasped again.
            way = to_goal if arm.opening < 0.06 else above(np.zeros(3), 0.05)
            return Waypoint(arm.position + way, arm.yaw, MAX_OPENING_M)
        return grasp(arm, cube, scene.yaw("cube"), 2 * CUBE_HALF_M) or self._carry(scene, to_goal)

    def _carry(self, scene: Scene, to_goal: np.ndarray) -> Waypoint:
        height = np.clip(1.5 * (aside(to_goal) - 0.01), 0.0, 0.08)
        rise = to_goal[2] + height
        # First up, then across: the cube must not meet the platform's side.
        across = to_goal[:2] * np.clip(1.0 - (rise - 0.02) / 0.06, 0.0, 1.0)
        way = np.array([*across, rise])
        return Waypoint(scene.arm.position + way, scene.arm.yaw, 0.0, is_transit=True)


def _goal(scene: Scene) -> np.ndarray:
    return above(scene.position("platform"), PLATFORM_HALF_M[2] + CUBE_HALF_M)
