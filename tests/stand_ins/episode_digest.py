"""What an episode is, as one hash: run as a program, it tells what episodes are in another process."""

import hashlib
import json
import sys
from typing import Any

import numpy as np

from imitate.env import Env
from imitate.parts import from_json


def sweep(env: Env, steps: int = 30) -> np.ndarray:
    """Actions (steps, Da) that use the whole range, smooth enough to get somewhere."""
    low, high = env.action_space.low, env.action_space.high
    phase = np.arange(steps)[:, None] * 0.3 + np.arange(len(low)) * 1.7
    return (low + (high - low) * (0.5 + 0.5 * np.sin(phase))).astype(np.float32)


def episode_digest(env: Env, seed: int, steps: int = 30) -> str:
    digest = hashlib.sha256()

    def add(obs: dict[str, np.ndarray], *rest: Any) -> None:
        for key in sorted(obs):
            digest.update(key.encode() + obs[key].tobytes())
        digest.update(repr(rest).encode())

    add(*env.reset(seed=seed))
    for action in sweep(env, steps):
        obs, reward, terminated, truncated, info = env.step(action)
        add(obs, float(reward), bool(terminated), bool(truncated), sorted(info.items()))
        if terminated or truncated:
            break
    return digest.hexdigest()


if __name__ == "__main__":
    digests = {
        name: episode_digest(from_json(value).build(), 5) for name, value in json.loads(sys.argv[1]).items()
    }
    sys.stdout.write("\n" + json.dumps(digests))
