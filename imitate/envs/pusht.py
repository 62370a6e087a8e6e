"""Push-T: push a T-shaped block onto its outline with a round fingertip (adapter of gym-pusht).

The task of Florence et al. 2021 as set up for Diffusion Policy (Chi et al. 2023, arXiv 2303.04137). The
observation `state` and the action mean what they mean in Diffusion Policy's recordings, so that those files
train a policy that runs here. The `img` of those recordings is offered too.
"""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from imitate.alignment import Alignment
from imitate.env import Env, Obs, clipped, spaces_of
from imitate.errors import ConfigError, import_extra
from imitate.symmetry import Mirror, Reflection, across_the_diagonal
from imitate.types import TWO_PI, ArraySpec, DataSpec

Polygon = list[tuple[float, float]]

RATE_HZ = 10.0
TABLE_PX = 512.0
SUCCESS_COVERAGE = 0.95
IMAGE_PX = 96
VIDEO_PX = 512

STATE = ArraySpec(
    shape=(5,),
    names=("agent_x", "agent_y", "block_x", "block_y", "block_angle"),
    units=("px", "px", "px", "px", "rad"),
    circular=(4,),
)
AGENT = STATE.part((0, 1))
IMAGE = ArraySpec(shape=(IMAGE_PX, IMAGE_PX, 3), dtype="uint8")
ACTION = ArraySpec(
    shape=(2,), names=("target_x", "target_y"), units=("px", "px"), low=(0.0, 0.0), high=(TABLE_PX, TABLE_PX)
)

# The target's axis of symmetry is a diagonal of the square table, x + y = 512 px: x becomes 512 - y.
MIRRORED_POINT = Reflection(order=(1, 0), signs=(-1.0, -1.0), offsets=(TABLE_PX, TABLE_PX))
MIRROR = Mirror(
    {
        "state": Reflection(
            order=(1, 0, 3, 2, 4),
            signs=(-1.0,) * 5,
            offsets=(TABLE_PX, TABLE_PX, TABLE_PX, TABLE_PX, TWO_PI / 4),
        ),
        "agent_pos": MIRRORED_POINT,
        "img": across_the_diagonal,
    },
    MIRRORED_POINT,
)

# People stopped short of the target by 7 px and 2° in the median; a push is the same anywhere on the table.
ALIGNMENT = Alignment(
    points={"state": ((0, 1), (2, 3)), "action": ((0, 1),)},
    angles={"state": (4,)},
    anchor=("state", 2, 3, 4),
    goal=(TABLE_PX / 2, TABLE_PX / 2, TWO_PI / 8),
)


@dataclass(frozen=True)
class PushTConfig:
    """What is observed, and for how long.

    image: add the top view `img`. agent: add `agent_pos`, the fingertip alone, for policies that may not be
    told where the block is. max_steps: of an episode, at most.
    """

    image: bool = False
    agent: bool = False
    max_steps: int = 300

    def __post_init__(self) -> None:
        if self.max_steps < 1:
            raise ConfigError(f"env.max_steps is {self.max_steps}, expected at least 1")

    def build(self) -> "PushT":
        """Make the environment; raises MissingExtraError without the extra `pusht`."""
        return PushT(self)


