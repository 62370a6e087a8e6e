"""The line environment with a camera that counts its pictures, and a policy that looks at them."""

import time
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from line_env import SPEC, LineConfig, LineEnv
from line_policy import LinePolicy

from imitate.env import Obs, spaces_of
from imitate.types import ActionChunk, ArraySpec

WATCHED = replace(SPEC, obs={**SPEC.obs, "camera": ArraySpec((4, 6, 3), dtype="uint8")})


@dataclass(frozen=True)
class WatchedConfig(LineConfig):
    """`step_s`: how long a step takes, asleep, so that any number of processes can step at the same time."""

    camera: bool = True
    step_s: float = 0.0

    def build(self) -> "WatchedEnv":
        return WatchedEnv(self)


class WatchedEnv(LineEnv):
    """The picture shows x and the step, so that another picture would be noticed."""

    pictures = 0
    steps_made = 0

    def __init__(self, config: WatchedConfig) -> None:
        super().__init__(config)
        self.config: WatchedConfig = config
        self.data_spec = WATCHED if config.camera else SPEC
        self.observation_space, self.action_space = spaces_of(self.data_spec)

    def step(self, action: np.ndarray) -> tuple[Obs, float, bool, bool, dict[str, Any]]:
        time.sleep(self.config.step_s)
        type(self).steps_made += 1
        return super().step(action)

    def _obs(self) -> Obs:
        obs = super()._obs()
        if self.config.camera and self.shows_images:
            type(self).pictures += 1
            obs["camera"] = np.full((4, 6, 3), 128 + 100 * self.x, np.uint8)
            obs["camera"][0, 0] = self.steps
        return obs


class Watcher(LinePolicy):
    """Looks at all pictures, and acts by them."""

    def predict(self, obs, generator):
        chunk = super().predict(obs, generator)
        seen = obs["camera"].float().flatten(2).mean(2) / 255
        return ActionChunk(chunk.values + 0.1 * (seen @ torch.tensor([1.0, -2.0, 3.0]))[:, None, None])
