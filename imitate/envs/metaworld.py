"""Meta-World's 50 manipulation tasks with their scripted experts (adapter of metaworld 3).

Yu et al. 2019 (arXiv 1910.10897); version 3 McLean et al. 2025 (arXiv 2505.11289). The goal is always part
of the observation, and an episode depends on its seed alone.
"""

import copy
import warnings
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from imitate.env import Env, Expert, Obs, clipped, spaces_of
from imitate.envs.mujoco_changes import ModelChanges, push, require_possible
from imitate.envs.offscreen import Offscreen, mujoco
from imitate.envs.pushes import Pushes
from imitate.errors import ConfigError, EnvError, import_extra, nearest
from imitate.types import ArraySpec, DataSpec

# The suite takes seconds to import and may not be installed, so its names stand here too.
TASKS = (
    "assembly-v3", "basketball-v3", "bin-picking-v3", "box-close-v3", "button-press-v3",
    "button-press-topdown-v3", "button-press-topdown-wall-v3", "button-press-wall-v3", "coffee-button-v3",
    "coffee-pull-v3", "coffee-push-v3", "dial-turn-v3", "disassemble-v3", "door-close-v3", "door-lock-v3",
    "door-open-v3", "door-unlock-v3", "drawer-close-v3", "drawer-open-v3", "faucet-close-v3",
    "faucet-open-v3", "hammer-v3", "hand-insert-v3", "handle-press-v3", "handle-press-side-v3",
    "handle-pull-v3", "handle-pull-side-v3", "lever-pull-v3", "peg-insert-side-v3", "peg-unplug-side-v3",
    "pick-out-of-hole-v3", "pick-place-v3", "pick-place-wall-v3", "plate-slide-v3", "plate-slide-back-v3",
    "plate-slide-back-side-v3", "plate-slide-side-v3", "push-v3", "push-back-v3", "push-wall-v3", "reach-v3",
    "reach-wall-v3", "shelf-place-v3", "soccer-v3", "stick-pull-v3", "stick-push-v3", "sweep-v3",
    "sweep-into-v3", "window-close-v3", "window-open-v3",
)  # fmt: skip
LONGEST_EPISODE = 500
RATE_HZ = 80.0
VIDEO_PX = 480

_POSE = ("x", "y", "z", "qx", "qy", "qz", "qw")
_FRAME = (
    *(f"hand_{axis}" for axis in "xyz"),
    "gripper_opening",
    *(f"object{number}_{axis}" for number in (1, 2) for axis in _POSE),
)
_FRAME_UNITS = ("m", "m", "m", "1", *(("m",) * 3 + ("1",) * 4) * 2)
STATE = ArraySpec(
    shape=(39,),
    names=(*_FRAME, *(f"previous_{name}" for name in _FRAME), "goal_x", "goal_y", "goal_z"),
    units=(*_FRAME_UNITS, *_FRAME_UNITS, "m", "m", "m"),
)
ACTION = ArraySpec(
    shape=(4,),
    names=("hand_dx", "hand_dy", "hand_dz", "gripper_effort"),
    units=("cm", "cm", "cm", "1"),
    low=(-1.0,) * 4,
    high=(1.0,) * 4,
)


@dataclass(frozen=True)
class MetaworldConfig:
    """One of Meta-World's tasks (`task`, such as "reach-v3") with at most `max_steps` steps an episode."""

    task: str = field(default="reach-v3", metadata={"choices": TASKS})
    max_steps: int = LONGEST_EPISODE

    def __post_init__(self) -> None:
        if self.task not in TASKS:
            raise ConfigError(f"env.task is {self.task!r}: there is no such task{nearest(self.task, TASKS)}")
        if not 1 <= self.max_steps <= LONGEST_EPISODE:
            raise ConfigError(f"env.max_steps is {self.max_steps}, expected 1 to {LONGEST_EPISODE}")

    def build(self) -> "Metaworld":
        """Make the environment; raises MissingExtraError without the extra `metaworld`."""
        return Metaworld(self)


