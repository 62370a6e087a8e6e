"""A data set in numbers: what imitate.curation.measuring finds, and what follows from it for each episode."""

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from imitate.curation.embedding import Embedding
from imitate.curation.examination import Flag
from imitate.curation.faults import EXTRANEOUS
from imitate.datasets.episode_store import ACTION, EpisodeRecord
from imitate.datasets.quality.divergence import Agreement
from imitate.datasets.quality.frames import Frames
from imitate.datasets.quality.ranges import DimensionRange
from imitate.types import DataSpec

Scores = dict[str, float | None]


@dataclass(frozen=True)
class MeasuredEpisode:
    """One episode with its scores (None where one cannot be taken).

    steps; duration_s; idle_start and idle_end in steps; jerk: mean squared jerk of the action in its
    standard deviations, (1 / s³)², mean over dimensions; sparc: spectral arc length of the speed; and those
    of Examination, which docs/curate.md explains. fault: what it does unlike
    the others, None for most. quality: from 1 (as the others) to 0.
    """

    record: EpisodeRecord
    scores: Scores
    not_finite: Mapping[str, int]
    duplicate_of: str | None
    near_duplicate_of: str | None = None
    fault: str | None = None
    flag: Flag | None = None
    quality: float = 1.0

    @property
    def style(self) -> str:
        """How the demonstrator was told to act, "" where nobody said."""
        return str(self.record.metadata.get("style") or "")

    @property
    def facts(self) -> list[str]:
        """The hard facts against using this episode; none for most."""
        found = [f"{count} values of {key} are not finite" for key, count in self.not_finite.items()]
        if self.duplicate_of is not None:
            found.append(f"exact duplicate of {self.duplicate_of}")
        if self.record.success is False:
            found.append("failed demonstration")
        return found

    @property
    def reasons(self) -> list[str]:
        """All that speaks against using this episode, or a part of it."""
        found = self.facts
        if self.near_duplicate_of is not None:
            found.append(f"nearly the same as {self.near_duplicate_of}")
        if self.fault is not None and self.flag is not None:
            found.append(f"{self.fault}: {self.flag.text}")
        return found

    @property
    def keep(self) -> bool:
        """Whether to use it. An excursion can be cut out; what is wrong throughout cannot.

        Nearly the same as another is no fault: where a task leaves little room, two good ones are.
        """
        return not self.facts and self.fault in (None, EXTRANEOUS)

    @property
    def weight(self) -> float:
        """1 to use, 0 to leave out."""
        return float(self.keep)

    @property
    def cut(self) -> tuple[int, int] | None:
        """The steps to leave out of an episode that is kept: the first, and the one after the last."""
        return (self.flag.start, self.flag.stop) if self.keep and self.flag is not None else None


@dataclass(frozen=True)
class Measurement:
    """A data set in numbers. `arrays` holds the states and the action, {name: (N, …)}, in physical units.

    steps_scores: {name: (N,) float64}, NaN where it cannot be told. projection: (N, 2) float32, the first two
    principal components of the states, or of the images where there are none. near_duplicates: pairs of
    episodes and the share they have in common.
    frames: the steps of the episodes `compared`, None where these are too few or nothing varies. images: the
    embedded cameras, which are compared beside the states.
    """

    spec: DataSpec
    episodes: list[MeasuredEpisode]
    starts: np.ndarray
    arrays: Mapping[str, np.ndarray]
    ranges: Mapping[str, list[DimensionRange]]
    action_jerk: np.ndarray
    agreement: Agreement | None
    steps_scores: Mapping[str, np.ndarray]
    projection: np.ndarray
    near_duplicates: list[tuple[int, int, float]]
    frames: Frames | None
    compared: list[int]
    images: Embedding = field(default_factory=lambda: Embedding({}))

    @property
    def compared_by(self) -> str:
        """What similar steps have in common, in words."""
        keys = [key for key in self.arrays if key != ACTION]
        seen = (
            f"{', '.join(self.images.features)}, seen by {self.images.encoder}"
            if self.images.features
            else ""
        )
        return " and ".join(part for part in ("states" if keys else "", seen) if part) or "nothing"

    @property
    def flags(self) -> list[Flag]:
        """Where the faults show."""
        return [episode.flag for episode in self.episodes if episode.flag is not None]

    @property
    def steps(self) -> int:
        """Steps of all episodes together."""
        return len(self.arrays[ACTION])

    def score(self, name: str) -> np.ndarray:
        """One score of every episode, (E,) float64, NaN where it cannot be taken."""
        values = [episode.scores.get(name) for episode in self.episodes]
        return np.array([np.nan if value is None else value for value in values])

    def slice_of(self, index: int) -> slice:
        """The rows of episode `index` in `arrays`."""
        start = int(self.starts[index])
        return slice(start, start + self.episodes[index].record.steps)
