"""LeRobot's side of scripts/benchmarks/rollouts; runs in LeRobot's own environment.

Plays with lerobot.scripts.lerobot_eval.rollout, the loop of lerobot-eval, in the vector environment that it
uses by default (SyncVectorEnv), around the same environment under the names of LeRobot's observations.
"""

import sys
import time
from collections import deque
from pathlib import Path

sys.path[:0] = [str(Path(__file__).resolve().parents[3]), str(Path(__file__).resolve().parents[1])]

import gymnasium  # noqa: E402
import numpy as np  # noqa: E402
import torch  # noqa: E402
from lerobot.scripts.lerobot_eval import rollout  # noqa: E402
from rollout_task import CHUNK, Case, serve, targets  # noqa: E402


class Renamed(gymnasium.Wrapper):
    """The fingertip as agent_pos, the whole state as environment_state, the image as pixels."""

    task = task_description = "push the T onto its outline"

    def __init__(self, case):
        super().__init__(case.env.build())
        self._max_episode_steps = case.steps
        spaces = self.env.observation_space.spaces
        self.observation_space = gymnasium.spaces.Dict(
            self._named({key: spaces[key] for key in spaces}, True)
        )

    def _named(self, obs, are_spaces=False):
        state = obs["state"]
        agent = gymnasium.spaces.Box(-np.inf, np.inf, (2,), np.float32) if are_spaces else state[:2]
        named = {"agent_pos": agent, "environment_state": state}
        return named | ({"pixels": obs["img"]} if "img" in obs else {})

    def reset(self, **options):
        obs, info = self.env.reset(**options)
        return self._named(obs), info

    def step(self, action):
        obs, reward, terminated, truncated, info = self.env.step(action)
        return self._named(obs), reward, terminated, truncated, {**info, "is_success": info["success"]}


class Linear(torch.nn.Module):
    """The policy with a queue of actions, as LeRobot's policies with chunks have it."""

    def __init__(self, sleep_s):
        super().__init__()
        self._sleep_s = sleep_s
        self._queue = deque()

    def reset(self):
        self._queue.clear()

    def select_action(self, batch):
        if not self._queue:
            state, image = batch["observation.environment_state"], batch.get("observation.image")
            self._queue.extend(targets(state, image, self._sleep_s).unbind(1))
        return self._queue.popleft()


def measure(case: Case, settings: dict) -> tuple[float, float]:
    count = case.batch
    envs = gymnasium.vector.SyncVectorEnv([lambda: Renamed(case)] * count)
    policy, seconds, steps = Linear(case.sleep_s), 0.0, 0
    for first in range(0, case.episodes - count + 1, count):
        seeds = list(case.seeds[first : first + count])
        envs.reset(seed=seeds)
        began = time.perf_counter()
        done = rollout(envs, policy, same, same, same, same, seeds)
        seconds += time.perf_counter() - began
        steps += done["action"].shape[0] * done["action"].shape[1]
    envs.close()
    assert steps == case.steps * (case.episodes // count) * count and CHUNK > 0
    return steps, seconds


def same(value):
    return value


if __name__ == "__main__":
    serve(measure)
