"""A small problem to train on: the action is a linear map of the observation, over endless windows."""

from collections.abc import Callable, Generator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import torch

from imitate.datasets.loader import DataConfig
from imitate.normalize import ArrayStatistics
from imitate.policies.diffusion import DiffusionConfig
from imitate.policies.nets.film_mlp import FilmMlpConfig
from imitate.policy import Horizons, PolicyConfig
from imitate.training.config import TrainConfig
from imitate.training.learner import Learner
from imitate.training.optimizer import AdamWConfig
from imitate.training.run import Run, RunFolder
from imitate.types import ArraySpec, Batch, DataSpec

SPEC = DataSpec({"state": ArraySpec((3,))}, ArraySpec((2,), names=("x", "y"), units=("m", "m")), rate_hz=10.0)
HORIZONS = Horizons(obs_steps=2, pred_steps=4, action_steps=2)


@dataclass
class LinearWindows:
    """Endless windows, row i of each from episode i; `poisoned` is a step whose batch holds a NaN."""

    batch_size: int = 16
    seed: int = 0
    poisoned: int | None = None

    def batch(self, step: int) -> Batch:
        rng = np.random.default_rng((self.seed, step))
        state = rng.normal(size=(self.batch_size, 1, 3)).astype(np.float32).repeat(5, axis=1)
        action = np.stack([state[..., 0] + state[..., 1], state[..., 2]], axis=-1)[:, 1:]
        if step == self.poisoned:
            action[3, 0] = np.nan
        return Batch(
            {"state": torch.from_numpy(state[:, :2])},
            torch.from_numpy(action),
            torch.zeros(self.batch_size, 4, dtype=torch.bool),
            torch.ones(self.batch_size),
        )

    def stream(self, start_step: int = 0) -> Generator[Batch, None, None]:
        while True:
            yield self.batch(start_step)
            start_step += 1

    def episodes(self, step: int) -> np.ndarray:
        return np.arange(self.batch_size)


def statistics() -> dict[str, ArrayStatistics]:
    def normal(size: int) -> ArrayStatistics:
        one = np.ones(size)
        return ArrayStatistics(-3 * one, 3 * one, 0 * one, one)

    return {"state": normal(3), "action": normal(2)}


DIFFUSION = DiffusionConfig(HORIZONS, denoiser=FilmMlpConfig(width=32, blocks=1, condition_width=16))


@dataclass(frozen=True)
class Trial:
    """A run ready to train: a fresh learner, and its folder."""

    learner: Learner
    folder: RunFolder


@pytest.fixture
def trial(tmp_path: Path) -> Callable[..., Trial]:
    """Makes a Trial: trial("name", policy=…, max_steps=…, other TrainConfig fields)."""

    def make(name: str = "run", policy: PolicyConfig = DIFFUSION, **settings: object) -> Trial:
        defaults: dict[str, object] = {
            "max_steps": 12,
            "max_minutes": None,
            "device": "cpu",
            "precision": "fp32",
        }
        defaults |= {"log_every": 5, "validations": 3}
        train = TrainConfig(**{**defaults, **settings})  # type: ignore[arg-type]
        optim = AdamWConfig()
        torch.manual_seed(train.seed)
        built = policy.build(SPEC)
        built.normalizer.fit(statistics())
        run = Run(policy, None, DataConfig("toy"), optim, train)
        return Trial(Learner(built, optim, train), RunFolder(tmp_path / name, run, "abc"))

    return make


@pytest.fixture
def windows() -> type[LinearWindows]:
    return LinearWindows
