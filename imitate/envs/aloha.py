"""ALOHA's two simulated tasks for two arms: cube transfer and peg insertion (adapter of gym-aloha).

Zhao et al. 2023 (arXiv 2304.13705). `state`, `top` and the action are those of LeRobot's aloha_sim data sets.
"""

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from imitate.env import Env, Obs, clipped, spaces_of
from imitate.envs.offscreen import Offscreen
from imitate.errors import ConfigError, import_extra, nearest
from imitate.types import ArraySpec, DataSpec

RATE_HZ = 50.0
CAMERA = "top"
HEIGHT_PX, WIDTH_PX = 480, 640
DONE = 4
"""gym-aloha's reward of the last stage."""

_ARM = ("waist", "shoulder", "elbow", "forearm_roll", "wrist_angle", "wrist_rotate", "gripper")
JOINTS = tuple(f"{side}_{joint}" for side in ("left", "right") for joint in _ARM)
UNITS = (*("rad",) * 6, "1") * 2
STATE = ArraySpec((14,), names=JOINTS, units=UNITS)
IMAGE = ArraySpec((HEIGHT_PX, WIDTH_PX, 3), "uint8")
_POSE = ("x", "y", "z", "qw", "qx", "qy", "qz")


@dataclass(frozen=True)
class _Task:
    """A task of gym-aloha: its class and scene, what lies on the table, and what success is."""

    name: str
    scene: str
    objects: tuple[str, ...]
    success: str


TASKS = {
    "transfer_cube": _Task(
        "TransferCubeTask",
        "bimanual_viperx_transfer_cube.xml",
        ("cube",),
        "the left gripper held the cube, which did not touch the table, at any step, which ends the episode",
    ),
    "insertion": _Task(
        "InsertionTask",
        "bimanual_viperx_insertion.xml",
        ("peg", "socket"),
        "the peg touched the pin inside the socket at any step, which ends the episode",
    ),
}


@dataclass(frozen=True)
class AlohaConfig:
    """`image` adds the view `top` to the observation; an episode has at most `max_steps` steps.

    LeRobot's evaluation takes 400 steps, gym-aloha registers 300; recordings have 400 (insertion: 500).
    """

    task: str = field(default="transfer_cube", metadata={"choices": tuple(TASKS)})
    image: bool = False
    max_steps: int = 400

    def __post_init__(self) -> None:
        if self.task not in TASKS:
            raise ConfigError(f"env.task is {self.task!r}: there is no such task{nearest(self.task, TASKS)}")
        if self.max_steps < 1:
            raise ConfigError(f"env.max_steps is {self.max_steps}, expected at least 1")

    def build(self) -> "Aloha":
        """Make the environment; raises MissingExtraError without the extra `aloha`."""
        return Aloha(self)


