"""A finished experiment and a small data set, to make pages of."""

import json
from pathlib import Path

import numpy as np

from imitate.datasets.store import DemoStore
from imitate.evaluation.result import RolloutResult
from imitate.evaluation.video import VideoRecorder
from imitate.rollout import EpisodeResult
from imitate.types import ArraySpec, DataSpec, Episode

SPEC = DataSpec(
    {
        "arm": ArraySpec((3,), names=("x", "y", "angle"), units=("m", "m", "rad"), circular=(2,)),
        "camera": ArraySpec((8, 8, 3), "uint8"),
    },
    ArraySpec((2,), names=("vx", "vy"), units=("m/s", "m/s"), low=(-1.0, -1.0), high=(1.0, 1.0)),
    rate_hz=10.0,
)


def episode(
    seed: int, steps: int = 30, id: str = "", success: bool | None = True, style: str = ""
) -> Episode:
    """A straight reach from a drawn start to the origin, with a little noise."""
    generator = np.random.default_rng(seed)
    start = generator.uniform(-1, 1, 3)
    arm = start * np.linspace(1, 0, steps)[:, None] + generator.normal(0, 1e-3, (steps, 3))
    return Episode(
        id or f"seed{seed}",
        {"arm": arm.astype(np.float32), "camera": np.full((steps, 8, 8, 3), seed % 256, np.uint8)},
        (-0.5 * arm[:, :2]).astype(np.float32),
        success=success,
        operator="scripted",
        rate_hz=10.0,
        metadata={"style": style, "seed": seed},
    )


def store(path: Path, episodes: list[Episode]) -> DemoStore:
    """A new store that holds `episodes`."""
    made = DemoStore.create(path, SPEC, source="sample")
    for one in episodes:
        made.append(one)
    made.close()
    return made


def result(folder: Path, outcomes: list[bool], videos: int = 0) -> RolloutResult:
    """A rollout of seeds from 100000 on, the first `videos` of which are recorded in `folder`."""
    episodes = tuple(
        EpisodeResult(100_000 + i, won, 1.0 if won else 0.25, 40, float(won), 30 if won else None)
        for i, won in enumerate(outcomes)
    )
    recorded = {}
    for one in episodes[:videos]:
        writer = VideoRecorder(folder).open(one.seed, 10.0)
        for step in range(20):
            writer.add(np.full((64, 96, 3), 10 * step, np.uint8))
        writer.close()
        recorded[one.seed] = f"seed_{one.seed}.mp4"
    origin = {
        "policy": {"_target_": "imitate.policies.bc.BehaviourCloningConfig", "horizons": {"obs_steps": 2}},
        "env": {"_target_": "imitate.envs.metaworld.MetaWorldConfig", "task": "reach-v3"},
        "command": "imitate rollout checkpoint=runs/x out=runs/x/rollout",
        "training_step": 200,
        "data_hash": "0123456789abcdef",
        "versions": {"imitate": "0.1.0"},
    }
    return RolloutResult(episodes, 100, 10.0, "coverage", "the block covers the mark", {}, recorded, origin)


def run_folder(path: Path) -> Path:
    """What training leaves for the page: settings and a log."""
    path.mkdir()
    config = {
        "train": {"eval_episodes": 10, "batch_size": 64},
        "optim": {"lr": 0.001},
        "data": {"path": "demos.zarr"},
    }
    (path / "config.json").write_text(json.dumps(config))
    rows = [
        {
            "step": step,
            "time_s": step / 5,
            "train/loss": 5 / step,
            "train/learning_rate": 1e-3,
            "validation/loss": 9 / step,
        }
        | {
            "action_error/vx [m/s]": 1 / step,
            "action_error/grip": 0.5,
            "rollout/success_rate": min(1, step / 300),
        }
        for step in range(10, 310, 10)
    ]
    (path / "log.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows) + '{"step": 31')
    return path
