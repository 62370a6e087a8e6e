"""Measuring everything the report says about a data set, in one pass over its states and actions.

Images are read only where imitate.curation.embedding is asked for them; else a store of any size in pixels is
measured in seconds.
"""

import dataclasses
from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Any

import numpy as np

from imitate.curation.embedding import AUTO, embed, side_by_side
from imitate.curation.examination import NAME_OF_STAGES, Examination, examine, projection
from imitate.curation.measurement import MeasuredEpisode, Measurement, Scores
from imitate.datasets.episode_store import ACTION, EpisodeStore, arrays_digest
from imitate.datasets.quality.duplicates import exact_duplicates
from imitate.datasets.quality.features import standardize, state_features, vector_features
from imitate.datasets.quality.frames import Frames
from imitate.datasets.quality.idle import idle_ends, step_speeds, still_threshold
from imitate.datasets.quality.neighbour_index import HERE, Place
from imitate.datasets.quality.ranges import dimension_ranges
from imitate.datasets.quality.room import in_blocks, moments
from imitate.datasets.quality.smoothness import mean_squared_jerk, spectral_arc_length, speed_profile
from imitate.errors import DataError
from imitate.progress import SILENT, Progress, Task

HALF_QUALITY = 3.0
"""Standard deviations from the ordinary at which the quality is a half."""


def measure(
    store: EpisodeStore, progress: Progress = SILENT, images: str = AUTO, place: Place = HERE
) -> Measurement:
    """Measure every episode of `store`, and its cameras where `images` says so (see embedding.embed).

    `place` keeps the index of neighbours: on a cluster, where one is too large or too slow for this machine.
    Raises DataError where there is no episode, ConfigError where `images` is wrong.
    """
    if not len(store):
        raise DataError(f"{store.address} holds no episodes: there is nothing to report")
    keys = [key for key, spec in store.spec.obs.items() if not spec.is_image] + [ACTION]
    embedding = embed(store, images, progress=progress)
    with progress.task("measure", len(keys) + 2 + len(NAME_OF_STAGES)) as bar:
        arrays = {}
        for key in keys:
            bar.advance(note=f"reading {key}")
            arrays[key] = in_blocks(store.steps, store.array(key).__getitem__)
        reading = _Reading(store, arrays, list(embedding.features.values()))
        examination = reading.examine(bar, place)
        bar.advance(note="scoring episodes")
        episodes = reading.episodes(examination)
        bar.advance(note="measuring ranges")
        specs = {**store.spec.obs, ACTION: store.spec.action}
        ranges = {key: dimension_ranges(array, specs[key], key) for key, array in arrays.items()}
    known = [jerk for jerk in reading.jerks if np.isfinite(jerk).all()]
    jerk = np.mean(known, axis=0) if known else np.full(store.spec.action.size, np.nan)
    return Measurement(
        spec=store.spec,
        episodes=episodes,
        starts=reading.starts,
        arrays=arrays,
        ranges=ranges,
        action_jerk=jerk,
        agreement=examination.agreement if examination else None,
        steps_scores=reading.everywhere(examination),
        projection=reading.projection(),
        near_duplicates=reading.pairs(examination),
        frames=examination.frames if examination else None,
        compared=reading.compared,
        images=embedding,
    )


