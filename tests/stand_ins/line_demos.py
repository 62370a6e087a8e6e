"""Demonstrations on the line environment: a controller moves the point to 0."""

from pathlib import Path

import numpy as np
from line_env import SPEC, LineConfig

from imitate.datasets.store import DemoStore
from imitate.types import Episode


def line_demos(path: Path, episodes: int = 12, steps: int = 20) -> Path:
    """A store of episodes from the seeds 0, 1, …"""
    with DemoStore.create(path, SPEC) as store:
        for seed in range(episodes):
            store.append(_demonstration(seed, steps))
    return path


def _demonstration(seed: int, steps: int) -> Episode:
    env = LineConfig().build()
    seen, done = [env.reset(seed=seed)[0]], []
    for _ in range(steps):
        done.append(np.clip(-2 * seen[-1]["position"], -1, 1).astype(np.float32))
        seen.append(env.step(done[-1])[0])
    obs = {key: np.stack([each[key] for each in seen[:-1]]) for key in SPEC.obs}
    return Episode(f"ep_{seed}", obs, np.stack(done), success=True, rate_hz=10.0)
