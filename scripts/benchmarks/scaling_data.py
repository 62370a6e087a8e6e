"""What one process does alone: opening the data and saving a checkpoint. Part of `scaling`."""

import tempfile
import time
from pathlib import Path

import numpy as np
import torch
from operations import operations
from scaling_training import ACTION, OBS, Case, batch, policy

from imitate.checkpoint import LAST
from imitate.datasets.loader import DataConfig, prepare
from imitate.datasets.store import DemoStore
from imitate.policy import Horizons
from imitate.training.config import TrainConfig
from imitate.training.learner import Learner
from imitate.training.optimizer import AdamWConfig
from imitate.training.run import Position, Run, RunFolder
from imitate.types import ArraySpec, DataSpec, Episode

SPEC = DataSpec({"state": ArraySpec((OBS,))}, ArraySpec((ACTION,)), rate_hz=10.0)
HORIZONS = Horizons(2, 16, 8)


def store(path: Path, episodes: int, steps: int) -> Path:
    """A store of random numbers."""
    random = np.random.default_rng(0)
    with DemoStore.create(path, SPEC) as made:
        for number in range(episodes):
            state = random.standard_normal((steps, OBS), np.float32)
            action = random.standard_normal((steps, ACTION), np.float32)
            made.append(Episode(f"ep_{number}", {"state": state}, action, success=True, rate_hz=10.0))
    return path


def opening(path: Path) -> float:
    """Processor seconds until the first batch could be cut: what every worker spends."""
    busy = time.process_time()
    prepare(DataConfig(str(path)), HORIZONS, None, 64, 0)
    return time.process_time() - busy


def flops_per_window(case: Case) -> float:
    """Operations of the forward and backward pass, counted."""
    built = policy(case)

    def both() -> None:
        built.loss(batch(case.batch_size))["loss"].backward()

    return operations(both) / case.batch_size


def saving(case: Case) -> tuple[float, int]:
    """Seconds of the clock that a save of `last` takes, while all others wait, and its bytes."""
    config = TrainConfig(max_steps=1, device="cpu", precision="fp32", batch_size=case.batch_size)
    built = policy(case)
    learner = Learner(built, AdamWConfig(), config)
    learner.step(batch(case.batch_size), 0, 0.0)
    with tempfile.TemporaryDirectory() as folder:
        run = Run(built.config, None, DataConfig("none"), AdamWConfig(), config)
        kept = RunFolder(Path(folder), run, "0" * 64)
        began = time.perf_counter()
        kept.save_last(learner, Position(step=1), {})
        return time.perf_counter() - began, (Path(folder) / LAST).stat().st_size


torch.set_num_threads(1)
