"""Point obstacle: a point mass passes an obstacle on its way to a goal, on the left or on the right.

The smallest task in which demonstrations disagree: at the start both sides are right and their mean is a
collision. Policies that cannot hold two ways in mind fail it.
"""

from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np

from imitate.env import Env, Obs, clipped, spaces_of
from imitate.envs.pushes import Pushes
from imitate.errors import ConfigError, EnvError, nearest
from imitate.types import ArraySpec, DataSpec

RATE_HZ = 10.0
MAX_SPEED_M_S = 0.6
LAG_S = 0.1
"""Time constant with which the mass takes on the commanded velocity."""
FIELD_M = 1.2
"""The mass stays within ± this."""

OBSTACLE_RADIUS_M = 0.25
GOAL_RADIUS_M = 0.08
START_Y_M, GOAL_Y_M = -0.8, 0.8
START_SPREAD_M, OBSTACLE_SPREAD_M, GOAL_SPREAD_M = 0.1, 0.05, 0.2

CRUISE_M_S = 0.5
USUAL_STYLES = ("left", "right")
VIA_ASIDE_M = 0.42
VIA_RADIUS_M = 0.08


@dataclass(frozen=True)
class Style:
    """How a demonstrator passes: `side` -1 left, 1 right, as seen on the way; `pace` scales its speed."""

    side: float
    pace: float = 1.0


STYLES = {
    "left": Style(-1.0),
    "right": Style(1.0),
    "slow_left": Style(-1.0, pace=0.5),
    "slow_right": Style(1.0, pace=0.5),
}

PICTURE_PX = 480


@dataclass(frozen=True)
class PointObstacleConfig:
    """`max_steps`: control steps, at 10 Hz, after which an episode is cut off."""

    max_steps: int = 80

    def __post_init__(self) -> None:
        if self.max_steps < 1:
            raise ConfigError(f"env.max_steps is {self.max_steps}, expected at least 1")

    def build(self) -> "PointObstacle":
        """Make the environment."""
        return PointObstacle(self)


def _plane(name: str, unit: str, bound: float) -> ArraySpec:
    return ArraySpec(
        (2,),
        names=(f"{name}_x", f"{name}_y"),
        units=(unit, unit),
        low=(-bound, -bound),
        high=(bound, bound),
    )


