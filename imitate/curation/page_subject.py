"""What the report page reads: a measurement with its per-step scores, its flags and its advice."""

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from imitate.curation.measurement import MeasuredEpisode, Measurement


@dataclass(frozen=True)
class Flag:
    """Steps `start` to `stop` (excluded) of episode `episode` with their fault, and `text` to explain it."""

    episode: int
    start: int
    stop: int
    fault: str
    text: str


@dataclass(frozen=True)
class JudgedEpisode(MeasuredEpisode):
    """A measured episode with its named fault, its quality in [0, 1] (1 best) and its weight."""

    fault: str | None = None
    quality: float = 1.0
    weight: float = 1.0


@dataclass(frozen=True)
class JudgedMeasurement(Measurement):
    """steps_scores: {name: (N,)}; projection: (N, 2); near_duplicates: pairs of episodes, share matched."""

    episodes: list[JudgedEpisode]  # type: ignore[assignment]
    steps_scores: Mapping[str, np.ndarray] = field(default_factory=dict)
    projection: np.ndarray = field(default_factory=lambda: np.empty((0, 2), np.float32))
    flags: list[Flag] = field(default_factory=list)
    advice: list[str] = field(default_factory=list)
    near_duplicates: list[tuple[int, int, float]] = field(default_factory=list)
