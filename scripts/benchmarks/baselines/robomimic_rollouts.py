"""robomimic's side of scripts/benchmarks/rollouts; runs with robomimic on its path.

Plays with robomimic.utils.train_utils.run_rollout, the loop of its training and of run_trained_agent: one
environment in this process. The environment joins as users' own do, as a subclass of EnvBase.
"""

import sys
import time
from collections import deque
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import numpy as np
import torch
from rollout_task import Case, serve, targets

from imitate.policies.nets.torchvision_import import import_torchvision

import_torchvision("images")  # robomimic imports it plainly, which fails where it does not fit torch

import robomimic.utils.obs_utils as obs_utils  # noqa: E402
from robomimic.algo.algo import RolloutPolicy  # noqa: E402
from robomimic.envs.env_base import EnvBase  # noqa: E402
from robomimic.utils.train_utils import run_rollout  # noqa: E402


class PushT(EnvBase):
    """The same environment; images as robomimic hands them to policies."""

    def __init__(self, case):
        self.env, self._seeds, self._success = case.env.build(), deque(case.seeds), False

    def reset(self):
        obs, _ = self.env.reset(seed=self._seeds.popleft())
        return self.get_observation(obs)

    def step(self, action):
        obs, reward, terminated, truncated, info = self.env.step(action)
        self._success = info["success"]
        return self.get_observation(obs), reward, terminated or truncated, info

    def get_observation(self, obs):
        if "img" not in obs:
            return {"state": obs["state"]}
        return {"state": obs["state"], "img": obs_utils.process_obs(obs["img"], obs_modality="rgb")}

    def is_success(self):
        return {"task": self._success}

    @property
    def rollout_exceptions(self):
        return ()


PushT.__abstractmethods__ = frozenset()  # the rest of EnvBase is not for rollouts


class Linear:
    """The policy as run_rollout's RolloutPolicy holds it, with a queue of actions."""

    device = torch.device("cpu")

    def __init__(self, sleep_s):
        self._sleep_s, self._queue = sleep_s, deque()

    def set_eval(self):
        pass

    def reset(self):
        self._queue.clear()

    def get_action(self, obs_dict, goal_dict=None):
        if not self._queue:
            chunk = targets(obs_dict["state"], obs_dict.get("img"), self._sleep_s)
            self._queue.extend(chunk.unbind(1))
        return self._queue.popleft()


def measure(case: Case, settings: dict) -> tuple[float, float]:
    obs_utils.initialize_obs_utils_with_obs_specs([{"obs": {"low_dim": ["state"], "rgb": ["img"]}}])
    env, policy = PushT(case), RolloutPolicy(Linear(case.sleep_s))
    episodes = settings["episodes"]
    began = time.perf_counter()
    steps = sum(run_rollout(policy, env, case.steps)["Horizon"] for _ in range(episodes))
    assert steps == episodes * case.steps and np.isfinite(steps)
    return steps, time.perf_counter() - began


if __name__ == "__main__":
    serve(measure)