class PushT(Env):
    """Push-T, 10 Hz. The table is 512 px wide; the T must come to lie at (256, 256) px, turned by π/4 rad.

    | observation  | unit | meaning |
    |--------------|------|---------|
    | state[0:2]   | px   | fingertip x, y |
    | state[2:4]   | px   | block x, y |
    | state[4]     | rad  | block angle, wrapped to [0, 2π) |
    | img          |      | (96, 96, 3) uint8 top view, only with `image` |
    | agent_pos    | px   | fingertip x, y, only with `agent` |

    The action (2) is the position in px, 0 to 512, to which a PD controller moves the fingertip during the
    step. Positions carry no range, because the block can be squeezed through a wall.

    `reset(seed=s)` draws the start as Diffusion Policy does: fingertip in [50, 450), block in [100, 400) px,
    any angle. The score is the greatest coverage so far / 0.95, at most 1, Diffusion Policy's measure.
    """

    metadata = {"render_modes": ["rgb_array"], "render_fps": RATE_HZ}  # noqa: RUF012
    success_definition = "the block covered more than 95 % of its target outline at any time"
    score_name = "greatest coverage / 0.95"
    mirror = MIRROR
    alignment = ALIGNMENT

    def __init__(self, config: PushTConfig) -> None:
        # gym-pusht draws with pygame, which otherwise greets on stdout.
        os.environ.setdefault("PYGAME_HIDE_SUPPORT_PROMPT", "1")
        suite = import_extra("gym_pusht.envs.pusht", "pusht")
        self._suite = suite.PushTEnv(
            obs_type="state",
            observation_width=IMAGE_PX,
            observation_height=IMAGE_PX,
            visualization_width=VIDEO_PX,
            visualization_height=VIDEO_PX,
        )
        # Shapely's overlap, which gym-pusht measures, differs in the last bit from process to process.
        self._suite._get_coverage = self._measure_coverage
        self._suite._setup()
        self._target = self._outline(self._suite.get_goal_pose_body(self._suite.goal_pose))
        self._config = config
        self.max_steps = config.max_steps
        self.render_mode = "rgb_array"
        offered = {"state": True, "img": config.image, "agent_pos": config.agent}
        arrays = {"state": STATE, "img": IMAGE, "agent_pos": AGENT}
        obs = {key: array for key, array in arrays.items() if offered[key]}
        self.data_spec = DataSpec(obs, ACTION, RATE_HZ)
        self.observation_space, self.action_space = spaces_of(self.data_spec)
        self._steps = 0
        self._coverage = 0.0

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Obs, dict[str, Any]]:
        """Start an episode at a drawn state; `options` are ignored."""
        super().reset(seed=seed)
        self._suite.reset(seed=seed)
        return self._begin()

    def restore(self, state: Sequence[float] | np.ndarray) -> tuple[Obs, dict[str, Any]]:
        """Start an episode at a recorded `state` (5,), fingertip at rest, to replay a recording."""
        suite = self._suite
        suite._setup()
        suite.agent.position = [float(value) for value in state[:2]]
        # The block turns about its centre of mass, which moves its origin: hence angle first.
        suite.block.angle = float(state[4])
        suite.block.position = [float(value) for value in state[2:4]]
        suite.space.step(suite.dt)
        return self._begin()

    def _begin(self) -> tuple[Obs, dict[str, Any]]:
        self._suite._last_action = None  # gym-pusht would go on drawing the mark of the episode before
        self._steps = 0
        self._coverage = self._measure_coverage()
        return self._observe(), self._info()

    def step(self, action: np.ndarray) -> tuple[Obs, float, bool, bool, dict[str, Any]]:
        """Move the fingertip towards `action` (2,) px for 0.1 s; the reward is coverage / 0.95, at most 1."""
        _, reward, _, _, info = self._suite.step(clipped(action, ACTION))
        self._steps += 1
        self._coverage = max(self._coverage, float(info["coverage"]))
        now = self._info()
        return self._observe(), float(reward), now["success"], self._steps >= self.max_steps, now

    def _outline(self, body: Any) -> list[Polygon]:
        """The two bars of the T at the pose of `body`, counter-clockwise."""
        shapes = self._suite.block.shapes
        bars = [[tuple(body.local_to_world(c)) for c in shape.get_vertices()] for shape in shapes]
        return [bar if _area(bar) > 0 else bar[::-1] for bar in bars]

    def _measure_coverage(self) -> float:
        bars = self._outline(self._suite.block)
        overlap = sum(_area(_clip(bar, target)) for bar in bars for target in self._target)
        return overlap / sum(map(_area, self._target))

    def _info(self) -> dict[str, Any]:
        return {
            "success": self._coverage > SUCCESS_COVERAGE,
            "score": min(self._coverage / SUCCESS_COVERAGE, 1.0),
        }

    def _observe(self) -> Obs:
        agent, block = self._suite.agent.position, self._suite.block
        obs = {"state": np.array([*agent, *block.position, block.angle % TWO_PI], np.float32)}
        if self._config.agent:
            obs["agent_pos"] = obs["state"][:2].copy()
        if self._config.image and self.shows_images:
            obs["img"] = self._suite._render()
        return obs

    def render(self) -> np.ndarray:
        """The table from above (512, 512, 3) uint8, a cross where the last action pointed."""
        return np.asarray(self._suite.render())

    def close(self) -> None:
        """Nothing is held open: pictures are drawn in memory."""


def _area(polygon: Polygon) -> float:
    """The area of a counter-clockwise polygon (the shoelace formula)."""
    following = polygon[1:] + polygon[:1]
    return 0.5 * sum(x0 * y1 - x1 * y0 for (x0, y0), (x1, y1) in zip(polygon, following, strict=True))


def _clip(polygon: Polygon, window: Polygon) -> Polygon:
    """The part of a convex polygon inside a convex counter-clockwise window (Sutherland and Hodgman 1974)."""
    for (ax, ay), (bx, by) in zip(window, window[1:] + window[:1], strict=True):
        inside = [(bx - ax) * (y - ay) - (by - ay) * (x - ax) for x, y in polygon]
        kept: Polygon = []
        for i, (x, y) in enumerate(polygon):
            (before_x, before_y), before, now = polygon[i - 1], inside[i - 1], inside[i]
            if (now >= 0) != (before >= 0):
                along = before / (before - now)
                kept.append((before_x + along * (x - before_x), before_y + along * (y - before_y)))
            if now >= 0:
                kept.append((x, y))
        polygon = kept
    return polygon
