"""Episodes as health checks see them: all numbers side by side, cameras as films."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property, partial
from typing import Any

import numpy as np

from imitate.datasets.episode_store import ACTION, EpisodeStore, arrays_digest
from imitate.datasets.health.film import Film, film
from imitate.datasets.quality.features import standardize
from imitate.datasets.quality.idle import step_speeds, still_threshold
from imitate.datasets.quality.ranges import declared_limit
from imitate.datasets.timing import KEY
from imitate.types import ArraySpec, DataSpec, Episode

MOST_COLUMNS = 512
"""An array of more numbers per step (a depth image, a point cloud) is only looked at for being finite."""


@dataclass(frozen=True)
class Column:
    """One number per step: element `index` of the array `key`."""

    key: str
    index: int
    size: int
    name: str
    unit: str
    circular: bool = False
    low: float | None = None
    high: float | None = None

    def __str__(self) -> str:
        return f"{self.key}.{self.name}" if self.name else f"{self.key}[{self.index}]"

    @property
    def is_action(self) -> bool:
        """Whether it is an element of the action."""
        return self.key == ACTION


@dataclass(frozen=True)
class Recording:
    """One episode. values: (T, C) float64, one column per Column of its Group. not_finite: {array: number of
    steps that hold a NaN or infinite value}. films: by camera.
    """

    id: str
    values: np.ndarray
    success: bool | None = None
    rate_hz: float | None = None
    timing: Mapping[str, Any] = field(default_factory=dict)
    digest: str = ""
    not_finite: Mapping[str, int] = field(default_factory=dict)
    films: Mapping[str, Film] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.values)


class Group:
    """Recordings that are compared with each other, all of one spec."""

    def __init__(self, spec: DataSpec, recordings: Sequence[Recording]) -> None:
        self.spec, self.recordings = spec, list(recordings)
        self.columns = columns(spec)

    def __len__(self) -> int:
        return len(self.recordings)

    @cached_property
    def sound(self) -> "Group":
        """Those whose numbers are all finite: what the other checks compare."""
        return Group(self.spec, [one for one in self.recordings if not one.not_finite])

    @cached_property
    def states(self) -> list[int]:
        """Columns of observations."""
        return [i for i, column in enumerate(self.columns) if not column.is_action]

    @cached_property
    def actions(self) -> list[int]:
        """Columns of the action."""
        return [i for i, column in enumerate(self.columns) if column.is_action]

    @cached_property
    def ends(self) -> np.ndarray:
        """(E,) the row after the last one of each recording, in `rows`."""
        return np.cumsum([len(one) for one in self.recordings])

    @cached_property
    def rows(self) -> np.ndarray:
        """All steps of all recordings, (N, C)."""
        return np.concatenate([one.values for one in self.recordings])

    def split(self, values: np.ndarray) -> list[np.ndarray]:
        """`values` (N, …) of all steps, by recording."""
        return np.split(values, self.ends[:-1])

    @cached_property
    def features(self) -> list[np.ndarray]:
        """The standardised states of each recording, wrapping angles as sine and cosine; actions if none."""
        chosen = self.states or self.actions
        angles = [i for i in chosen if self.columns[i].circular]
        plain = [i for i in chosen if i not in angles]
        parts = [self.rows[:, plain], np.sin(self.rows[:, angles]), np.cos(self.rows[:, angles])]
        return self.split(standardize(np.concatenate(parts, axis=1)))

    @cached_property
    def speeds(self) -> list[np.ndarray]:
        """How much each recording's state changes from step to step, (T - 1,) in standard deviations."""
        return [step_speeds(one) for one in self.features]

    @cached_property
    def still(self) -> float:
        """The speed below which a step is idle."""
        return still_threshold(self.speeds)

    def ids(self, chosen: Sequence[int] | np.ndarray) -> tuple[str, ...]:
        """Ids of the recordings with these numbers."""
        return tuple(self.recordings[int(i)].id for i in chosen)


def columns(spec: DataSpec) -> list[Column]:
    """The columns of recordings of `spec`, observations first, images and large arrays left out."""
    arrays = {**spec.obs, ACTION: spec.action}
    return [one for key, array in arrays.items() if _is_columns(array) for one in _columns(key, array)]


def of_store(store: EpisodeStore) -> Iterator[Recording]:
    """The episodes of `store`, one in memory at a time, of cameras a few frames."""
    starts = np.concatenate([[0], store.episode_ends])
    arrays = {key: array for key, array in _arrays(store.spec).items() if not array.is_image}
    for index in range(len(store)):
        record, start, stop = store.record(index), int(starts[index]), int(starts[index + 1])
        numbers = {key: store.array(key)[start:stop] for key in arrays}
        films = {
            key: film(partial(_frames, store.array(key), start), stop - start, array.size)
            for key, array in store.spec.obs.items()
            if array.is_image
        }
        digest = record.digest or arrays_digest(numbers)
        yield _recording(record.id, numbers, store.spec, record, digest, films)


def of_episode(episode: Episode, spec: DataSpec) -> Recording:
    """An episode in memory as a recording."""
    everything = {**episode.obs, ACTION: episode.action}
    numbers = {key: everything[key] for key, array in _arrays(spec).items() if not array.is_image}
    films = {
        key: film(partial(_frames, everything[key], 0), len(episode), array.size)
        for key, array in spec.obs.items()
        if array.is_image
    }
    return _recording(episode.id, numbers, spec, episode, arrays_digest(everything), films)


def _frames(frames: Any, start: int, rows: np.ndarray) -> np.ndarray:
    return np.asarray(frames[start + rows])


def _recording(
    name: str, numbers: Mapping[str, np.ndarray], spec: DataSpec, record: Any, digest: str, films: Any
) -> Recording:
    flat = {key: array.reshape(len(array), -1) for key, array in numbers.items()}
    broken = {key: int(np.sum(~np.isfinite(array).all(axis=1))) for key, array in flat.items()}
    kept = [array for key, array in flat.items() if _is_columns(_arrays(spec)[key])]
    return Recording(
        id=name,
        values=np.concatenate([array.astype(np.float64) for array in kept], axis=1),
        success=record.success,
        rate_hz=record.rate_hz or spec.rate_hz,
        timing=record.metadata.get(KEY) or {},
        digest=digest,
        not_finite={key: count for key, count in broken.items() if count},
        films=films,
    )


def _arrays(spec: DataSpec) -> dict[str, ArraySpec]:
    return {**spec.obs, ACTION: spec.action}


def _is_columns(array: ArraySpec) -> bool:
    # What an episode is told is the same in all its steps.
    return not array.is_image and not array.encoder and array.size <= MOST_COLUMNS


def _columns(key: str, array: ArraySpec) -> list[Column]:
    return [
        Column(
            key,
            i,
            array.size,
            array.names[i] if array.names else "",
            array.units[i] if array.units else "",
            i in array.circular,
            declared_limit(array.low, i),
            declared_limit(array.high, i),
        )
        for i in range(array.size)
    ]
