"""Everything the report says about a data set, measured in one pass over its states and actions.

Images are not read, so a store of any size in pixels is measured in seconds.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from imitate.datasets.episode_store import ACTION, EpisodeRecord, EpisodeStore, arrays_digest
from imitate.datasets.quality.duplicates import exact_duplicates
from imitate.datasets.quality.features import standardize, state_features, vector_features
from imitate.datasets.quality.idle import idle_ends, step_speeds, still_threshold
from imitate.datasets.quality.neighbours import NeighbourAgreement, neighbour_agreement
from imitate.datasets.quality.ranges import DimensionRange, dimension_ranges
from imitate.datasets.quality.smoothness import mean_squared_jerk
from imitate.errors import DataError
from imitate.progress import SILENT, Progress
from imitate.types import DataSpec

Scores = dict[str, float | None]


@dataclass(frozen=True)
class MeasuredEpisode:
    """One episode with its scores (None where one cannot be taken).

    steps; duration_s; idle_start and idle_end in steps; jerk: mean squared jerk of the action in its
    standard deviations, (1 / s³)², mean over dimensions; disagreement: mean squared difference from the
    actions of similar states in other episodes, as a share of that of random states.
    """

    record: EpisodeRecord
    scores: Scores
    not_finite: Mapping[str, int]
    duplicate_of: str | None

    @property
    def style(self) -> str:
        """How the demonstrator was told to act, "" where nobody said."""
        return str(self.record.metadata.get("style") or "")

    @property
    def reasons(self) -> list[str]:
        """The hard facts against using this episode; none for most."""
        found = [f"{count} values of {key} are not finite" for key, count in self.not_finite.items()]
        if self.duplicate_of is not None:
            found.append(f"exact duplicate of {self.duplicate_of}")
        if self.record.success is False:
            found.append("failed demonstration")
        return found

    @property
    def keep(self) -> bool:
        """Whether nothing speaks against using it."""
        return not self.reasons


@dataclass(frozen=True)
class Measurement:
    """A data set in numbers. `arrays` holds the states and the action, {name: (N, …)}, in physical units."""

    spec: DataSpec
    episodes: list[MeasuredEpisode]
    starts: np.ndarray
    arrays: Mapping[str, np.ndarray]
    ranges: Mapping[str, list[DimensionRange]]
    action_jerk: np.ndarray
    agreement: NeighbourAgreement | None

    @property
    def steps(self) -> int:
        """Steps of all episodes together."""
        return len(self.arrays[ACTION])

    def score(self, name: str) -> np.ndarray:
        """One score of every episode, (E,) float64, NaN where it cannot be taken."""
        values = [episode.scores[name] for episode in self.episodes]
        return np.array([np.nan if value is None else value for value in values])

    def slice_of(self, index: int) -> slice:
        """The rows of episode `index` in `arrays`."""
        start = int(self.starts[index])
        return slice(start, start + self.episodes[index].record.steps)


def measure(store: EpisodeStore, progress: Progress = SILENT) -> Measurement:
    """Measure every episode of `store`; raises DataError where there is none."""
    if not len(store):
        raise DataError(f"{store.path} holds no episodes: there is nothing to report")
    keys = [key for key, spec in store.spec.obs.items() if not spec.is_image] + [ACTION]
    with progress.task("measure", len(keys) + 3) as bar:
        arrays = {}
        for key in keys:
            bar.advance(note=f"reading {key}")
            arrays[key] = store.array(key)[:]
        reading = _Reading(store, arrays)
        bar.advance(note="comparing neighbours")
        agreement = reading.agreement()
        bar.advance(note="scoring episodes")
        episodes = reading.episodes(agreement)
        bar.advance(note="measuring ranges")
        specs = {**store.spec.obs, ACTION: store.spec.action}
        ranges = {key: dimension_ranges(array, specs[key], key) for key, array in arrays.items()}
    known = [jerk for jerk in reading.jerks if np.isfinite(jerk).all()]
    jerk = np.mean(known, axis=0) if known else np.full(store.spec.action.size, np.nan)
    return Measurement(store.spec, episodes, reading.starts, arrays, ranges, jerk, agreement)


class _Reading:
    """The arrays of a store with what several measures need: who is usable, features, jerks."""

    def __init__(self, store: EpisodeStore, arrays: Mapping[str, np.ndarray]) -> None:
        self.arrays, self.spec = arrays, store.spec
        self.records = [store.record(i) for i in range(len(store))]
        ends = store.episode_ends
        self.starts = np.concatenate([[0], ends[:-1]])
        self.rows = [slice(int(low), int(high)) for low, high in zip(self.starts, ends, strict=True)]
        self.not_finite = [self._count_not_finite(rows) for rows in self.rows]
        self.usable = [i for i, counts in enumerate(self.not_finite) if not counts]
        self.duplicates = exact_duplicates([self._digest(i) for i in range(len(self.records))])
        self.states, self.actions = self._features()
        self.jerks = [self._jerk(i) for i in self.usable]

    def agreement(self) -> NeighbourAgreement | None:
        """Over usable episodes, each recording once: a copy would agree with itself."""
        chosen = self._compared()
        if len(chosen) < 3 or not self.states.shape[1]:
            return None
        rows = [self.rows[i] for i in chosen]
        return neighbour_agreement([self.states[r] for r in rows], [self.actions[r] for r in rows])

    def episodes(self, agreement: NeighbourAgreement | None) -> list[MeasuredEpisode]:
        """Every episode with its scores."""
        motion = standardize(self.states if self.states.shape[1] else self.actions, self._finite_rows())
        speeds = {i: step_speeds(motion[self.rows[i]]) for i in self.usable}
        threshold = still_threshold(list(speeds.values()))
        idle = {i: idle_ends(speed, threshold) for i, speed in speeds.items()}
        variance = self._action_variance()
        jerk = {i: _mean(raw / variance) for i, raw in zip(self.usable, self.jerks, strict=True)}
        ratios = agreement.per_episode.tolist() if agreement else []
        disagreement = dict(zip(self._compared(), ratios, strict=False))
        return [
            MeasuredEpisode(record, scores, self.not_finite[i], self._first_of(i))
            for i, record in enumerate(self.records)
            for scores in [self._scores(i, idle.get(i), jerk.get(i), disagreement.get(i))]
        ]

    def _scores(
        self, i: int, idle: tuple[int, int] | None, jerk: float | None, disagreement: float | None
    ) -> Scores:
        steps, rate_hz = self.records[i].steps, self._rate_hz(i)
        return {
            "steps": float(steps),
            "duration_s": steps / rate_hz if rate_hz else None,
            "idle_start": float(idle[0]) if idle else None,
            "idle_end": float(idle[1]) if idle else None,
            "jerk": jerk,
            "disagreement": disagreement,
        }

    def _features(self) -> tuple[np.ndarray, np.ndarray]:
        states = {key: array for key, array in self.arrays.items() if key != ACTION}
        specs = {key: spec for key, spec in self.spec.obs.items() if key in states}
        if not states:
            return np.empty((len(self.arrays[ACTION]), 0)), vector_features(
                self.arrays[ACTION], self.spec.action
            )
        return state_features(states, specs), vector_features(self.arrays[ACTION], self.spec.action)

    def _jerk(self, i: int) -> np.ndarray:
        action = self.arrays[ACTION][self.rows[i]].astype(np.float64)
        circular = list(self.spec.action.circular)
        action[:, circular] = np.unwrap(action[:, circular], axis=0)
        return mean_squared_jerk(action, self._rate_hz(i))

    def _action_variance(self) -> np.ndarray:
        """(Da,): NaN where the action never changes, so that such a dimension does not count."""
        variance = np.var(self.arrays[ACTION][self._finite_rows()].astype(np.float64), axis=0)
        return np.where(variance > 0, variance, np.nan)

    def _count_not_finite(self, rows: slice) -> dict[str, int]:
        counts = {key: int(np.sum(~np.isfinite(array[rows]))) for key, array in self.arrays.items()}
        return {key: count for key, count in counts.items() if count}

    def _finite_rows(self) -> np.ndarray:
        chosen = np.zeros(len(self.arrays[ACTION]), dtype=bool)
        for i in self.usable:
            chosen[self.rows[i]] = True
        return chosen

    def _compared(self) -> list[int]:
        return [i for i in self.usable if i not in self.duplicates]

    def _digest(self, i: int) -> str:
        # A foreign store has none; its images are then left out of the comparison.
        stored = self.records[i].digest
        return stored or arrays_digest({key: array[self.rows[i]] for key, array in self.arrays.items()})

    def _first_of(self, i: int) -> str | None:
        return self.records[self.duplicates[i]].id if i in self.duplicates else None

    def _rate_hz(self, i: int) -> float | None:
        return self.records[i].rate_hz or self.spec.rate_hz


def _mean(values: np.ndarray) -> float | None:
    known = values[np.isfinite(values)]
    return float(known.mean()) if len(known) else None
