"""How an expert takes hold of something from above."""

import numpy as np

from imitate.envs.tabletop.arm import MAX_OPENING_M, Arm
from imitate.envs.tabletop.task import Waypoint, above, aside

HOVER_M = 0.12
"""Height above the grasp while still to its side."""
FUNNEL_SLOPE = 2.5
"""Height of the approach per metre aside: steep enough that the fingers come down around the object."""
FUNNEL_MOUTH_M = 0.01


def grasp(arm: Arm, point: np.ndarray, yaw: float, width_m: float) -> Waypoint | None:
    """The next waypoint to take hold at `point` (3,) m of something `width_m` wide; None once it is held."""
    way = point - arm.position
    turn = abs(yaw - arm.yaw)
    is_around = aside(way) < 0.02 and abs(way[2]) < 0.015
    if is_around and arm.opening < width_m + 0.005:
        return None
    is_closing = is_around and arm.opening < MAX_OPENING_M - 0.01
    if is_closing or (aside(way) < 0.008 and abs(way[2]) < 0.004 and turn < 0.08):
        return Waypoint(point, yaw, 0.0)
    height = np.clip(FUNNEL_SLOPE * (aside(way) + 0.05 * turn - FUNNEL_MOUTH_M), 0.0, HOVER_M)
    return Waypoint(above(point, float(height)), yaw, MAX_OPENING_M, is_transit=True)
