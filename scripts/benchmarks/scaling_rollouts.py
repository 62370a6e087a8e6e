"""Episodes as Ray tasks: what they cost the workers, and the process that deals them. Part of `scaling`."""

import pickle
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from types import ModuleType
from typing import Any

import torch

from imitate.cluster.config import ClusterConfig
from imitate.cluster.rollouts import dealt, play
from imitate.cluster.session import session
from imitate.cluster.tasks import results
from imitate.envs.point_obstacle import PointObstacleConfig
from imitate.policies.diffusion import DiffusionConfig
from imitate.policies.nets.film_mlp import FilmMlpConfig
from imitate.rollout import Rollout

CPUS = 4
FIRST_SEED = 100_000


@dataclass(frozen=True)
class Played:
    """Seconds of the clock and of processors, and bytes that travelled, for `episodes` episodes."""

    episodes: int
    wall_s: float
    tasks_cpu_s: float
    driver_cpu_s: float
    policy_bytes: int
    result_bytes: int


def timed(seeds: list[int], policy: Any, env: Any, settings: dict[str, Any]) -> tuple[Rollout, float]:
    """In a worker: what imitate.cluster.rollouts plays, and the processor time of this worker."""
    busy = time.process_time()
    return play(seeds, policy, env, settings), time.process_time() - busy


@contextmanager
def cluster() -> Iterator[ModuleType]:
    """A Ray of this machine with room for four workers."""
    with session(ClusterConfig(workers=CPUS)) as ray:
        yield ray


def played(ray: ModuleType, workers: int, episodes: int, steps: int) -> Played:
    """`episodes` of PointObstacle with a diffusion policy, in tasks of 4, on `workers` at the same time."""
    env = PointObstacleConfig(max_steps=steps)
    torch.manual_seed(0)
    policy = DiffusionConfig(denoiser=FilmMlpConfig(width=128, blocks=2)).build(env.build().data_spec)
    config = ClusterConfig(workers=workers, cpus=CPUS / workers, episodes_per_task=4)
    settings = {"workers": 0, "batch": 4, "device": "cpu", "folder": None, "threads": 1}
    began, busy = time.perf_counter(), time.process_time()
    pieces = dealt(range(FIRST_SEED, FIRST_SEED + episodes), config.episodes_per_task)
    found = [part for _, part in results(ray, config, timed, pieces, policy, env, settings)]
    return Played(
        episodes,
        time.perf_counter() - began,
        sum(seconds for _, seconds in found),
        time.process_time() - busy,
        len(pickle.dumps(policy)),
        sum(len(pickle.dumps(part)) for part in found),
    )
