"""What scripts/benchmarks/rollouts measures with this project alone; answers on standard input and output.

    rollout_ours.py raw|imitate|gymnasium

raw steps the environment with actions that were chosen before: what no rollout can beat in one process.
"""

import sys
import time
from collections.abc import Mapping
from functools import lru_cache
from typing import Any

import gymnasium
import numpy as np
import torch
from rollout_task import CHUNK, Case, serve, targets
from torch import Tensor

from imitate.normalize import Normalizer
from imitate.policy import Generator, Horizons, Policy
from imitate.rollout import rollout
from imitate.types import ActionChunk, Batch, DataSpec

Found = tuple[float, float]
OBS_STEPS = 2


class Linear(Policy):
    """`targets` as a policy."""

    def __init__(self, spec: DataSpec, sleep_s: float) -> None:
        super().__init__(
            spec, Horizons(OBS_STEPS, pred_steps=CHUNK + 1, action_steps=CHUNK), Normalizer(spec)
        )
        self._sleep_s = sleep_s

    def loss(self, batch: Batch) -> dict[str, Tensor]:
        raise NotImplementedError

    def predict(self, obs: Mapping[str, Tensor], generator: Generator) -> ActionChunk:
        return ActionChunk(targets(obs["state"][:, -1], obs.get("img"), self._sleep_s))


def imitate(case: Case, settings: Mapping[str, Any]) -> Found:
    """Steps, and seconds from the first policy call on; the start of workers is left out everywhere."""
    policy = Linear(case.env.build().data_spec, case.sleep_s)
    done = rollout(policy, case.env, case.seeds, workers=settings["workers"], batch=case.batch)
    return done.timing.env_steps, done.timing.env_s + done.timing.policy_s


def raw(case: Case, settings: Mapping[str, Any]) -> Found:
    """The share of the episodes that this process is given; `sparing`: images only where a policy looks."""
    env, share = case.env.build(), settings["share"]
    played = [(seed, _actions(case, seed)) for seed in case.seeds[share :: settings["of"]]]
    began = time.perf_counter()
    for seed, actions in played:
        env.shows_images = True
        env.reset(seed=seed)
        for step, action in enumerate(actions):
            env.shows_images = not settings["sparing"] or step % CHUNK >= CHUNK - OBS_STEPS
            env.step(action)
    return sum(len(actions) for _, actions in played), time.perf_counter() - began


@lru_cache(maxsize=4096)
def _actions(case: Case, seed: int) -> tuple[np.ndarray, ...]:
    env = case.env.build()
    env.shows_images = False
    obs, _ = env.reset(seed=seed)
    actions: list[np.ndarray] = []
    while len(actions) < case.steps:
        chunk = targets(torch.from_numpy(obs["state"])[None])[0].numpy()
        for action in chunk[: case.steps - len(actions)]:
            obs, *_ = env.step(action)
            actions.append(action)
    return tuple(actions)


def async_vector_env(case: Case, settings: Mapping[str, Any]) -> Found:
    """gymnasium's AsyncVectorEnv, with shared memory: a process for each environment."""
    count = settings["envs"]
    envs = gymnasium.vector.AsyncVectorEnv([case.env.build] * count, shared_memory=True)
    seconds = 0.0
    groups = [list(case.seeds[at : at + count]) for at in range(0, case.episodes - count + 1, count)]
    for seeds in groups:
        envs.reset(seed=seeds)  # builds what is built late, outside the time
        began = time.perf_counter()
        obs, _ = envs.reset(seed=seeds)
        for step in range(case.steps):
            if step % CHUNK == 0:
                image = torch.from_numpy(obs["img"]) if case.image else None
                chunk = targets(torch.from_numpy(obs["state"]), image, case.sleep_s).numpy()
            obs, *_ = envs.step(chunk[:, step % CHUNK])
        seconds += time.perf_counter() - began
    envs.close()
    return len(groups) * count * case.steps, seconds


if __name__ == "__main__":
    serve({"raw": raw, "imitate": imitate, "gymnasium": async_vector_env}[sys.argv[1]])
