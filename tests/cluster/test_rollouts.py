"""Rollouts on Ray: the same episodes as on one machine, whatever happens to the workers."""

import time
from pathlib import Path
from types import ModuleType

import pytest
import torch
from dying_line import DyingLineConfig
from hypothesis import given
from hypothesis import strategies as st
from line_env import SPEC, LineConfig
from line_policy import LinePolicy

from imitate.cluster.config import ClusterConfig
from imitate.cluster.rollouts import ClusterRollouts, dealt
from imitate.datasets.store import DemoStore
from imitate.env import EnvConfig
from imitate.envs.point_obstacle import PointObstacleConfig
from imitate.errors import ClusterError, EnvError
from imitate.policies.diffusion import DiffusionConfig
from imitate.policies.nets.film_mlp import FilmMlpConfig
from imitate.rollout import Rollout, recording, rollout

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]
SEEDS = list(range(50_000, 50_013))


def on_ray(ray: ModuleType, env: EnvConfig, **settings) -> Rollout:
    # Two at a time: each new worker of a Ray imports torch.
    config = ClusterConfig(workers=2, cpus=2.0, episodes_per_task=3, **settings)
    return ClusterRollouts(config, ray)(LinePolicy(SPEC), env, SEEDS, batch=4, device="cpu", workers=2)


@given(st.lists(st.integers(0, 10**6), max_size=60, unique=True), st.integers(1, 20))
def test_every_episode_is_dealt_once(seeds: list[int], size: int) -> None:
    pieces = dealt(seeds, size)
    assert [seed for piece in pieces for seed in piece] == seeds
    assert all(1 <= len(piece) <= size for piece in pieces)


def test_episodes_are_those_of_one_machine(ray: ModuleType) -> None:
    here = rollout(LinePolicy(SPEC), LineConfig(), SEEDS, workers=0, batch=4)
    there = on_ray(ray, LineConfig())
    assert there.episodes == here.episodes
    assert there.env == here.env
    assert there.timing.env_steps == here.timing.env_steps


@pytest.mark.thorough
def test_a_diffusion_policy_acts_the_same_and_its_steps_are_kept(ray: ModuleType, tmp_path: Path) -> None:
    env = PointObstacleConfig(max_steps=40)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        policy = DiffusionConfig(denoiser=FilmMlpConfig(width=32, blocks=1)).build(env.build().data_spec)
    played = {}
    for name, player in (("here", rollout), ("there", ClusterRollouts(ClusterConfig(cpus=2.0), ray))):
        with recording(tmp_path / name, "test") as steps:
            played[name] = player(policy, env, SEEDS[:5], batch=4, workers=0, device="cpu", record=steps)
    assert played["there"].episodes == played["here"].episodes
    stores = [DemoStore.open(tmp_path / name) for name in played]
    assert stores[0].content_hash() == stores[1].content_hash()


def test_a_killed_worker_is_replaced_and_no_episode_counts_twice(ray: ModuleType, tmp_path: Path) -> None:
    here = rollout(LinePolicy(SPEC), LineConfig(), SEEDS, workers=0, batch=4)
    env = DyingLineConfig(graves=str(tmp_path), trouble_seed=SEEDS[4], times=2)
    there = on_ray(ray, env)
    assert len(list(tmp_path.iterdir())) == 2
    assert there.episodes == here.episodes


@pytest.mark.thorough
def test_workers_that_keep_dying_end_the_command(ray: ModuleType, tmp_path: Path) -> None:
    env = DyingLineConfig(graves=str(tmp_path), trouble_seed=SEEDS[4], times=99)
    with pytest.raises(ClusterError, match="a worker died 2 times over the same work"):
        on_ray(ray, env, restarts=1)
    assert len(list(tmp_path.iterdir())) == 2


@pytest.mark.thorough
def test_a_failing_environment_is_said_as_on_one_machine(ray: ModuleType) -> None:
    env = LineConfig(trouble="raise", trouble_seed=SEEDS[2])
    with pytest.raises(EnvError, match="LineEnv failed in the episode of seed 50002: RuntimeError: the belt"):
        on_ray(ray, env)


@pytest.mark.thorough
def test_an_episode_without_end_ends_the_command(ray: ModuleType) -> None:
    env = LineConfig(trouble="sleep", trouble_seed=SEEDS[2])
    with pytest.raises(ClusterError, match=r"no worker finished anything for cluster.timeout_s=8 s \("):
        on_ray(ray, env, timeout_s=8.0)


@pytest.mark.thorough
def test_a_worker_that_hangs_ends_the_command(ray: ModuleType, tmp_path: Path) -> None:
    env = DyingLineConfig(graves=str(tmp_path), trouble_seed=SEEDS[4], how="stop")
    with pytest.raises(ClusterError, match=r"no worker finished anything for cluster.timeout_s=40 s \("):
        on_ray(ray, env, timeout_s=40.0)
    (hung,) = tmp_path.iterdir()
    until = time.monotonic() + 60.0
    while Path(f"/proc/{hung.name}").exists():
        assert time.monotonic() < until
        time.sleep(0.2)
