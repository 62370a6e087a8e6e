"""Run folders of untrained policies on the line environment, which succeed now and then."""

from pathlib import Path

import torch
from line_env import LineConfig

from imitate import checkpoint
from imitate.checkpoint import BEST, CheckpointInfo, describe
from imitate.datasets.used_seeds import UsedSeeds
from imitate.policies.bc import BehaviourCloningConfig
from imitate.policy import Horizons

ENV = LineConfig(max_steps=15)
CONFIG = BehaviourCloningConfig(horizons=Horizons(2, 8, 4), width=16, layers=1)


def run(
    folder: Path, weights_seed: int = 0, kept: int = 0, used_seeds: tuple[UsedSeeds, ...] | None = None
) -> Path:
    """A run with its best, and `kept` checkpoints over time, each with other weights."""
    (folder / "checkpoints").mkdir(parents=True)
    _save(folder / BEST, weights_seed, 100 * (kept + 1), used_seeds)
    for number in range(1, kept + 1):
        file = folder / "checkpoints" / f"step_{100 * number:08d}.safetensors"
        _save(file, weights_seed + number, 100 * number, used_seeds)
    return folder


def _save(file: Path, weights_seed: int, step: int, used_seeds: tuple[UsedSeeds, ...] | None) -> None:
    with torch.random.fork_rng():
        torch.manual_seed(weights_seed)
        policy = CONFIG.build(ENV.build().data_spec)
    info: CheckpointInfo = describe(
        CONFIG,
        policy,
        ENV,
        data_hash="d" * 64,
        seeds={"train": weights_seed},
        step=step,
        metrics={},
        training={},
        used_seeds=used_seeds,
    )
    checkpoint.save(file, {f"ema/{name}": value for name, value in policy.state_dict().items()}, info)
