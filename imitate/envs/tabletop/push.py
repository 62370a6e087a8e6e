"""Push: slide a block over the table onto a mark."""

from dataclasses import dataclass

import numpy as np

from imitate.envs.tabletop.config import TabletopConfig
from imitate.envs.tabletop.env import TabletopEnv
from imitate.envs.tabletop.scene import Builder, Scene
from imitate.envs.tabletop.task import Draws, Task, Waypoint, above, aside, position_spec

BLOCK_HALF_M = (0.035, 0.035, 0.025)
BLOCK_KG = 0.2
BLOCK_LOW, BLOCK_HIGH = (0.40, -0.12, -0.4), (0.46, 0.12, 0.4)
"""Block centre x, y in m and yaw in rad."""
GOAL_LOW, GOAL_HIGH = (0.56, -0.15), (0.64, 0.15)

MARK_RADIUS_M = 0.05
PUSHED_RADIUS_M = 0.025
REST_SPEED_M_S = 0.03

OPENING_M = 0.06
"""Two fingers this far apart push a face without turning it."""
LOW_M = 0.022
BEHIND_M = 0.085
CONTACT_M = 0.07


@dataclass(frozen=True)
class PushConfig(TabletopConfig):
    """Settings of tabletop/push."""

    def build(self) -> TabletopEnv:
        """Make the environment."""
        return TabletopEnv(self, Push())


class Push(Task):
    """A block of 7 x 7 x 5 cm and 200 g has to be slid 10 to 36 cm onto a mark.

    | observation         | unit   | meaning |
    |---------------------|--------|---------|
    | object (3)          | m, rad | block centre x, y and yaw |
    | goal (2)            | m      | the mark's x, y |
    | ee_to_object (2)    | m      | block centre minus grip point |
    | object_to_goal (2)  | m      | mark minus block centre |
    """

    success_definition = "the block lies still on the table, its centre within 2.5 cm of the mark's middle"
    obs_specs = {  # noqa: RUF012
        "object": position_spec("object", "xy", yaw=True),
        "goal": position_spec("goal", "xy"),
        "ee_to_object": position_spec("ee_to_object", "xy"),
        "object_to_goal": position_spec("object_to_goal", "xy"),
    }

    def add_bodies(self, builder: Builder) -> None:
        """A free block, and the mark on the table."""
        block = builder.add_free_body("block")
        builder.add_box(block, "object", BLOCK_HALF_M, name="block", mass=BLOCK_KG)
        builder.add_disc(builder.add_placed_body("mark"), "mark", MARK_RADIUS_M, 0.0005)

    def begin(self, scene: Scene, draws: Draws) -> None:
        """Draw where the block and the mark are."""
        x, y, yaw = draws.within(BLOCK_LOW, BLOCK_HIGH)
        scene.place("block", np.array([x, y, BLOCK_HALF_M[2]]), yaw)
        scene.place("mark", np.array([*draws.within(GOAL_LOW, GOAL_HIGH), 0.001]))

    def observe(self, scene: Scene) -> dict[str, np.ndarray]:
        """Block, mark, and the displacements between gripper, block and mark."""
        block, goal = scene.position("block")[:2], scene.position("mark")[:2]
        return {
            "object": np.array([*block, scene.yaw("block")]),
            "goal": goal,
            "ee_to_object": block - scene.arm.position[:2],
            "object_to_goal": goal - block,
        }

    def is_solved(self, scene: Scene) -> bool:
        """On the mark, flat and at rest."""
        away = scene.position("mark") - scene.position("block")
        lies_flat = abs(away[2] + BLOCK_HALF_M[2]) < 0.01
        return aside(away) < PUSHED_RADIUS_M and lies_flat and scene.speed("block") < REST_SPEED_M_S

    def plan(self, scene: Scene) -> Waypoint:
        """Over the block to behind it, down, then forwards until it is on the mark."""
        arm, block = scene.arm, scene.position("block")
        way = (scene.position("mark") - block)[:2]
        ahead = way / max(float(np.hypot(*way)), 1e-6)
        yaw = float(np.arctan2(ahead[1], ahead[0]))
        offset = arm.position[:2] - block[:2]
        behind, sideways = -float(offset @ ahead), float(offset @ [-ahead[1], ahead[0]])
        is_low = arm.position[2] < LOW_M + 0.012
        if is_low and 0.02 < behind < BEHIND_M + 0.02 and abs(sideways) < 0.02:
            # Lead the block by its remaining way; slide back onto the line through block and mark.
            step = ahead * (behind - CONTACT_M + 0.02 + float(np.hypot(*way)))
            back = sideways * np.array([ahead[1], -ahead[0]])
            target = np.array([*(arm.position[:2] + step + back), LOW_M])
            return Waypoint(target, yaw, OPENING_M, speed=0.7)
        start = np.array([*(block[:2] - ahead * BEHIND_M), LOW_M])
        height = np.clip(2.0 * (aside(start - arm.position) - 0.01), 0.0, 0.10)
        return Waypoint(above(start, float(height)), yaw, OPENING_M, is_transit=True)
