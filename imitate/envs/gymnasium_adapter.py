"""A gymnasium environment made to keep the contract of imitate.env: what all adapters of suites share."""

from collections.abc import Callable, Mapping
from typing import Any

import gymnasium
import numpy as np

from imitate.env import Env, Obs, clipped, spaces_of
from imitate.envs.gymnasium_spaces import Leaf, to_action
from imitate.envs.gymnasium_success import Moment, Rule
from imitate.envs.offscreen import Offscreen, mujoco
from imitate.errors import EnvError
from imitate.types import DataSpec

VIDEO_PX = 480

Suite = gymnasium.Env[Any, Any]


class GymnasiumAdapter(Env):
    """Plays in `suite`, which must draw all that is random from its seed.

    leaves: the observations that are passed on. The episode ends with success, where the rule can tell it
    before the end. With `fresh`, which makes another suite, every episode gets one of its own.
    """

    metadata = {"render_modes": ["rgb_array"]}  # noqa: RUF012

    def __init__(
        self,
        suite: Suite,
        leaves: tuple[Leaf, ...],
        spec: DataSpec,
        rule: Rule,
        max_steps: int,
        fresh: Callable[[], Suite] | None = None,
    ) -> None:
        self._suite, self._leaves, self._rule, self._fresh = suite, leaves, rule, fresh
        self._scene: Scene | None = None
        self.data_spec, self.max_steps = spec, max_steps
        self.success_definition, self.score_name = rule.definition, rule.score_name
        self.render_mode = "rgb_array"
        self.metadata = {**self.metadata, "render_fps": spec.rate_hz}
        self.observation_space, self.action_space = spaces_of(spec)
        self._begin()

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Obs, dict[str, Any]]:
        """Start the episode of `seed`; `options` are handed on."""
        super().reset(seed=seed)
        if self._fresh:
            self.close()
            self._suite = self._fresh()
        drawn = int(self.np_random.integers(2**31)) if seed is None else seed
        observation, info = self._suite.reset(seed=drawn, options=options)
        self._begin()
        self._judge(info, False, False)
        return self._observe(observation), self._info()

    def _begin(self) -> None:
        self._steps, self._total_reward = 0, 0.0
        self._success, self._score = False, 0.0
        if self._scene:
            self._scene.begin()

    def step(self, action: np.ndarray) -> tuple[Obs, float, bool, bool, dict[str, Any]]:
        """Apply `action` (Da,) for one control step; the reward is the environment's own."""
        values = clipped(action, self.data_spec.action)
        observation, reward, ended, cut, info = self._suite.step(to_action(values, self._suite.action_space))
        self._steps += 1
        self._total_reward += float(reward)
        truncated = bool(cut) or self._steps >= self.max_steps
        self._judge(info, bool(ended), bool(ended) or truncated)
        return (
            self._observe(observation),
            float(reward),
            bool(ended) or self._success,
            truncated,
            self._info(),
        )

    def _judge(self, info: Mapping[str, Any], terminated: bool, over: bool) -> None:
        success, score = self._rule.judge(Moment(info, self._total_reward, terminated, over))
        self._success = self._success or bool(success)
        self._score = max(self._score, float(score))

    def _observe(self, observation: Any) -> Obs:
        return {leaf.name: leaf.of(observation) for leaf in self._leaves}

    def _info(self) -> dict[str, Any]:
        return {"success": self._success, "score": self._score}

    def render(self) -> np.ndarray:
        """The environment's own view, uint8 (H, W, 3); raises EnvError where it cannot be drawn."""
        base: Any = self._suite.unwrapped
        if isinstance(getattr(base, "model", None), mujoco.MjModel):
            self._scene = self._scene or Scene(base)
            return self._scene.draw()
        try:
            picture = self._suite.render()
        except Exception as error:  # each suite fails in its own way
            raise EnvError(f"{base} cannot be drawn here: {error}") from error
        if not isinstance(picture, np.ndarray) or picture.dtype != np.uint8:
            raise EnvError(f"{base} has no pictures (render modes: {base.metadata.get('render_modes')})")
        return picture

    def close(self) -> None:
        """Give back what the environment and its pictures hold."""
        if self._scene:
            self._scene.close()
        self._scene = None
        self._suite.close()


class Scene:
    """Draws a MuJoCo environment from where its own viewer stands, without its viewer.

    gymnasium's viewer garbles the pictures of all others in the process when it is closed, and drawing with
    Fetch's own moves its physics on: a video would change the episode.
    """

    def __init__(self, base: Any) -> None:
        self._base = base
        self._offscreen = Offscreen(base.model, VIDEO_PX, VIDEO_PX)
        inner = (base, *(getattr(base, name, None) for name in ("robot_env", "point_env", "ant_env")))
        viewer = next((v for env in inner if (v := getattr(env, "mujoco_renderer", None))), None)
        self._wanted = dict(getattr(viewer, "default_cam_config", None) or {})
        self._camera = mujoco.MjvCamera()
        goal: Any = getattr(base, "goal", ())
        site = mujoco.mj_name2id(base.model, mujoco.mjtObj.mjOBJ_SITE, "target0")
        self._goal_site = site if np.shape(goal) == (3,) else -1
        self._is_aimed = False

    def begin(self) -> None:
        """Aim anew: where the camera stands is to depend on the episode alone."""
        self._is_aimed = False

    def _aim(self) -> None:
        """The view of gymnasium's MujocoRenderer: all of the scene, but for what the environment sets."""
        self._is_aimed = True
        self._camera.type = mujoco.mjtCamera.mjCAMERA_FREE
        self._camera.lookat[:] = np.median(self._base.data.geom_xpos, axis=0)
        self._camera.distance = self._base.model.stat.extent
        for name, value in self._wanted.items():
            if name == "trackbodyid":
                self._camera.type = mujoco.mjtCamera.mjCAMERA_TRACKING
            if isinstance(value, np.ndarray | tuple | list):
                getattr(self._camera, name)[:] = value
            else:
                setattr(self._camera, name, value)

    def draw(self) -> np.ndarray:
        """The scene now, (480, 480, 3) uint8."""
        if not self._is_aimed:
            self._aim()
        data, site = self._base.data, self._goal_site
        if site < 0:
            return self._offscreen.draw(data, self._camera)
        # Fetch moves the mark of its goal by running the physics; here it is moved in the picture alone.
        was = data.site_xpos[site].copy()
        data.site_xpos[site] = self._base.goal
        picture = self._offscreen.draw(data, self._camera)
        data.site_xpos[site] = was
        return picture

    def close(self) -> None:
        """Give the memory back."""
        self._offscreen.close()
