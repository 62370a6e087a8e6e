"""Peg insertion: lift a standing peg and put it into a square socket."""

from dataclasses import dataclass

import numpy as np

from imitate.envs.tabletop.config import TabletopConfig
from imitate.envs.tabletop.env import TabletopEnv
from imitate.envs.tabletop.grasp import grasp
from imitate.envs.tabletop.scene import Builder, Scene
from imitate.envs.tabletop.task import Draws, Task, Waypoint, above, aside, position_spec

PEG_HALF_M = (0.0125, 0.0125, 0.05)
PEG_KG = 0.08
GRIP_ABOVE_CENTRE_M = 0.022
PEG_LOW, PEG_HIGH = (0.38, -0.20, -0.4), (0.52, -0.06, 0.4)
"""Peg centre x, y in m and yaw in rad."""

CLEARANCE_M = 0.003
HOLE_HALF_M = PEG_HALF_M[0] + CLEARANCE_M
SOCKET_HALF_M = 0.045
SOCKET_DEPTH_M = 0.05
SOCKET_LOW, SOCKET_HIGH = (0.40, 0.10, -0.3), (0.52, 0.20, 0.3)
"""Socket centre x, y in m and yaw in rad."""

INSERTED_FOOT_M = 0.01
UPRIGHT_COSINE = 0.98


@dataclass(frozen=True)
class PegInsertionConfig(TabletopConfig):
    """Settings of tabletop/peg_insertion."""

    def build(self) -> TabletopEnv:
        """Make the environment."""
        return TabletopEnv(self, PegInsertion())


class PegInsertion(Task):
    """A square peg, 2.5 cm wide and 10 cm long, goes 4 cm deep into a socket with 3 mm of play on each side.

    | observation         | unit   | meaning |
    |---------------------|--------|---------|
    | object (4)          | m, rad | peg centre x, y, z and yaw |
    | goal (4)            | m, rad | where the centre of the inserted peg is, and the socket's yaw |
    | ee_to_object (3)    | m      | peg centre minus grip point |
    | object_to_goal (4)  | m, rad | goal minus peg |
    """

    success_definition = "the peg's foot is at least 4 cm deep in the socket, and the peg is upright"
    obs_specs = {  # noqa: RUF012
        "object": position_spec("object", yaw=True),
        "goal": position_spec("goal", yaw=True),
        "ee_to_object": position_spec("ee_to_object"),
        "object_to_goal": position_spec("object_to_goal", yaw=True),
    }

    def add_bodies(self, builder: Builder) -> None:
        """A free peg, and a socket of four walls."""
        peg = builder.add_free_body("peg")
        builder.add_box(peg, "object", PEG_HALF_M, name="peg", mass=PEG_KG, condim=4)
        socket = builder.add_placed_body("socket")
        wall, height = (SOCKET_HALF_M - HOLE_HALF_M) / 2, SOCKET_DEPTH_M / 2
        for side in (-1, 1):
            middle = side * (HOLE_HALF_M + wall)
            builder.add_box(socket, "fixture", (wall, SOCKET_HALF_M, height), pos=(middle, 0, height))
            builder.add_box(socket, "fixture", (HOLE_HALF_M, wall, height), pos=(0, middle, height))

    def begin(self, scene: Scene, draws: Draws) -> None:
        """Draw where the peg and the socket are."""
        x, y, yaw = draws.within(PEG_LOW, PEG_HIGH)
        scene.place("peg", np.array([x, y, PEG_HALF_M[2]]), yaw)
        x, y, yaw = draws.within(SOCKET_LOW, SOCKET_HIGH)
        scene.place("socket", np.array([x, y, 0.0]), yaw)

    def observe(self, scene: Scene) -> dict[str, np.ndarray]:
        """Peg, socket, and the displacements between gripper, peg and socket."""
        peg = np.array([*scene.position("peg"), scene.yaw("peg")])
        goal = np.array([*_inserted(scene), scene.yaw("socket")])
        way = goal - peg
        way[3] = (way[3] + np.pi) % (2 * np.pi) - np.pi
        return {
            "object": peg,
            "goal": goal,
            "ee_to_object": peg[:3] - scene.arm.position,
            "object_to_goal": way,
        }

    def is_solved(self, scene: Scene) -> bool:
        """Deep in the socket and upright."""
        away = _inserted(scene) - scene.position("peg")
        is_deep = abs(away[2]) < INSERTED_FOOT_M
        return aside(away) < 2 * CLEARANCE_M and is_deep and scene.uprightness("peg") > UPRIGHT_COSINE

    def plan(self, scene: Scene) -> Waypoint:
        """Grasp the peg's upper half, lift it over the socket, turn it to fit, and lower it."""
        arm, peg = scene.arm, scene.position("peg")
        approach = grasp(arm, above(peg, GRIP_ABOVE_CENTRE_M), scene.yaw("peg"), 2 * PEG_HALF_M[0])
        if approach:
            return approach
        way = _inserted(scene) - peg
        turn = scene.yaw("socket") - scene.yaw("peg")
        misfit = aside(way) + 0.02 * abs(turn)
        is_entering = peg[2] - PEG_HALF_M[2] < SOCKET_DEPTH_M and aside(way) < HOLE_HALF_M
        height = 0.0 if is_entering or misfit < 0.0025 else SOCKET_DEPTH_M + np.clip(2 * misfit, 0.01, 0.03)
        rise = way[2] + height
        # First up, then across: the peg must not meet the socket's side.
        across = way[:2] * np.clip(1.0 - (rise - 0.01) / 0.04, 0.0, 1.0)
        target = arm.position + np.array([*across, rise])
        return Waypoint(target, arm.yaw + turn, 0.0, is_transit=height > 0, speed=1.0 if height else 0.7)


def _inserted(scene: Scene) -> np.ndarray:
    return above(scene.position("socket"), PEG_HALF_M[2])
