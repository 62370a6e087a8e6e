"""robosuite's manipulation tasks as robomimic uses them, or rebuilt from what a dataset says of its own.

Zhu et al. 2020 (arXiv 2009.12293); tasks, observations and lengths of episodes are robomimic's (Mandlekar et
al. 2021, arXiv 2108.03298). An episode depends on its seed alone: robosuite carries its sampler of starts
from episode to episode, so every episode gets a suite of its own.
"""

import inspect
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from imitate.env import Env, Expert, Obs, clipped, spaces_of
from imitate.envs.offscreen import Offscreen, mujoco
from imitate.envs.robosuite_expert import expert_of
from imitate.envs.robosuite_recorded import (
    INSTEAD,
    PARTS,
    STATES,
    act_as_before,
    both_versions,
    env_args_of,
    installed,
    is_old,
    rest_here,
    suite_settings,
    version_differences,
)
from imitate.envs.robosuite_spec import (
    COMPARED,
    IMAGE_SUFFIX,
    OBJECT,
    action_spec,
    array_spec,
    as_named_now,
    observe_in_old_order,
    observe_with_old_signs,
)
from imitate.errors import ConfigError, EnvError, nearest
from imitate.types import ArraySpec, DataSpec

# {task: (robosuite's name, arms, robomimic's length of an episode in steps)}
TASKS = {
    "Lift": ("Lift", 1, 400),
    "Can": ("PickPlaceCan", 1, 400),
    "Square": ("NutAssemblySquare", 1, 400),
    "Transport": ("TwoArmTransport", 2, 700),
    "ToolHang": ("ToolHang", 1, 700),
}
ROBOTS = ("Panda", "Sawyer", "IIWA", "UR5e", "Kinova3")
OTHER_TASKS_STEPS = 500
RATE_HZ, VIDEO_PX = 20.0, 256
COLLISION_SHAPES = 0  # The group of geometries that robosuite never draws.


@dataclass(frozen=True)
class RobosuiteConfig:
    """One of robomimic's tasks, or with `dataset` the environment that a dataset was recorded in.

    robots: one name stands for every arm. controller: of all arms. cameras: also observe these, as (image_px,
    image_px, 3). obs: the other observations, by robosuite's names; empty: robomimic's low-dimensional ones.
    max_steps: None for robomimic's. dataset: an HDF5 file of robomimic or robosuite, or a store imported from
    one; task, robots, controller, cameras and obs are then the dataset's. env_args: what was read there, by
    itself, so that a checkpoint plays without the dataset.
    """

    task: str = field(default="Lift", metadata={"choices": tuple(TASKS)})
    robots: tuple[str, ...] = field(default=("Panda",), metadata={"choices": ROBOTS})
    controller: str = field(default="OSC_POSE", metadata={"choices": PARTS})
    cameras: tuple[str, ...] = ()
    image_px: int = 84
    obs: tuple[str, ...] = ()
    max_steps: int | None = None
    dataset: str | None = None
    env_args: Mapping[str, Any] | None = None

    def __post_init__(self) -> None:
        for name, value, known in (
            ("task", self.task, tuple(TASKS)),
            ("controller", self.controller, PARTS),
            *(("robots", robot, ROBOTS) for robot in self.robots),
        ):
            if value not in known:
                raise ConfigError(f"env.{name} is {value!r}: there is no such one{nearest(value, known)}")
        arms = TASKS[self.task][1]
        if len(self.robots) not in (1, arms):
            raise ConfigError(f"env.robots names {len(self.robots)} robots, expected {arms} for {self.task}")
        for name, number in (("max_steps", self.max_steps), ("image_px", self.image_px)):
            if number is not None and number < 1:
                raise ConfigError(f"env.{name} is {number}, expected at least 1")
        if self.dataset is not None and self.env_args is None:
            object.__setattr__(self, "env_args", env_args_of(self.dataset))

    def build(self) -> "Robosuite":
        """Make the environment; raises MissingExtraError without the extra `robosuite`."""
        return Robosuite(self)


