"""Many tasks in one environment: the seed says which, and nothing else changes."""

from contextlib import ExitStack, closing

import numpy as np
import pytest

from imitate.collection.demonstrate import Recipe, demonstrate
from imitate.envs.metaworld import MetaworldConfig
from imitate.envs.metaworld_multitask import IDLE, MetaworldMultitask, MetaworldMultitaskConfig
from imitate.errors import ConfigError

pytest.importorskip("metaworld.env_dict")

NAMES = ("reach-v3", "drawer-close-v3", "push-v3")


@pytest.fixture
def env() -> MetaworldMultitask:
    return MetaworldMultitaskConfig(tasks=NAMES).build()


@pytest.mark.parametrize("seed", [0, 4, 100_001])
def test_an_episode_is_that_of_the_single_task(env: MetaworldMultitask, seed: int) -> None:
    name = NAMES[seed % 3]
    single = MetaworldConfig(name).build()
    obs, _ = env.reset(seed=seed)
    alone, _ = single.reset(seed=seed)
    assert obs["task"].tolist() == [float(name == other) for other in NAMES]
    assert env.instruction == single.instruction == name.removesuffix("-v3").replace("-", " ")
    expert, expert_alone = env.expert(), single.expert()
    for _ in range(15):
        assert np.array_equal(obs["state"], alone["state"])
        obs, *rest = env.step(expert.act())
        alone, *rest_alone = single.step(expert_alone.act())
        assert rest == rest_alone


def test_its_demonstrations_say_their_task(env: MetaworldMultitask) -> None:
    recipe = Recipe(MetaworldMultitaskConfig(tasks=NAMES, max_steps=3))
    said = [demonstrate(env, recipe, seed).metadata["task"] for seed in (0, 1, 2, 3)]
    assert said == ["reach", "drawer close", "push", "reach"] == [*env.instructions, "reach"]


def test_the_experts_solve_their_tasks_in_turn(env: MetaworldMultitask) -> None:
    for seed in range(3):
        env.reset(seed=seed)
        expert, is_over, info = env.expert(), False, {"success": False}
        while not is_over:
            _, _, terminated, truncated, info = env.step(expert.act())
            is_over = terminated or truncated
        assert info["success"]


def test_rows_of_a_rollout_take_turns_with_what_is_built(monkeypatch: pytest.MonkeyPatch) -> None:
    """Rows that each keep all of their tasks fill the memory: 58 MB for each row and task."""
    built, build = [], MetaworldConfig.build
    monkeypatch.setattr(MetaworldConfig, "build", lambda config: built.append(config.task) or build(config))
    with ExitStack() as stack:
        rows = [stack.enter_context(closing(MetaworldMultitaskConfig(tasks=NAMES).build())) for _ in range(4)]
        for seed in range(40):
            rows[seed % 4].reset(seed=seed)
    assert len(built) == len(rows) + len(NAMES) - 1, "a task is lent to one row, or idle"
    assert not any(IDLE.values())


def test_tasks_are_named_once_and_known() -> None:
    with pytest.raises(ConfigError, match="none twice"):
        MetaworldMultitaskConfig(tasks=("reach-v3", "reach-v3"))
    with pytest.raises(ConfigError, match="at least one"):
        MetaworldMultitaskConfig(tasks=())
    with pytest.raises(ConfigError, match=r"there is no such task.*'push-v3'"):
        MetaworldMultitaskConfig(tasks=("puhs-v3",))
