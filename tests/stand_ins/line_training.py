"""A small run on the line environment, for tests of several workers."""

from pathlib import Path
from typing import Any

from line_env import LineConfig

from imitate.datasets.loader import DataConfig
from imitate.policies.diffusion import DiffusionConfig
from imitate.policies.nets.film_mlp import FilmMlpConfig
from imitate.policy import Horizons, PolicyConfig
from imitate.training.config import TrainConfig
from imitate.training.logs import LOG, read_log
from imitate.training.optimizer import AdamWConfig
from imitate.training.run import Run

HORIZONS = Horizons(2, 4, 2)
DIFFUSION = DiffusionConfig(HORIZONS, denoiser=FilmMlpConfig(width=16, blocks=1))


def run_of(
    demos: Path, policy: PolicyConfig = DIFFUSION, env: LineConfig | None = None, **settings: Any
) -> Run:
    """60 steps of 32 windows, a row of the log every 5."""
    defaults: dict[str, Any] = {"max_steps": 60, "max_minutes": None, "batch_size": 32, "device": "cpu"}
    defaults |= {"precision": "fp32", "validations": 2, "log_every": 5}
    defaults |= {"evaluations": 1, "eval_episodes": 2, "eval_workers": 0}
    return Run(policy, env, DataConfig(str(demos)), AdamWConfig(), TrainConfig(**{**defaults, **settings}))


def curve(out: Path) -> list[float]:
    """The losses in the log of a run."""
    return [row["train/loss"] for row in read_log(out / LOG) if "train/loss" in row]