class Robosuite(Env):
    """A robosuite task, 20 Hz unless a dataset says otherwise.

    Observations carry robomimic's names. `object` holds all that robosuite says of the objects;
    robot0_eef_pos (m) and robot0_eef_quat (x, y, z, w) are the hand's pose in the world, robot0_gripper_qpos
    the fingers (m). They are those of the simulator's state after the step, as robomimic extracts them.

    An action of OSC_POSE is, for every arm, (dx, dy, dz, rx, ry, rz, gripper), each −1 to 1: 1 asks for a
    goal 0.05 m or 0.5 rad (axis and angle) from where the hand is, in the frame of the robot's base (of the
    world, in recordings of robosuite 1.0 to 1.4); gripper −1 opens, 1 closes. The first success ends it.

    `differences`: in words, what is not as in the dataset's environment.
    """

    metadata = {"render_modes": ["rgb_array"], "render_fps": RATE_HZ}  # noqa: RUF012
    success_definition = "robosuite's check of the task (_check_success) held after any step"

    def __init__(self, config: RobosuiteConfig) -> None:
        self._package = installed()
        self._is_recorded = config.env_args is not None
        self._acts_as_before = config.env_args is not None and is_old(config.env_args)
        self.differences: tuple[str, ...] = ()
        rate = float(config.env_args["rate_hz"]) if config.env_args else RATE_HZ
        self._name = config.env_args["env_name"] if config.env_args else TASKS[config.task][0]
        lengths = {name: steps for name, _, steps in TASKS.values()}
        self.max_steps = config.max_steps or lengths.get(self._name, OTHER_TASKS_STEPS)
        with self._refusing(config):
            self._settings = self._settings_of(config, self._name) | {"control_freq": rate}
        self.render_mode = "rgb_array"
        self._pictures: dict[tuple[int, int], Offscreen] = {}
        self._suite: Any = None
        self._steps, self._success = 0, False
        with self._refusing(config):
            self._start(0)
        self.data_spec = DataSpec(self._obs_specs(config), action_spec(self._suite), rate)
        self.observation_space, self.action_space = spaces_of(self.data_spec)
        if config.env_args:
            self.differences += version_differences(config.env_args, self._package.__version__)
        if self._acts_as_before and OBJECT in self.data_spec.obs and self._name not in COMPARED:
            self.differences += (f"the order of {self._name}'s `object` may not be robosuite 1.4's",)
        for difference in self.differences:
            warnings.warn(difference, stacklevel=3)

    @contextmanager
    def _refusing(self, config: RobosuiteConfig) -> Iterator[None]:
        """Answer whatever keeps robosuite from making it with versions and what was asked for."""
        try:
            yield
        except (EnvError, ValueError, KeyError, TypeError, AttributeError, AssertionError) as error:
            told, version = " ".join(str(error).split()) or repr(error), self._package.__version__
            if config.env_args is None:
                asked = f"env.robots={list(config.robots)} and env.controller={config.controller}"
                raise EnvError(
                    f"robosuite {version} cannot make {self._name} with {asked}: {told}"
                ) from error
            raise EnvError(
                f"{self._name} of the dataset cannot be made again: {told} "
                f"({both_versions(config.env_args, version)}): {INSTEAD}"
            ) from error

    def _settings_of(self, config: RobosuiteConfig, name: str) -> dict[str, Any]:
        package = self._package
        if name not in package.ALL_ENVIRONMENTS:
            raise EnvError(f"the environment {name!r} is unknown{nearest(name, package.ALL_ENVIRONMENTS)}")
        if config.env_args:
            kinds = package.environments.base.REGISTERED_ENVS[name].__mro__
            accepted = {key for kind in kinds for key in inspect.signature(kind).parameters}
            return suite_settings(config.env_args, accepted - {"args", "kwargs"}, self._part)
        arms = TASKS[config.task][1]
        robots = list(config.robots) * (arms // len(config.robots))
        controllers = [package.load_composite_controller_config(robot=robot) for robot in robots]
        for controller in controllers:
            controller["body_parts"]["right"] = self._part(config.controller) | {"gripper": {"type": "GRIP"}}
        return {"robots": robots, "controller_configs": controllers}

    def _part(self, controller: str) -> Any:
        return self._package.load_part_controller_config(default_controller=controller)

    def _obs_specs(self, config: RobosuiteConfig) -> dict[str, ArraySpec]:
        if config.env_args:
            return self._recorded_specs(config.env_args["obs"])
        proprioception = ("eef_pos", "eef_quat", "gripper_qpos")
        arms = [f"robot{arm}_{key}" for arm in range(len(self._suite.robots)) for key in proprioception]
        pixels = (config.image_px, config.image_px, 3)
        wanted: dict[str, tuple[int, ...] | None] = dict.fromkeys(config.obs or (OBJECT, *arms))
        wanted |= {f"{camera}{IMAGE_SUFFIX}": pixels for camera in config.cameras}
        specs = {key: array_spec(self._suite, key, shape) for key, shape in wanted.items()}
        if unknown := [key for key, spec in specs.items() if spec is None]:
            there = [*self._suite.observation_names, OBJECT, STATES]
            there += [f"{name}{IMAGE_SUFFIX}" for name in self._suite.sim.model.camera_names]
            raise ConfigError(f"env.obs: {unknown[0]!r} is not observed here{nearest(unknown[0], there)}")
        return {key: spec for key, spec in specs.items() if spec}

    def _recorded_specs(self, recorded: Mapping[str, Any]) -> dict[str, ArraySpec]:
        specs = {}
        for key, told in recorded.items():
            spec = array_spec(self._suite, key, tuple(told["shape"]), told["dtype"])
            if spec is None:
                self.differences += (f"observation {key!r} is not made by the installed robosuite",)
            elif spec.shape != tuple(told["shape"]):
                raise EnvError(f"{key!r} is {spec.shape} here, but {tuple(told['shape'])} in the dataset")
            else:
                specs[key] = spec
        if not specs:
            raise EnvError(
                f"none of the dataset's observations is made by the installed robosuite: {recorded}"
            )
        return specs

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Obs, dict[str, Any]]:
        """Start an episode drawn by the seed, or at a recorded state.

        options: "state", a state (1 + nq + nv,) as `state` gives it, and "model", the scene of that recording
        as MuJoCo's XML; without "model" the state is set in a scene drawn by the seed. Whether the task is
        done there is said at once.
        """
        super().reset(seed=seed)
        options = options or {}
        self._start(int(self.np_random.integers(2**31)) if seed is None else seed, **options)
        self._success = "state" in options and bool(self._suite._check_success())
        return self._observe(), self._info()

    def _start(self, seed: int, state: np.ndarray | None = None, model: str | None = None) -> None:
        self.close()
        suite = self._package.make(
            self._name,
            **self._settings,
            has_renderer=False,
            has_offscreen_renderer=False,
            use_camera_obs=False,
            renderer="mujoco",
            ignore_done=True,
            hard_reset=False,
            seed=seed,
        )
        suite.reset()
        if model:
            suite.reset_from_xml_string(suite.edit_model_xml(as_named_now(model, suite)))
            suite.sim.reset()
        self._suite = suite
        if state is not None:
            self._set_state(state, is_start=model is None)
        if self._acts_as_before:
            act_as_before(suite)
            observe_with_old_signs(suite, self._name)
        if self._acts_as_before or not self._is_recorded:
            observe_in_old_order(suite, self._name)
        # Observations are made once, at the end of a step, instead of at each of its 25 physics steps.
        make = suite._update_observables
        suite._update_observables = lambda force=False: make(force=True) if force else None
        self._steps, self._success = 0, False

    def _set_state(self, state: np.ndarray, is_start: bool) -> None:
        if np.shape(state) != self.state.shape:
            raise EnvError(f"state is {np.shape(state)}, expected {self.state.shape} for {self._name}")
        self._suite.sim.set_state_from_flattened(np.asarray(state, np.float64))
        self._suite.sim.forward()
        if is_start:
            rest_here(self._suite)

    @property
    def state(self) -> np.ndarray:
        """The simulator's time (s), positions and velocities, (1 + nq + nv,), as robosuite records them."""
        return np.array(self._suite.sim.get_state().flatten())

    def step(self, action: np.ndarray) -> tuple[Obs, float, bool, bool, dict[str, Any]]:
        """Apply `action` for one control step; the reward is robosuite's."""
        reward, self._steps = self._suite.step(clipped(action, self.data_spec.action))[1], self._steps + 1
        model, data = self._suite.sim.model._model, self._suite.sim.data._data
        # The last physics step moved the joints; this moves what hangs on them, and changes nothing else.
        mujoco.mj_kinematics(model, data)
        mujoco.mj_comPos(model, data)
        mujoco.mj_comVel(model, data)
        self._success = self._success or bool(self._suite._check_success())
        return self._observe(), float(reward), self._success, self._steps >= self.max_steps, self._info()

    def _observe(self) -> Obs:
        seen = self._suite._get_observations(force_update=True)
        return {
            key: self._array(key, spec, seen)
            for key, spec in self.data_spec.obs.items()
            if self.shows_images or not spec.is_image
        }

    def _array(self, key: str, spec: ArraySpec, seen: Mapping[str, Any]) -> np.ndarray:
        if spec.is_image:
            return self._picture(key.removesuffix(IMAGE_SUFFIX), spec.shape[0], spec.shape[1])
        value = self.state if key == STATES else seen["object-state" if key == OBJECT else key]
        return np.array(value, spec.dtype).reshape(spec.shape)

    def _info(self) -> dict[str, Any]:
        return {"success": self._success, "score": float(self._success)}

    def expert(self, style: str | None = None) -> Expert:
        """The scripted demonstrator of Lift, Can and Square with OSC_POSE; raises EnvError elsewhere."""
        if style is not None:
            raise EnvError(f"style is {style!r}, but robosuite's expert has none: leave it out")
        return expert_of(self._name, self._suite, self.data_spec.action)

    def render(self) -> np.ndarray:
        """The view of `agentview` (256, 256, 3) uint8; raises EnvError where nothing can be drawn."""
        return self._picture("agentview", VIDEO_PX, VIDEO_PX)

    def _picture(self, camera: str, height: int, width: int) -> np.ndarray:
        size = (height, width)
        if size not in self._pictures:
            model = self._suite.sim.model._model
            hidden = model.geom_group == COLLISION_SHAPES
            model.geom_rgba[hidden, 3], model.geom_matid[hidden] = 0.0, -1
            self._pictures[size] = Offscreen(model, height, width, samples=4)
        return self._pictures[size].draw(self._suite.sim.data._data, camera)

    def close(self) -> None:
        """Give the memory of the suite, and of its pictures, back; only `reset` may follow."""
        while self._pictures:
            self._pictures.popitem()[1].close()
        # 120 MB, which cycles of references would keep long after there is a new one.
        if self._suite is not None:
            self._suite.close()
