"""A task whose demonstrations differ in nothing but what was said: a point on a line goes left or right."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from imitate.env import Env, Expert, Obs, spaces_of
from imitate.types import ArraySpec, DataSpec

SPEC = DataSpec(
    {"position": ArraySpec((1,), names=("x",), units=("m",))},
    ArraySpec((1,), names=("dx",), units=("m/s",), low=(-1.0,), high=(1.0,)),
    rate_hz=10.0,
)
TEXTS = ("go left", "go right")


@dataclass(frozen=True)
class TwoWaysConfig:
    """Odd seeds are to go right; `says`: whether the environment tells."""

    says: bool = True

    def build(self) -> "TwoWays":
        return TwoWays(self)


class TwoWays(Env):
    success_definition = "x is 1 m beyond 0 on the wanted side"
    max_steps = 20

    def __init__(self, config: TwoWaysConfig) -> None:
        self.data_spec = SPEC
        self.instructions = TEXTS if config.says else ()
        self.observation_space, self.action_space = spaces_of(SPEC)

    @property
    def instruction(self) -> str:
        return self.instructions[self._right] if self.instructions else ""

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Obs, dict[str, Any]]:
        super().reset(seed=seed)
        self._right = (seed or 0) % 2
        self._x, self._steps = float(self.np_random.uniform(-0.2, 0.2)), 0
        return self._obs(), self._info()

    def step(self, action: np.ndarray) -> tuple[Obs, float, bool, bool, dict[str, Any]]:
        self._steps += 1
        self._x += 0.1 * float(np.clip(action[0], -1, 1))
        return self._obs(), 0.0, False, self._steps >= self.max_steps, self._info()

    def expert(self, style: str | None = None) -> Expert:
        return _Expert(1.0 if self._right else -1.0)

    def _obs(self) -> Obs:
        return {"position": np.array([self._x], np.float32)}

    def _info(self) -> dict[str, Any]:
        success = (self._x > 1) if self._right else (self._x < -1)
        return {"success": success, "score": float(success)}


@dataclass(frozen=True)
class _Expert:
    direction: float

    def act(self) -> np.ndarray:
        return np.array([0.8 * self.direction])