class _Reading:
    """The arrays of a store with what several measures need: who is usable, features, jerks."""

    def __init__(
        self, store: EpisodeStore, arrays: Mapping[str, np.ndarray], cameras: Sequence[np.ndarray] = ()
    ) -> None:
        self.arrays, self.spec, self.cameras = arrays, store.spec, cameras
        self.records = [store.record(i) for i in range(len(store))]
        ends = store.episode_ends
        self.starts = np.concatenate([[0], ends[:-1]])
        self.rows = [slice(int(low), int(high)) for low, high in zip(self.starts, ends, strict=True)]
        self.not_finite = [self._count_not_finite(rows) for rows in self.rows]
        self.usable = [i for i, counts in enumerate(self.not_finite) if not counts]
        self.duplicates = exact_duplicates([self._digest(i) for i in range(len(self.records))])
        self.states, self.actions = self._features()
        self.jerks = [self._jerk(i) for i in self.usable]

    def examine(self, bar: Task, place: Place) -> Examination | None:
        """Usable episodes compared step by step, each recording once."""
        chosen = self.compared
        if len(chosen) < 3:
            return None
        frames = self._frames([self.rows[i] for i in chosen])
        return examine(frames, bar, place) if frames.state.shape[1] and frames.action.shape[1] else None

    def _frames(self, rows: list[slice]) -> Frames:
        frames = Frames.of([self.states[r] for r in rows], [self.actions[r] for r in rows])
        if not self.cameras:
            return frames
        cameras = [np.concatenate([camera[r] for r in rows]) for camera in self.cameras]
        return dataclasses.replace(frames, state=side_by_side(frames.state, cameras).astype(np.float32))

    def everywhere(self, found: Examination | None) -> dict[str, np.ndarray]:
        """Scores of steps over all rows of the store, NaN where an episode was not compared."""
        if found is None:
            return {}
        if len(self.compared) == len(self.rows):
            return dict(found.steps)
        rows = np.concatenate([np.arange(self.rows[i].start, self.rows[i].stop) for i in self.compared])
        spread = {}
        for name, values in found.steps.items():
            spread[name] = np.full(len(self.arrays[ACTION]), np.nan)
            spread[name][rows] = values
        return spread

    def pairs(self, found: Examination | None) -> list[tuple[int, int, float]]:
        """Nearly the same episodes, as indices into the store."""
        chosen = self.compared
        return [(chosen[a], chosen[b], share) for a, b, share in found.duplicates] if found else []

    def projection(self) -> np.ndarray:
        """Every step in the plane in which the states spread most, (N, 2)."""
        known = self._finite_rows()
        motion = self.motion if self.states.shape[1] else self.views

        def finite(at: slice) -> np.ndarray:
            return np.where(np.isfinite(motion[at]), motion[at], 0.0)

        flat: np.ndarray = projection(in_blocks(len(motion), finite), known)
        return flat

    def episodes(self, found: Examination | None) -> list[MeasuredEpisode]:
        """Every episode with its scores."""
        speeds = {i: step_speeds(self.motion[self.rows[i]]) for i in self.usable}
        threshold = still_threshold(list(speeds.values()))
        idle = {i: idle_ends(speed, threshold) for i, speed in speeds.items()}
        variance = self._action_variance()
        jerk = {i: _mean(raw / variance) for i, raw in zip(self.usable, self.jerks, strict=True)}
        judged = self._judged(found)
        first = {b: a for a, b, _ in self.pairs(found)}
        made = []
        for i, record in enumerate(self.records):
            scores = self._scores(i, idle.get(i), jerk.get(i))
            more, verdict = judged.get(i, ({}, {}))
            like = self.records[first[i]].id if i in first else None
            episode = MeasuredEpisode(record, scores | more, self.not_finite[i], self._first_of(i), like)
            made.append(dataclasses.replace(episode, **verdict))
        return made

    def _judged(self, found: Examination | None) -> dict[int, tuple[Scores, dict[str, Any]]]:
        """Of each compared episode the scores of comparing, and its fault, flag and quality."""
        if found is None:
            return {}
        chosen = self.compared
        columns = {name: found.score(name) for name in found.names}
        flags = {chosen[flag.episode]: flag for flag in found.flags()}
        badness = found.judgement.badness if found.judgement else np.zeros(len(chosen))
        judged = {}
        for place, i in enumerate(chosen):
            flag = dataclasses.replace(flags[i], episode=i) if i in flags else None
            verdict = {"flag": flag, "fault": flag.fault if flag else None}
            quality = float(1.0 / (1.0 + (badness[place] / HALF_QUALITY) ** 2))
            scores = {name: _known(float(column[place])) for name, column in columns.items()}
            judged[i] = (scores, {**verdict, "quality": quality})
        return judged

    @cached_property
    def views(self) -> np.ndarray:
        """All embedded cameras side by side, (N, D)."""
        return side_by_side(np.empty((len(self.actions), 0)), self.cameras)

    @cached_property
    def motion(self) -> np.ndarray:
        """The standardised states, or actions where there are none, (N, F)."""
        return standardize(self.states if self.states.shape[1] else self.actions, self._finite_rows())

    def _scores(self, i: int, idle: tuple[int, int] | None, jerk: float | None) -> Scores:
        steps, rate_hz = self.records[i].steps, self._rate_hz(i)
        return {
            "steps": float(steps),
            "duration_s": steps / rate_hz if rate_hz else None,
            "idle_start": float(idle[0]) if idle else None,
            "idle_end": float(idle[1]) if idle else None,
            "jerk": jerk,
            "sparc": self._sparc(i),
        }

    def _sparc(self, i: int) -> float | None:
        if self.not_finite[i]:
            return None
        speed = speed_profile(self.motion[self.rows[i]])
        return _known(spectral_arc_length(speed, self._rate_hz(i)))

    def _features(self) -> tuple[np.ndarray, np.ndarray]:
        raw, spec = self.arrays[ACTION], self.spec.action
        actions = in_blocks(len(raw), lambda at: vector_features(raw[at], spec))
        specs = {key: spec for key, spec in self.spec.obs.items() if key in self.arrays}
        return (state_features(self.arrays, specs) if specs else np.empty((len(raw), 0))), actions

    def _jerk(self, i: int) -> np.ndarray:
        action = self.arrays[ACTION][self.rows[i]].astype(np.float64)
        circular = list(self.spec.action.circular)
        action[:, circular] = np.unwrap(action[:, circular], axis=0)
        return mean_squared_jerk(action, self._rate_hz(i))

    def _action_variance(self) -> np.ndarray:
        """(Da,): NaN where the action never changes, so that such a dimension does not count."""
        _, std = moments(self.arrays[ACTION], self._finite_rows())
        return np.where(std > 0, std**2, np.nan)

    def _count_not_finite(self, rows: slice) -> dict[str, int]:
        counts = {key: int(np.sum(~np.isfinite(array[rows]))) for key, array in self.arrays.items()}
        return {key: count for key, count in counts.items() if count}

    def _finite_rows(self) -> np.ndarray:
        chosen = np.zeros(len(self.arrays[ACTION]), dtype=bool)
        for i in self.usable:
            chosen[self.rows[i]] = True
        return chosen

    @property
    def compared(self) -> list[int]:
        """Usable episodes, each recording once."""
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


def _known(value: float) -> float | None:
    return value if np.isfinite(value) else None
