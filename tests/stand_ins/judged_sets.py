"""Data sets of known faults, measured and judged without any of the real judging: pages need no more."""

from dataclasses import fields

import numpy as np

from imitate.curation.measurement import Measurement, measure
from imitate.curation.page_subject import Flag, JudgedEpisode, JudgedMeasurement
from imitate.datasets.episode_store import EpisodeStore

FAULTS = ("noisy", "slow", "extraneous segment", "wrong style")


def judged(store: EpisodeStore, every: int = 5) -> JudgedMeasurement:
    """`store` measured; every `every`-th episode is called faulty, with a flag over its middle third."""
    measured = measure(store)
    generator = np.random.default_rng(0)
    flags, episodes = [], []
    divergence = generator.gamma(1.5, 0.15, measured.steps)
    for i, episode in enumerate(measured.episodes):
        fault = FAULTS[i // every % len(FAULTS)] if i % every == every - 1 else None
        if fault:
            third = episode.record.steps // 3
            flags.append(Flag(i, third, 2 * third, fault, "unlike all others here"))
            divergence[measured.slice_of(i)][third : 2 * third] += 1.5
        quality = 0.1 + 0.02 * (i % 10) if fault else 0.6 + 0.039 * (i % 10)
        scores = {
            **episode.scores,
            "divergence": float(divergence[measured.slice_of(i)].mean()),
            "mutual_information": float(generator.normal()),
            "sparc": float(-2 - generator.gamma(1)),
        }
        known = {f.name: getattr(episode, f.name) for f in fields(episode)} | {"scores": scores}
        episodes.append(JudgedEpisode(**known, fault=fault, quality=quality, weight=float(not fault)))
    return _whole(measured, episodes, flags, divergence, generator)


def _whole(
    measured: Measurement,
    episodes: list[JudgedEpisode],
    flags: list[Flag],
    divergence: np.ndarray,
    generator: np.random.Generator,
) -> JudgedMeasurement:
    known = {f.name: getattr(measured, f.name) for f in fields(measured)} | {"episodes": episodes}
    first = measured.arrays[next(iter(measured.arrays))].reshape(measured.steps, -1)
    diversity = generator.gamma(2.0, 0.1, measured.steps)
    diversity[measured.starts] = np.nan
    return JudgedMeasurement(
        **known,
        steps_scores={"divergence": divergence, "diversity": diversity, "noise": 0.3 * divergence},
        projection=first[:, [0, -1]].astype(np.float32),
        flags=flags,
        advice=["Leave out the noisy episodes.", "Show more starts on the left."],
        near_duplicates=[(0, 1, 0.97)] if len(episodes) > 1 else [],
    )
