"""The scripted demonstrator: one small step towards the plan's waypoint, decided anew from every state.

Because it never looks at the clock, it recovers from noise on its actions, and its demonstrations are a
function of the state, as a policy without memory can learn them.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from imitate.envs.tabletop.actions import MAX_SPEED_M_S, MAX_TURN_RAD_S, ActionMode, Move
from imitate.envs.tabletop.arm import Arm
from imitate.envs.tabletop.task import Waypoint

CRUISE_M_S = 0.3
"""Commanded pace; the servos' lag makes it about four fifths of this."""
TURN_RAD_S = 1.2


@dataclass(frozen=True)
class Style:
    """How a demonstrator moves: `pace` scales its speed, `bend_rad` turns travel to the left if positive."""

    pace: float = 1.0
    bend_rad: float = 0.0


STYLES = {
    "direct": Style(),
    "left": Style(bend_rad=0.7),
    "right": Style(bend_rad=-0.7),
    "fast": Style(pace=1.6),
    "slow": Style(pace=0.6),
}
BEND_FADES_M = 0.10


class ScriptedExpert:
    """Follows `plan` with `arm` in `style`, one control step of `step_s` at a time."""

    def __init__(
        self, arm: Arm, mode: ActionMode, plan: Callable[[], Waypoint], style: Style, step_s: float
    ) -> None:
        self._arm, self._mode, self._plan, self._style, self._step_s = arm, mode, plan, style, step_s

    def act(self) -> np.ndarray:
        """The action (Da,) to take now."""
        waypoint = self._plan()
        error = waypoint.position - self._arm.position
        if waypoint.is_transit:
            error[:2] = _bent(error[:2], self._style.bend_rad)
        pace = min(self._style.pace * waypoint.speed * CRUISE_M_S, MAX_SPEED_M_S) * self._step_s
        delta = np.concatenate([_capped(error[:2], pace), _capped(error[2:], pace)])
        limit = min(TURN_RAD_S * self._style.pace, MAX_TURN_RAD_S) * self._step_s
        turn = float(np.clip(_wrapped(waypoint.yaw - self._arm.yaw), -limit, limit))
        action = self._mode.encode(self._arm, Move(delta, turn, waypoint.opening))
        return np.clip(action, self._mode.spec.low, self._mode.spec.high).astype(np.float32)


def _bent(way: np.ndarray, angle: float) -> np.ndarray:
    """`way` (2,) turned by `angle`, less so when short: following it draws an arc that ends at the aim."""
    turn = angle * min(1.0, float(np.hypot(*way)) / BEND_FADES_M)
    cos, sin = np.cos(turn), np.sin(turn)
    return np.array([cos * way[0] - sin * way[1], sin * way[0] + cos * way[1]])


def _capped(way: np.ndarray, length: float) -> np.ndarray:
    return way * min(1.0, length / max(float(np.linalg.norm(way)), 1e-9))


def _wrapped(angle: float) -> float:
    return (angle + np.pi) % (2 * np.pi) - np.pi
