"""Several Meta-World tasks as one environment, for one policy that does them all."""

from collections import defaultdict
from dataclasses import dataclass, field
from typing import Any, cast

import numpy as np

from imitate.env import Env, Expert, Obs, spaces_of
from imitate.envs.metaworld import (
    ACTION,
    LONGEST_EPISODE,
    RATE_HZ,
    STATE,
    TASKS,
    MetaworldConfig,
    in_words,
)
from imitate.errors import ConfigError
from imitate.types import ArraySpec, DataSpec

# Of different kinds, and all with a scripted expert that hardly ever fails.
TEN_TASKS = (
    "reach-v3",
    "push-v3",
    "pick-place-v3",
    "door-open-v3",
    "drawer-open-v3",
    "drawer-close-v3",
    "button-press-topdown-v3",
    "window-open-v3",
    "sweep-into-v3",
    "assembly-v3",
)

IDLE: defaultdict[MetaworldConfig, list[Env]] = defaultdict(list)
"""Built, and nobody plays in them: 58 MB each. With all 50 tasks, 32 rows of a rollout would keep 93 GB."""


@dataclass(frozen=True)
class MetaworldMultitaskConfig:
    """`tasks` of Meta-World in turn: an episode's seed modulo their number says which one it is."""

    tasks: tuple[str, ...] = field(default=TEN_TASKS, metadata={"choices": TASKS})
    max_steps: int = LONGEST_EPISODE

    def __post_init__(self) -> None:
        if not self.tasks or len(set(self.tasks)) < len(self.tasks):
            raise ConfigError(f"env.tasks is {list(self.tasks)}, expected at least one task and none twice")
        for task in self.tasks:
            self.single(task)

    def single(self, task: str) -> MetaworldConfig:
        """The environment of one of the tasks; raises ConfigError for an unknown one."""
        return MetaworldConfig(task, self.max_steps)

    def build(self) -> "MetaworldMultitask":
        """Make the environment; raises MissingExtraError without the extra `metaworld`."""
        return MetaworldMultitask(self)


class MetaworldMultitask(Env):
    """Meta-World's observations and actions (see Metaworld), and a one-hot code that tells the task.

    | observation | unit | meaning |
    |-------------|------|---------|
    | state[0:39] |      | as Metaworld's |
    | task[i]     | 1    | 1 where this episode is of the i-th task, else 0 |

    An episode borrows its task's environment from those of this process that nobody plays in.
    """

    metadata = {"render_modes": ["rgb_array"], "render_fps": RATE_HZ}  # noqa: RUF012
    success_definition = "Meta-World's success signal of the episode's task was raised at any step"
    perturbations = ("friction", "start_range")

    def __init__(self, config: MetaworldMultitaskConfig) -> None:
        self._config = config
        self._borrowed: tuple[MetaworldConfig, Env] | None = None
        self.max_steps = config.max_steps
        self.instructions = tuple(map(in_words, config.tasks))
        self.render_mode = "rgb_array"
        code = ArraySpec((len(config.tasks),), names=config.tasks, units=("1",) * len(config.tasks))
        self.data_spec = DataSpec({"state": STATE, "task": code}, ACTION, RATE_HZ)
        self.observation_space, self.action_space = spaces_of(self.data_spec)
        self._begin(0)

    @property
    def instruction(self) -> str:
        """The task of the episode that was just reset, in words."""
        return self.instructions[self._number]

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Obs, dict[str, Any]]:
        """Start an episode of task number `seed` modulo the number of tasks; `options` are ignored."""
        super().reset(seed=seed)
        drawn = int(self.np_random.integers(2**31)) if seed is None else seed
        self._begin(drawn)
        obs, info = self._single.reset(seed=drawn)
        return self._with_code(obs), info

    def _begin(self, seed: int) -> None:
        self._number = seed % len(self._config.tasks)
        wanted = self._config.single(self._config.tasks[self._number])
        if self._borrowed is None or self._borrowed[0] != wanted:
            self._give_back()
            idle = IDLE[wanted]
            self._borrowed = (wanted, idle.pop() if idle else wanted.build())
        self._single.changes = self.changes

    @property
    def _single(self) -> Env:
        assert self._borrowed, "no episode after close() and before reset()"
        return self._borrowed[1]

    def _give_back(self) -> None:
        if self._borrowed:
            config, env = self._borrowed
            IDLE[config].append(env)
            self._borrowed = None

    def step(self, action: np.ndarray) -> tuple[Obs, float, bool, bool, dict[str, Any]]:
        """Apply `action` (4,) for 1/80 s; the reward is Meta-World's, 0 to 10."""
        obs, reward, terminated, truncated, info = self._single.step(action)
        return self._with_code(obs), float(reward), terminated, truncated, info

    def _with_code(self, obs: Obs) -> Obs:
        code = np.zeros(len(self._config.tasks), np.float32)
        code[self._number] = 1.0
        return {**obs, "task": code}

    def expert(self, style: str | None = None) -> Expert:
        """Meta-World's scripted policy of the episode's task; there are no styles."""
        return self._single.expert(style)

    def render(self) -> np.ndarray:
        """The table seen from a corner (480, 480, 3) uint8; raises EnvError where nothing can be drawn."""
        return cast("np.ndarray", self._single.render())

    def close(self) -> None:
        """Give the memory of its tasks back; only `reset` may follow."""
        self._give_back()
        for task in self._config.tasks:
            for env in IDLE.pop(self._config.single(task), ()):
                env.close()
