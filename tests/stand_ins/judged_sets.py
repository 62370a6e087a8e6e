"""Data sets of known faults: measured without networks, then judged by decree, since pages need no more."""

from dataclasses import replace
from unittest import mock

import numpy as np

from imitate.curation.examination import Flag
from imitate.curation.measurement import Measurement
from imitate.curation.measuring import measure
from imitate.datasets.episode_store import EpisodeStore

FAULTS = ("noisy", "slow", "extraneous segment", "wrong style")


def judged(store: EpisodeStore, every: int = 5) -> Measurement:
    """`store` measured; every `every`-th episode is called faulty, with a flag over its middle third."""
    with mock.patch("imitate.curation.examination.consensus", return_value=None):
        measured = measure(store)
    generator = np.random.default_rng(0)
    divergence = generator.gamma(1.5, 0.15, measured.steps)
    episodes = []
    for i, episode in enumerate(measured.episodes):
        flag = None
        if i % every == every - 1:
            third = episode.record.steps // 3
            fault = FAULTS[i // every % len(FAULTS)]
            flag = Flag(i, third, 2 * third, fault, "unlike all others here")
            divergence[measured.slice_of(i)][third : 2 * third] += 1.5
        scores = {**episode.scores, "divergence": float(divergence[measured.slice_of(i)].mean())}
        quality = 0.1 + 0.02 * (i % 10) if flag else 0.6 + 0.039 * (i % 10)
        fault_name = flag.fault if flag else None
        episodes.append(replace(episode, fault=fault_name, flag=flag, quality=quality, scores=scores))
    return replace(measured, episodes=episodes, **_by_decree(measured, divergence, generator))


def _by_decree(
    measured: Measurement, divergence: np.ndarray, generator: np.random.Generator
) -> dict[str, object]:
    first = measured.arrays[next(iter(measured.arrays))].reshape(measured.steps, -1)
    diversity = generator.gamma(2.0, 0.1, measured.steps)
    diversity[measured.starts] = np.nan
    return {
        "steps_scores": {"divergence": divergence, "diversity": diversity, "noise": 0.3 * divergence},
        "projection": first[:, [0, -1]].astype(np.float32),
        "near_duplicates": [(0, 1, 0.97)] if len(measured.episodes) > 1 else [],
    }
