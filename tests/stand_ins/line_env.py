"""A tiny environment for tests of rollouts, in a module that worker processes can import.

A point on a line starts at a place drawn by seed and should come within 0.1 m of 0. Noise drawn by the
episode's own generator moves it too, so that an episode depends on its whole history.
"""

import os
import signal
import time
from dataclasses import dataclass
from typing import Any

import numpy as np

from imitate.env import Env, Obs, spaces_of
from imitate.types import ArraySpec, DataSpec

SPEC = DataSpec(
    {
        "position": ArraySpec((1,), names=("x",), units=("m",)),
        "velocity": ArraySpec((2,), names=("dx", "dx_before"), units=("m/s", "m/s")),
    },
    ArraySpec((1,), names=("dx",), units=("m/s",), low=(-1.0,), high=(1.0,)),
    rate_hz=10.0,
)


@dataclass(frozen=True)
class LineConfig:
    """`trouble` happens in the step `trouble_step` of the episode of `trouble_seed`."""

    max_steps: int = 30
    trouble: str = ""
    trouble_seed: int = -1
    trouble_step: int = 1

    def build(self) -> "LineEnv":
        return LineEnv(self)


class LineEnv(Env):
    success_definition = "|x| < 0.1 m"
    score_name = "nearness"

    def __init__(self, config: LineConfig) -> None:
        self.config = config
        self.data_spec = SPEC
        self.max_steps = config.max_steps
        self.observation_space, self.action_space = spaces_of(SPEC)

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Obs, dict[str, Any]]:
        self.seed = seed
        self.random = np.random.default_rng(seed)
        self.x = self.random.uniform(-1, 1)
        self.velocity = np.zeros(2)
        self.steps, self.best, self.success = 0, 0.0, False
        return self._obs(), self._info()

    def step(self, action: np.ndarray) -> tuple[Obs, float, bool, bool, dict[str, Any]]:
        self.steps += 1
        if self.seed == self.config.trouble_seed and self.steps == self.config.trouble_step:
            self._trouble()
        self.velocity = np.array([np.clip(action[0], -1, 1), self.velocity[0]])
        self.x += 0.1 * self.velocity[0] + 0.01 * self.random.standard_normal()
        truncated = self.steps >= self.max_steps and self.config.trouble != "endless"
        return self._obs(), -abs(self.x), abs(self.x) < 0.02, truncated, self._info()

    def render(self) -> np.ndarray:
        """The point as a white column in an image of odd size."""
        if self.config.trouble == "no camera":
            raise OSError("libOSMesa.so was not found")
        image = np.zeros((33, 65, 3), np.uint8)
        column = int(np.clip(32 + 20 * self.x, 1, 63))
        image[:, column - 1 : column + 2] = 255
        return image

    def _obs(self) -> Obs:
        return {"position": np.array([self.x], np.float32), "velocity": self.velocity.astype(np.float32)}

    def _info(self) -> dict[str, Any]:
        self.success |= abs(self.x) < 0.1
        self.best = max(self.best, 1 - abs(self.x))
        return {"success": self.success, "score": self.best}

    def _trouble(self) -> None:
        if self.config.trouble == "raise":
            raise RuntimeError("the belt is off")
        if self.config.trouble == "die":
            os.kill(os.getpid(), signal.SIGKILL)
        if self.config.trouble == "sleep":
            time.sleep(600)