class PointObstacle(Env):
    """A point mass in the plane, 10 Hz: y leads from the start at -0.8 m to the goal at 0.8 m.

    | observation  | unit | meaning |
    |--------------|------|---------|
    | position (2) | m    | the mass |
    | velocity (2) | m/s  | its velocity |
    | obstacle (2) | m    | centre of a round obstacle, radius 0.25 m |
    | goal (2)     | m    | centre of the goal, radius 0.08 m |

    The action (2) is the wanted velocity in m/s. Touching the obstacle ends the episode without success,
    reaching the goal ends it with reward 1; the former is its "collision".

    Of the changes that `perturb` makes, "mass" is that of the point itself, and no push makes it faster than
    0.6 m/s along an axis.
    """

    metadata = {"render_modes": ["rgb_array"], "render_fps": RATE_HZ}  # noqa: RUF012
    success_definition = "the mass came within 8 cm of the goal's centre and never touched the obstacle"
    expert_styles = tuple(STYLES)
    perturbations = ("mass", "start_range", "push")

    def __init__(self, config: PointObstacleConfig) -> None:
        speed = _plane("velocity", "m/s", MAX_SPEED_M_S)
        obs = {name: _plane(name, "m", FIELD_M) for name in ("position", "obstacle", "goal")}
        self.data_spec = DataSpec({**obs, "velocity": speed}, speed, RATE_HZ)
        self.observation_space, self.action_space = spaces_of(self.data_spec)
        self.max_steps = config.max_steps
        self.render_mode = "rgb_array"
        self._position = self._velocity = self._obstacle = self._goal = np.zeros(2)
        self._path: list[np.ndarray] = []
        self._is_reached = self._is_hit = False
        self._drawn_style = "left"

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Obs, dict[str, Any]]:
        """Start an episode at rest, with start, obstacle and goal drawn; `options` are ignored."""
        super().reset(seed=seed)
        rng, wider = self.np_random, 1.0 + self.change("start_range")
        self._position = np.array([wider * rng.uniform(-START_SPREAD_M, START_SPREAD_M), START_Y_M])
        self._obstacle = wider * rng.uniform(-OBSTACLE_SPREAD_M, OBSTACLE_SPREAD_M, 2)
        self._goal = np.array([wider * rng.uniform(-GOAL_SPREAD_M, GOAL_SPREAD_M), GOAL_Y_M])
        self._pushes = Pushes(rng.spawn(1)[0], RATE_HZ, self.change("push"))
        self._velocity = np.zeros(2)
        self._drawn_style = str(rng.choice(USUAL_STYLES))
        self._path = [self._position]
        self._is_reached = self._is_hit = False
        return self._observe(), self._info()

    def step(self, action: np.ndarray) -> tuple[Obs, float, bool, bool, dict[str, Any]]:
        """Move for 0.1 s with the wanted velocity `action` (2,) m/s."""
        wanted = clipped(action, self.data_spec.action)
        step_s = 1.0 / RATE_HZ
        # What drives the mass is as strong as ever, so a heavier one follows more slowly.
        lag_s = LAG_S * (1.0 + self.change("mass"))
        self._velocity = self._velocity + (wanted - self._velocity) * (1.0 - np.exp(-step_s / lag_s))
        if (change := self._pushes.next()) is not None:
            self._velocity = np.clip(self._velocity + change, -MAX_SPEED_M_S, MAX_SPEED_M_S)
        before = self._position
        self._position = np.clip(before + self._velocity * step_s, -FIELD_M, FIELD_M)
        self._path.append(self._position)
        self._is_hit = distance_to_segment(self._obstacle, before, self._position) <= OBSTACLE_RADIUS_M
        self._is_reached = not self._is_hit and _length(self._goal - self._position) < GOAL_RADIUS_M
        is_over = self._is_hit or self._is_reached
        is_late = not is_over and len(self._path) > self.max_steps
        return self._observe(), float(self._is_reached), is_over, is_late, self._info()

    def expert(self, style: str | None = None) -> "SideExpert":
        """The demonstrator of `style`; without one, it passes on the side that was drawn with the seed."""
        if style is not None and style not in STYLES:
            raise EnvError(f"expert style {style!r} does not exist{nearest(style, STYLES)}")
        return SideExpert(self, STYLES[style or self._drawn_style])

    def wanted_velocity(self, side: float) -> np.ndarray:
        """The expert's action here: to the via-point beside the obstacle, and once past it to the goal."""
        via = self._obstacle + np.array([side * VIA_ASIDE_M, 0.0])
        is_past = self._position[1] > via[1] or _length(via - self._position) < VIA_RADIUS_M
        way = (self._goal if is_past else via) - self._position
        return (CRUISE_M_S * way / max(_length(way), 1e-9)).astype(np.float32)

    def render(self) -> np.ndarray:
        """The field from above with the path so far, (480, 480, 3) uint8."""
        picture = np.full((PICTURE_PX, PICTURE_PX, 3), (246, 243, 236), np.uint8)
        self._disc(picture, self._goal, GOAL_RADIUS_M, (60, 160, 100))
        self._disc(picture, self._obstacle, OBSTACLE_RADIUS_M, (90, 100, 115))
        path = np.array([_pixel(point) for point in self._path])
        cv2.polylines(picture, [path], False, (120, 170, 215), 2, cv2.LINE_AA)
        self._disc(picture, self._position, 0.03, (215, 75, 55))
        return picture

    @staticmethod
    def _disc(picture: np.ndarray, centre: np.ndarray, radius_m: float, colour: tuple[int, int, int]) -> None:
        radius = round(radius_m * PICTURE_PX / (2 * FIELD_M))
        cv2.circle(picture, _pixel(centre), radius, colour, -1, cv2.LINE_AA)

    def _observe(self) -> Obs:
        arrays = {
            "position": self._position,
            "obstacle": self._obstacle,
            "goal": self._goal,
            "velocity": self._velocity,
        }
        return {key: value.astype(np.float32) for key, value in arrays.items()}

    def _info(self) -> dict[str, Any]:
        score = float(self._is_reached)
        return {"success": self._is_reached, "score": score, "collision": self._is_hit}


@dataclass(frozen=True)
class SideExpert:
    """Passes the obstacle of `env` in `style`."""

    env: PointObstacle
    style: Style

    def act(self) -> np.ndarray:
        """The wanted velocity (2,) m/s."""
        return self.env.wanted_velocity(self.style.side) * np.float32(self.style.pace)


def distance_to_segment(point: np.ndarray, start: np.ndarray, end: np.ndarray) -> float:
    """The least distance of `point` to the straight line from `start` to `end`, m."""
    way = end - start
    share = np.clip((point - start) @ way / max(float(way @ way), 1e-12), 0.0, 1.0)
    return _length(start + share * way - point)


def _length(vector: np.ndarray) -> float:
    return float(np.hypot(vector[0], vector[1]))


def _pixel(point: np.ndarray) -> tuple[int, int]:
    scale = PICTURE_PX / (2 * FIELD_M)
    return round((point[0] + FIELD_M) * scale), round((FIELD_M - point[1]) * scale)
