"""A scripted policy for tabletop/reach that deploys like a trained one, so that tests need no training."""

import time
from collections.abc import Mapping
from typing import Any

import numpy as np

from imitate.deploy.predictor import Loaded
from imitate.envs.tabletop.config import TabletopConfig
from imitate.envs.tabletop.reach import ReachConfig
from imitate.parts import to_json
from imitate.spec import DataSpec

MAX_STEP_M = 0.05


class Reaching:
    """Goes straight to the goal; the chunk foresees its own progress."""

    obs_steps = 2
    action_steps = 8
    plan_steps = 0

    def __init__(self, spec: DataSpec, takes_s: float = 0.0) -> None:
        self.spec = spec.select(["ee_to_goal", "gripper"])
        self.calls = 0
        self._takes_s = takes_s

    def predict(self, obs: Mapping[str, np.ndarray], rng: np.random.Generator) -> np.ndarray:
        assert obs["ee_to_goal"].shape == (self.obs_steps, 3)
        self.calls += 1
        if self._takes_s:
            time.sleep(self._takes_s)
        left = obs["ee_to_goal"][-1].astype(np.float64)
        chunk = np.zeros((self.action_steps, 5), np.float32)
        chunk[:, 4] = obs["gripper"][-1, 0]
        for row in chunk:
            step = np.clip(left, -MAX_STEP_M, MAX_STEP_M)
            row[:3] = step
            # The servos lag, so a step is not done whole.
            left = left - 0.8 * step
        return chunk


def config(**changes: Any) -> TabletopConfig:
    """The environment's settings."""
    return ReachConfig(**changes)


def loaded(takes_s: float = 0.0, **changes: Any) -> Loaded:
    """The policy, as if it came from a file."""
    env = config(**changes)
    built = env.build()
    spec = built.data_spec
    built.close()
    return Loaded(Reaching(spec, takes_s), {"file": "reaching", "kind": "script"}, to_json(env))