class Metaworld(Env):
    """One Meta-World task: a Sawyer hand with a gripper that is dragged by its position, 80 Hz.

    | observation   | unit | meaning |
    |---------------|------|---------|
    | state[0:3]    | m    | hand position |
    | state[3]      | 1    | gripper opening, 0 closed to 1 open |
    | state[4:11]   | m, 1 | first object: position, quaternion; zeros where a task has none |
    | state[11:18]  | m, 1 | second object, likewise |
    | state[18:36]  |      | the same 18 values one step before |
    | state[36:39]  | m    | goal position |

    | action        | unit | meaning |
    |---------------|------|---------|
    | action[0:3]   | cm   | how far the point that drags the hand moves, −1 to 1 |
    | action[3]     | 1    | gripper effort, −1 opens, 1 closes |

    Quaternions are in the order that the task itself uses. The episode ends at the first success.
    """

    metadata = {"render_modes": ["rgb_array"], "render_fps": RATE_HZ}  # noqa: RUF012
    success_definition = "Meta-World's success signal of the task was raised at any step"
    perturbations = ("friction", "mass", "start_range", "push")

    def __init__(self, config: MetaworldConfig) -> None:
        self._fresh_task = _maker_of(config.task)
        self.max_steps = config.max_steps
        self.instructions = (in_words(config.task),)
        self.render_mode = "rgb_array"
        self.data_spec = DataSpec({"state": STATE}, ACTION, RATE_HZ)
        self.observation_space, self.action_space = spaces_of(self.data_spec)
        self._expert = import_extra("metaworld.policies", "metaworld").ENV_POLICY_MAP[config.task]
        self._offscreen: Offscreen | None = None
        self._forget_past()

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Obs, dict[str, Any]]:
        """Start an episode with objects and goal drawn by the seed; `options` are ignored.

        Meta-World carries model edits, object positions and the gripper's motion from one episode into the
        next. A task built anew from a compiled model has no past.
        """
        super().reset(seed=seed)
        self.close()
        self._forget_past()
        self._change_world()
        self._task.seed(int(self.np_random.integers(2**31)) if seed is None else seed)
        self._seen, _ = self._task.reset()
        return self._observe(), self._info()

    def _forget_past(self) -> None:
        self._task = self._fresh_task()
        self._seen = np.zeros(STATE.shape)
        self._steps, self._success = 0, False

    def perturb(self, name: str, size: float) -> None:
        """See Env.perturb."""
        require_possible(self._task.model, name)
        super().perturb(name, size)

    def _change_world(self) -> None:
        """Set the fresh task up as `perturb` asks for."""
        for_model, for_pushes = self.np_random.spawn(2)
        ModelChanges(self._task.model).apply(self.changes, for_model)
        self._pushes = Pushes(for_pushes, RATE_HZ, self.change("push"))
        if self.change("start_range"):
            _widen(self._task, self.change("start_range"))

    def step(self, action: np.ndarray) -> tuple[Obs, float, bool, bool, dict[str, Any]]:
        """Apply `action` (4,) for 1/80 s; the reward is Meta-World's, 0 to 10."""
        if (change := self._pushes.next()) is not None:
            push(self._task.model, self._task.data, change)
        self._seen, reward, _, _, told = self._task.step(clipped(action, ACTION))
        self._steps += 1
        self._success = self._success or bool(told["success"])
        return self._observe(), float(reward), self._success, self._steps >= self.max_steps, self._info()

    def _observe(self) -> Obs:
        return {"state": self._seen.astype(np.float32)}

    def _info(self) -> dict[str, Any]:
        return {"success": self._success, "score": float(self._success)}

    def expert(self, style: str | None = None) -> Expert:
        """Meta-World's scripted policy of the task; there are no styles."""
        if style is not None:
            raise EnvError(f"style is {style!r}, but Meta-World's experts have none: leave it out")
        return _ScriptedExpert(self, self._expert())

    def render(self) -> np.ndarray:
        """The table seen from a corner (480, 480, 3) uint8; raises EnvError where nothing can be drawn."""
        self._offscreen = self._offscreen or Offscreen(self._task.model, VIDEO_PX, VIDEO_PX)
        upside_down = self._offscreen.draw(self._task.data, "corner2")
        return np.ascontiguousarray(upside_down[::-1, ::-1])

    def close(self) -> None:
        """Give the drawing memory back."""
        if self._offscreen:
            self._offscreen.close()
        self._offscreen = None


def in_words(task: str) -> str:
    """What is to be done in a task: "push-v3" is "push"."""
    return task.removesuffix("-v3").replace("-", " ")


class _ScriptedExpert:
    def __init__(self, env: Metaworld, policy: Any) -> None:
        self._env, self._policy = env, policy

    def act(self) -> np.ndarray:
        """The scripted policy's action; its gains overshoot the range by design."""
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message="Constant")
            action = self._policy.get_action(self._env._seen)
        return clipped(action, ACTION)


def _widen(task: Any, share: float) -> None:
    """Draw objects and goal from ranges that are wider by `share`, and let the observation show them."""
    for name in ("_random_reset_space", "goal_space"):
        box = getattr(task, name, None)
        if box is not None:
            half = share * (box.high - box.low) / 2
            setattr(task, name, type(box)(box.low - half, box.high + half, dtype=box.dtype))


def _maker_of(name: str) -> Any:
    """A function that builds the task `name` as if for the first time, compiling its model only once."""
    task_class = import_extra("metaworld.env_dict", "metaworld").ALL_V3_ENVIRONMENTS[name]

    class FromCompiledModel(task_class):  # type: ignore[misc, valid-type]
        compiled: mujoco.MjModel | None = None

        def _initialize_simulation(self) -> tuple[mujoco.MjModel, mujoco.MjData]:
            cls = type(self)
            if cls.compiled is None:
                cls.compiled, _ = super()._initialize_simulation()
            model = copy.copy(cls.compiled)
            return model, mujoco.MjData(model)

    def make() -> Any:
        task = FromCompiledModel()
        task._set_task_called = True
        task._freeze_rand_vec = False
        task.seeded_rand_vec = True
        # The bounds of an observation are cached as of a hidden goal, and would clip the goal to zero.
        task._partially_observable = False
        del task.sawyer_observation_space
        return task

    return make
