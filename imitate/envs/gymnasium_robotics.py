"""Gymnasium-Robotics: what its adapters share, Fetch and the point mazes.

De Lazcano et al. 2023, https://robotics.farama.org. Observations and actions are laid out as in Minari's data
sets of these environments, and get the names and units that gymnasium's spaces do not tell.
"""

import contextlib
import io
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import gymnasium

from imitate.envs.gymnasium_adapter import GymnasiumAdapter, Suite
from imitate.envs.gymnasium_spaces import action_spec, observation_leaves
from imitate.envs.gymnasium_success import Flag, Rule
from imitate.errors import ConfigError, import_extra, nearest
from imitate.spec import ArraySpec
from imitate.types import DataSpec

Elements = Sequence[tuple[str, str]]
"""(name, unit) of every element of an array."""

XYZ = "xyz"


def along(name: str, unit: str, axes: Sequence[str] = XYZ) -> Elements:
    """One element for every axis, such as ("palm_x", "m")."""
    return [(f"{name}_{axis}", unit) for axis in axes]


@dataclass(frozen=True)
class Task:
    """One environment of the suite: its id, the elements of its arrays, and its control rate."""

    id: str
    obs: Mapping[str, Elements]
    action: Elements
    rate_hz: float
    rule: Rule
    kwargs: Mapping[str, Any] = field(default_factory=dict)


class GymnasiumRobotics(GymnasiumAdapter):
    """The environment of a Task; raises MissingExtraError without the extra `gymnasium-robotics`."""

    def __init__(self, task: Task, max_steps: int) -> None:
        suite = _made(task, max_steps)
        leaves = observation_leaves(suite.observation_space, task.id)
        action = named(action_spec(suite.action_space, task.id), task.action)
        leaves = tuple(replace(leaf, spec=named(leaf.spec, task.obs[leaf.name])) for leaf in leaves)
        spec = DataSpec({leaf.name: leaf.spec for leaf in leaves}, action, task.rate_hz)
        super().__init__(suite, leaves, spec, task.rule, max_steps)


def _made(task: Task, max_steps: int) -> Suite:
    # The import prints a notice about environments with dense rewards, which are not used here.
    with contextlib.redirect_stderr(io.StringIO()):
        gymnasium.register_envs(import_extra("gymnasium_robotics", "gymnasium-robotics"))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that another version of the environment is the newest
        return gymnasium.make(task.id, max_episode_steps=max_steps, disable_env_checker=True, **task.kwargs)


def named(spec: ArraySpec, elements: Elements) -> ArraySpec:
    """`spec` with the names and units of its elements."""
    return replace(spec, names=tuple(name for name, _ in elements), units=tuple(unit for _, unit in elements))


def require(task: str, tasks: Mapping[str, Any], max_steps: int) -> None:
    """Raise ConfigError for a task that there is not, or an episode without steps."""
    if task not in tasks:
        raise ConfigError(f"env.task is {task!r}: there is no such task{nearest(task, tasks)}")
    if max_steps < 1:
        raise ConfigError(f"env.max_steps is {max_steps}, expected at least 1")


FETCH_STEP = "m/step"
FETCH_REACH = [
    *along("hand", "m"),
    *along("finger", "m", ("right", "left")),
    *along("hand_moved", FETCH_STEP),
    *along("finger_moved", FETCH_STEP, ("right", "left")),
]
FETCH_OBJECT = [
    *along("hand", "m"),
    *along("object", "m"),
    *along("hand_to_object", "m"),
    *along("finger", "m", ("right", "left")),
    *along("object_turn", "rad"),
    *along("object_from_hand_moved", FETCH_STEP),
    *along("object_turned", "rad/step"),
    *along("hand_moved", FETCH_STEP),
    *along("finger_moved", FETCH_STEP, ("right", "left")),
]


def _fetch(name: str, elements: Elements, what: str) -> Task:
    goals = {"achieved_goal": along(what, "m"), "desired_goal": along("goal", "m")}
    return Task(
        f"Fetch{name}-v4",
        {"observation": elements, **goals},
        [*along("hand_d", "5 cm", XYZ), ("gripper_opening", "1")],
        rate_hz=25.0,
        rule=Flag("is_success", f"the {what} came within 5 cm of its goal, which ends the episode"),
    )


FETCH = {
    "reach": _fetch("Reach", FETCH_REACH, "hand"),
    "push": _fetch("Push", FETCH_OBJECT, "object"),
    "slide": _fetch("Slide", FETCH_OBJECT, "object"),
    "pick_place": _fetch("PickAndPlace", FETCH_OBJECT, "object"),
}


@dataclass(frozen=True)
class FetchConfig:
    """One of the tasks of the Fetch arm (Plappert et al. 2018, arXiv 1802.09464), 25 Hz.

    The hand points down and is dragged by its position: an action element of 1 is 5 cm. What is called
    moved or turned is a velocity times the 0.04 s of a step.
    """

    task: str = field(default="reach", metadata={"choices": tuple(FETCH)})
    max_steps: int = 50

    def __post_init__(self) -> None:
        require(self.task, FETCH, self.max_steps)

    def build(self) -> GymnasiumRobotics:
        """Make the environment; raises MissingExtraError without the extra `gymnasium-robotics`."""
        return GymnasiumRobotics(FETCH[self.task], self.max_steps)


PLANE = ("x", "y")
MAZES = {
    f"{maze.lower()}{suffix.lower()}": (f"PointMaze_{maze}{suffix}-v3", steps)
    for maze, suffixes, steps in (
        ("UMaze", ("",), 300),
        ("Open", ("", "_Diverse_G", "_Diverse_GR"), 300),
        ("Medium", ("", "_Diverse_G", "_Diverse_GR"), 600),
        ("Large", ("", "_Diverse_G", "_Diverse_GR"), 800),
    )
    for suffix in suffixes
}
"""{task: (id, longest episode as registered)}"""


@dataclass(frozen=True)
class PointMazeConfig:
    """A ball that is pushed through a maze (Fu et al. 2020, arXiv 2004.07219).

    max_steps: None for as many as the maze is registered with. The physics is stepped once for every action
    at 100 Hz, although the suite's videos play at 50.
    """

    task: str = field(default="umaze", metadata={"choices": tuple(MAZES)})
    max_steps: int | None = None

    def __post_init__(self) -> None:
        require(self.task, MAZES, 1 if self.max_steps is None else self.max_steps)

    def build(self) -> GymnasiumRobotics:
        """Make the environment; raises MissingExtraError without the extra `gymnasium-robotics`."""
        name, steps = MAZES[self.task]
        task = Task(
            name,
            {
                "observation": [*along("ball", "m", PLANE), *along("ball_velocity", "m/s", PLANE)],
                "achieved_goal": along("ball", "m", PLANE),
                "desired_goal": along("goal", "m", PLANE),
            },
            along("force", "100 N", PLANE),
            rate_hz=100.0,
            rule=Flag("success", "the ball came within 0.45 m of its goal, which ends the episode"),
        )
        return GymnasiumRobotics(task, self.max_steps or steps)
