"""Recordings of a made-up arm that follows its commands, in which health checks find nothing."""

from dataclasses import replace
from typing import Any

import numpy as np

from imitate.datasets.health.recording import Group, of_episode
from imitate.types import ArraySpec, DataSpec, Episode

RATE_HZ = 10.0
SPEC = DataSpec(
    {
        "joints": ArraySpec((3,), names=("a", "b", "c"), units=("rad",) * 3),
        "tool": ArraySpec((4,), names=("qx", "qy", "qz", "qw")),
    },
    ArraySpec((4,), names=("a", "b", "c", "gripper"), units=("rad", "rad", "rad", "")),
    RATE_HZ,
)


def arm_episodes(count: int = 12, steps: int = 60, seed: int = 0, lag: int = 1) -> list[Episode]:
    """Smooth motions; the joints are where the action asked for `lag` steps before."""
    return [_episode(i, steps + i % 5, np.random.default_rng([seed, i]), lag) for i in range(count)]


def arm_group(**changes: Any) -> Group:
    """The group of these episodes."""
    return group_of(arm_episodes(**changes))


def group_of(episodes: list[Episode], spec: DataSpec = SPEC) -> Group:
    """Any episodes as a group."""
    return Group(spec, [of_episode(episode, spec) for episode in episodes])


def changed(episode: Episode, **arrays: np.ndarray) -> Episode:
    """With other observations or action."""
    action = arrays.pop("action", episode.action)
    return replace(episode, obs={**episode.obs, **arrays}, action=action)


def _episode(index: int, steps: int, rng: np.random.Generator, lag: int) -> Episode:
    time = np.arange(-lag, steps)[:, None] / RATE_HZ
    # The start is shared, and each episode goes its own way.
    phase = rng.uniform(0.0, 0.6, 3)
    path = 0.8 + 0.5 * np.sin(time * np.array([1.3, 0.9, 1.7]) + phase) + 0.2 * np.sin(3.1 * time)
    asked, done = path[lag:], path[:steps]
    grip = (done[:, :1] > 0.9).astype(float)
    half = 0.25 * done
    tool = np.concatenate([np.sin(half) / np.sqrt(3), np.cos(np.linalg.norm(half, axis=1, keepdims=True))], 1)
    tool /= np.linalg.norm(tool, axis=1, keepdims=True)
    obs = {"joints": done.astype(np.float32), "tool": tool.astype(np.float32)}
    return Episode(f"e{index}", obs, np.concatenate([asked, grip], 1).astype(np.float32), rate_hz=RATE_HZ)