class Aloha(Env):
    """Two ViperX arms that are driven by joint positions, 50 Hz.

    | observation  | unit   | meaning |
    |--------------|--------|---------|
    | state (14)   | rad, 1 | left arm, left gripper (0 closed, 1 open), right arm, right gripper |
    | objects      | m, 1   | position and quaternion of what lies on the table; recordings lack them |
    | top          |        | (480, 640, 3) uint8 from above, only with `image`, in place of `objects` |

    The action (14) is where joints and grippers are to go, in the order of `state`; its range is that of the
    arms, wider than the ±1 that gym-aloha tells. The score is the best of four stages: touched (both held),
    lifted, handed over (joined), done. Actions so violent that the simulation breaks down end the episode.
    """

    metadata = {"render_modes": ["rgb_array"], "render_fps": RATE_HZ}  # noqa: RUF012
    score_name = "best of gym-aloha's four stages / 4"

    def __init__(self, config: AlohaConfig) -> None:
        task = TASKS[config.task]
        self._sim = import_extra("gym_aloha.tasks.sim", "aloha")
        self._constants = import_extra("gym_aloha.constants", "aloha")
        self._sampling = import_extra("gym_aloha.utils", "aloha")
        self._control = import_extra("dm_control.rl.control", "aloha")
        self._task, self._image = config.task, config.image
        self._suite = self._built(task)
        self._offscreen: Offscreen | None = None
        self.success_definition, self.max_steps = task.success, config.max_steps
        self.render_mode = "rgb_array"
        seen = {"top": IMAGE} if config.image else {"objects": _objects(task.objects)}
        self.data_spec = DataSpec({"state": STATE, **seen}, self._action(), RATE_HZ)
        self.observation_space, self.action_space = spaces_of(self.data_spec)
        self._place(0)
        self._begin()

    def _built(self, task: _Task) -> Any:
        base = getattr(self._sim, task.name)
        # Three pictures of 480 x 640 at every step take nine tenths of its time.
        blind = type(task.name, (base,), {"get_observation": lambda self, physics: {}})
        mujoco = import_extra("dm_control.mujoco", "aloha")
        physics = mujoco.Physics.from_xml_path(str(self._constants.ASSETS_DIR / task.scene))
        return self._control.Environment(
            physics, blind(random=0), float("inf"), control_timestep=1 / RATE_HZ, flat_observation=False
        )

    def _action(self) -> ArraySpec:
        """The range of joints and grippers, as the actuators of the scene have it."""
        limits = self._suite.physics.model.actuator_ctrlrange
        normalised = self._constants.normalize_puppet_gripper_position
        ends = []
        for side in (0, 1):
            # Each arm has six joints and two fingers, which mirror each other.
            left, right = limits[:, side][:7], limits[:, side][8:15]
            ends.append([*left[:6], normalised(left[6]), *right[:6], normalised(right[6])])
        low, high = (tuple(float(np.float32(value)) for value in end) for end in ends)
        return ArraySpec((14,), names=JOINTS, units=UNITS, low=low, high=high)

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Obs, dict[str, Any]]:
        """Start an episode with the objects where gym-aloha puts them for `seed`; `options` are ignored."""
        super().reset(seed=seed)
        self._place(int(self.np_random.integers(2**31)) if seed is None else seed)
        return self._begin()

    def _place(self, seed: int) -> None:
        if self._task == "transfer_cube":
            poses = self._sampling.sample_box_pose(seed)
        else:
            poses = np.concatenate(self._sampling.sample_insertion_pose(seed))
        # gym-aloha hands it to the reset that follows in a variable of its module.
        self._sim.BOX_POSE[0] = poses
        self._suite.reset()

    def _begin(self) -> tuple[Obs, dict[str, Any]]:
        self._steps, self._stage = 0, 0
        self._seen = self._observe()
        return self._seen, self._info()

    def step(self, action: np.ndarray) -> tuple[Obs, float, bool, bool, dict[str, Any]]:
        """Drive towards `action` (14,) for 0.02 s; the reward is gym-aloha's stage, 0 to 4."""
        values = clipped(action, self.data_spec.action)
        self._steps += 1
        is_last = self._steps >= self.max_steps
        try:
            told = self._suite.step(values)
        except self._control.PhysicsError:
            return self._seen, 0.0, True, is_last, self._info()
        self._stage = max(self._stage, int(told.reward))
        self._seen, now = self._observe(), self._info()
        return self._seen, float(told.reward), now["success"], is_last, now

    def _observe(self) -> Obs:
        physics = self._suite.physics
        state = np.asarray(self._suite.task.get_qpos(physics), np.float32)
        if self._image:
            return {"state": state, "top": self.render()} if self.shows_images else {"state": state}
        return {"state": state, "objects": np.array(physics.data.qpos[16:], np.float32)}

    def _info(self) -> dict[str, Any]:
        return {"success": self._stage == DONE, "score": self._stage / DONE}

    def render(self) -> np.ndarray:
        """The view from above (480, 640, 3) uint8; raises EnvError where nothing can be drawn."""
        physics = self._suite.physics
        self._offscreen = self._offscreen or Offscreen(physics.model.ptr, HEIGHT_PX, WIDTH_PX)
        return self._offscreen.draw(physics.data.ptr, CAMERA)

    def close(self) -> None:
        """Give the drawing memory back."""
        if self._offscreen:
            self._offscreen.close()
        self._offscreen = None


def _objects(names: tuple[str, ...]) -> ArraySpec:
    elements = tuple(f"{name}_{part}" for name in names for part in _POSE)
    return ArraySpec((len(elements),), names=elements, units=(*("m",) * 3, *("1",) * 4) * len(names))
