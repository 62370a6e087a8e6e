"""Rollouts in suites of others: the same episodes in any process and in any company."""

from typing import Any

import pytest
import torch

from imitate.env import EnvConfig
from imitate.envs.aloha import AlohaConfig
from imitate.envs.gymnasium_adroit import TASKS, AdroitConfig
from imitate.envs.gymnasium_kitchen import KitchenConfig
from imitate.envs.gymnasium_registered import GymnasiumConfig
from imitate.envs.gymnasium_robotics import FETCH, FetchConfig, PointMazeConfig
from imitate.errors import MissingExtraError
from imitate.policies.bc import BehaviourCloningConfig
from imitate.rollout import EpisodeResult, rollout
from imitate.types import DataSpec

SEEDS = [100_000, 100_001, 100_002]
QUICK: list[Any] = [
    GymnasiumConfig(),
    AdroitConfig("door", 30),
    FetchConfig("pick_place", 10),
    PointMazeConfig(max_steps=60),
]
OTHERS: list[Any] = [
    *(AdroitConfig(task, 60) for task in TASKS),
    *(FetchConfig(task, 20) for task in FETCH),
    KitchenConfig(max_steps=20),
    AlohaConfig("transfer_cube", max_steps=40),
    AlohaConfig("insertion", max_steps=40),
]


def spec_of(config: EnvConfig) -> DataSpec:
    try:
        env = config.build()
    except MissingExtraError as error:
        pytest.skip(str(error))
    env.close()
    return env.data_spec


def played(config: Any, seeds: list[int], workers: int) -> tuple[EpisodeResult, ...]:
    """Episodes of an untrained policy, which acts with noise."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        policy = BehaviourCloningConfig(head="gmm", width=32, act_std=0.3).build(spec_of(config))
    return rollout(policy, config, seeds, workers=workers, batch=2).episodes


def require_one_and_the_same(config: Any) -> None:
    expected = played(config, SEEDS, 0)
    assert played(config, SEEDS, 2) == expected
    assert played(config, SEEDS[2:], 0) == expected[2:]
    assert len({episode.total_reward for episode in expected} | {str(e.final_obs) for e in expected}) > 1


@pytest.mark.parametrize("config", QUICK, ids=lambda config: f"{type(config).__name__}")
def test_episodes_depend_on_their_seed_alone(config: Any) -> None:
    require_one_and_the_same(config)


@pytest.mark.slow
@pytest.mark.parametrize("config", OTHERS, ids=str)
def test_episodes_of_every_other_task_depend_on_their_seed_alone(config: Any) -> None:
    require_one_and_the_same(config)
