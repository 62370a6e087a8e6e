"""The gymnasium environment that all tabletop tasks share."""

from typing import Any

import numpy as np

from imitate.env import PERTURBATIONS, Env, Obs, box, clipped, spaces_of
from imitate.envs.mujoco_changes import ModelChanges, push, require_possible
from imitate.envs.pushes import Pushes
from imitate.envs.tabletop.actions import action_mode
from imitate.envs.tabletop.arm import JOINTS, MAX_OPENING_M
from imitate.envs.tabletop.camera import Cameras
from imitate.envs.tabletop.config import TabletopConfig
from imitate.envs.tabletop.expert import STYLES, ScriptedExpert
from imitate.envs.tabletop.scene import Builder, Scene
from imitate.envs.tabletop.task import Draws, Task, position_spec
from imitate.errors import ConfigError, EnvError, nearest
from imitate.types import ArraySpec, DataSpec

START_LOW, START_HIGH = (0.38, -0.05, 0.22, -0.1), (0.46, 0.05, 0.30, 0.1)
"""Where episodes start: grip point x, y, z in m and yaw in rad."""


class TabletopEnv(Env):
    """A tabletop task as a gymnasium environment.

    | observation | unit | meaning |
    |-------------|------|---------|
    | joints (6)  | rad  | joint angles |
    | gripper (1) | m    | distance between the finger pads |
    | ee_pos (3)  | m    | grip point between the pads |
    | ee_yaw (1)  | rad  | turn of the gripper about the vertical |
    | front, wrist |     | (H, W, 3) uint8 camera images, where asked for |

    and what the task adds. World frame: origin at the arm's foot on the table, x forwards, y left, z up.
    Actions are those of the action mode, see `data_spec.action`. The reward is 1 in the step that solves the
    task, which also ends the episode, else 0. A "collision" is the arm touching the table or a fixture.
    """

    metadata = {"render_modes": ["rgb_array"], "render_fps": 10}  # noqa: RUF012
    expert_styles = tuple(STYLES)
    perturbations = tuple(PERTURBATIONS)

    def __init__(self, config: TabletopConfig, task: Task) -> None:
        builder = Builder()
        task.add_bodies(builder)
        self._task = task
        self._scene = Scene(builder.compile())
        self._step_s = 1.0 / config.rate_hz
        self._physics_steps = _whole_multiple(self._step_s, self._scene.model.opt.timestep, config.rate_hz)
        self._mode = action_mode(config.action_mode, self._scene.arm, self._step_s)
        self._cameras = Cameras(self._scene, config.cameras, config.image_size)
        self._model_changes = ModelChanges(self._scene.model, config.cameras)
        self.metadata = {**self.metadata, "render_fps": config.rate_hz}
        self.render_mode = "rgb_array"
        self.max_steps = config.max_steps
        self.success_definition = task.success_definition
        arm_specs = _arm_specs(self._scene.arm.low, self._scene.arm.high)
        obs = {**arm_specs, **task.obs_specs, **self._cameras.specs}
        self.data_spec = DataSpec(obs, self._mode.spec, config.rate_hz)
        self.observation_space, self.action_space = spaces_of(self.data_spec)
        self._state_spaces = {key: box(spec) for key, spec in {**arm_specs, **task.obs_specs}.items()}
        self._steps = 0
        self._is_solved = False

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Obs, dict[str, Any]]:
        """Start an episode with bodies and arm at drawn places; `options` are ignored."""
        super().reset(seed=seed)
        for_model, for_pushes = self.np_random.spawn(2)
        if self._model_changes.apply(self.changes, for_model):
            self._cameras.renew_textures()
        self._pushes = Pushes(for_pushes, 1.0 / self._step_s, self.change("push"))
        self._scene.clear()
        draws = Draws(self.np_random, self.change("start_range"))
        start = draws.within(START_LOW, START_HIGH)
        self._scene.arm.place(start[:3], float(start[3]), MAX_OPENING_M)
        self._task.begin(self._scene, draws)
        self._scene.forward()
        self._steps, self._is_solved = 0, False
        return self._observe(), self._info()

    def step(self, action: np.ndarray) -> tuple[Obs, float, bool, bool, dict[str, Any]]:
        """Apply `action` (Da,) for one control step."""
        joints, opening = self._mode.targets(self._scene.arm, clipped(action, self.data_spec.action))
        self._scene.arm.drive(joints, opening, self._step_s)
        if (change := self._pushes.next()) is not None:
            push(self._scene.model, self._scene.data, change)
        self._scene.advance(self._physics_steps)
        self._steps += 1
        reward = float(self._task.is_solved(self._scene) and not self._is_solved)
        self._is_solved |= bool(reward)
        truncated = not self._is_solved and self._steps >= self.max_steps
        return self._observe(), reward, self._is_solved, truncated, self._info()

    def perturb(self, name: str, size: float) -> None:
        """See Env.perturb."""
        require_possible(self._scene.model, name)
        super().perturb(name, size)

    def expert(self, style: str | None = None) -> ScriptedExpert:
        """The scripted demonstrator; without a `style` it goes the "direct" way, the easiest to learn."""
        if style is not None and style not in STYLES:
            raise EnvError(f"expert style {style!r} does not exist{nearest(style, STYLES)}")
        chosen = STYLES[style or "direct"]
        scene = self._scene
        return ScriptedExpert(scene.arm, self._mode, lambda: self._task.plan(scene), chosen, self._step_s)

    def render(self) -> np.ndarray:
        """The scene from the side (480, 640, 3) uint8; raises EnvError where nothing can be drawn."""
        return self._cameras.film()

    def close(self) -> None:
        """Give the drawing memory back."""
        self._cameras.close()

    def _observe(self) -> Obs:
        arm = self._scene.arm
        states = {
            "joints": arm.joints,
            "gripper": [arm.opening],
            "ee_pos": arm.position,
            "ee_yaw": [arm.yaw],
            **self._task.observe(self._scene),
        }
        return {
            **{key: self._in_range(key, value) for key, value in states.items()},
            **(self._cameras.observe() if self.shows_images else {}),
        }

    def _in_range(self, key: str, value: Any) -> np.ndarray:
        # Joint stops are springs, so an angle can lie a hair outside its range.
        space = self._state_spaces[key]
        return np.minimum(np.maximum(np.array(value, np.float32), space.low), space.high)

    def _info(self) -> dict[str, Any]:
        hit = self._scene.arm.is_colliding
        return {"success": self._is_solved, "score": float(self._is_solved), "collision": hit}


def _arm_specs(low: np.ndarray, high: np.ndarray) -> dict[str, ArraySpec]:
    yaw = ArraySpec((1,), names=("ee_yaw",), units=("rad",), low=(-np.pi,), high=(np.pi,), circular=(0,))
    return {
        "joints": ArraySpec(
            (6,), names=JOINTS, units=("rad",) * 6, low=(*map(float, low),), high=(*map(float, high),)
        ),
        "gripper": ArraySpec((1,), names=("gripper",), units=("m",), low=(0.0,), high=(MAX_OPENING_M,)),
        "ee_pos": position_spec("ee"),
        "ee_yaw": yaw,
    }


def _whole_multiple(step_s: float, physics_s: float, rate_hz: float) -> int:
    count = round(step_s / physics_s)
    if abs(count * physics_s - step_s) > 1e-9:
        raise ConfigError(
            f"env.rate_hz is {rate_hz:g}: a control step of {step_s:g} s is no whole multiple of the physics "
            f"step of {physics_s:g} s"
        )
    return count
