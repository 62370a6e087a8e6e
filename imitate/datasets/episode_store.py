"""What every store of demonstrations offers for reading, whoever wrote the files."""

import hashlib
import json
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np
import zarr

from imitate.datasets.stored_array import StoredArray
from imitate.errors import DataError
from imitate.types import ArraySpec, DataSpec, Episode

ACTION = "action"


@dataclass(frozen=True)
class EpisodeRecord:
    """What is known of one episode besides its arrays; `digest` is the sha256 of the arrays ("": unknown)."""

    id: str
    steps: int
    success: bool | None = None
    source: str = ""
    operator: str = ""
    rate_hz: float | None = None
    metadata: Mapping[str, Any] = field(default_factory=dict)
    digest: str = ""


class EpisodeStore(ABC):
    """Episodes that lie end to end in arrays (N, …), split by `episode_ends` (E,).

    Observations are named as in `spec`, the action is named "action". `len` counts episodes. address: where a
    person finds it: `path`, or the s3://… of which there is a copy at `path`.
    """

    def __init__(
        self,
        path: Path,
        spec: DataSpec,
        episode_ends: np.ndarray,
        records: list[EpisodeRecord],
        *,
        source: str = "",
        metadata: Mapping[str, Any] | None = None,
    ) -> None:
        self.path = path
        self.address = str(path)
        self.spec = spec
        self.source = source
        self.metadata: Mapping[str, Any] = metadata or {}
        self._opened: dict[str, zarr.Array] = {}
        self._ends = episode_ends.astype(np.int64)
        self._records = records

    def __len__(self) -> int:
        return len(self._ends)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({str(self.path)!r}, {len(self)} episodes, {self.steps} steps)"

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Give back files and locks; reading and appending again is allowed."""
        self._opened.clear()

    @property
    def keys(self) -> tuple[str, ...]:
        """Names of all arrays: the observations, then "action"."""
        return (*self.spec.obs, ACTION)

    @property
    def steps(self) -> int:
        """Steps of all episodes together, N."""
        return int(self._ends[-1]) if len(self._ends) else 0

    @property
    def episode_ends(self) -> np.ndarray:
        """(E,) int64: the row after the last one of each episode."""
        return self._ends.copy()

    def array(self, name: str) -> StoredArray:
        """The array (N, …) of an observation or of "action"; raises DataError for an absent name."""
        if name not in self.keys:
            raise DataError(f"{self.path}: there is no array {name!r}; there are {', '.join(self.keys)}")
        return StoredArray(
            self._raw_array(name), self.steps, self._array_spec(name), f"{self.path}/data/{name}"
        )

    def record(self, index: int) -> EpisodeRecord:
        """Metadata of episode `index`."""
        return self._records[self._checked_index(index)]

    def episode(self, index: int) -> Episode:
        """Episode `index` with its arrays read into memory."""
        index = self._checked_index(index)
        start = int(self._ends[index - 1]) if index else 0
        arrays = {name: self.array(name)[start : int(self._ends[index])] for name in self.keys}
        known = {key: v for key, v in asdict(self._records[index]).items() if key not in ("steps", "digest")}
        return Episode(obs={key: arrays[key] for key in self.spec.obs}, action=arrays[ACTION], **known)

    def encoded(self, index: int) -> dict[str, list[bytes]]:
        """The images of episode `index` as encoded, by array, for `DemoStore.append`; {} where none is."""
        return {}

    def episodes(self) -> Iterator[Episode]:
        """All episodes in order, one in memory at a time."""
        return (self.episode(index) for index in range(len(self)))

    @property
    def left_out(self) -> tuple[str, ...]:
        """In words, what the files hold and the episodes do not."""
        return ()

    def content_hash(self) -> str:
        """sha256 over the spec and every episode's record and arrays; the same however they are chunked."""
        digest = hashlib.sha256(canonical_json(self.spec.to_json()))
        for record in self._records:
            digest.update(canonical_json(vars(record)))
        return digest.hexdigest()

    def files_state(self) -> str:
        """What changes with the files, where `content_hash` has to read them all; "" where that is quick."""
        return ""

    def verify(self, index: int) -> None:
        """Read episode `index` and compare it with the digest taken when it was written.

        Raises DataError naming the episode where the arrays are not what was written.
        """
        episode, record = self.episode(index), self.record(index)
        if record.digest and arrays_digest({**episode.obs, ACTION: episode.action}) != record.digest:
            raise DataError(
                f"{self.path}: episode {record.id!r} is not what was written; copy the store again"
            )

    @abstractmethod
    def _open_array(self, name: str) -> zarr.Array:
        """The zarr array behind `name`, with at least as many rows as there are steps."""

    def _raw_array(self, name: str) -> zarr.Array:
        if name not in self._opened or self._opened[name].shape[0] < self.steps:  # appended to since
            try:
                self._opened[name] = self._open_array(name)
            except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
                raise DataError(
                    f"{self.path}/data/{name}: its header is damaged ({error}); copy the dataset again"
                ) from error
        return self._opened[name]

    def _array_spec(self, name: str) -> ArraySpec:
        return self.spec.action if name == ACTION else self.spec.obs[name]

    def _checked_index(self, index: int) -> int:
        if not -len(self) <= index < len(self):
            raise IndexError(f"episode {index} of {len(self)} in {self.path}")
        return index % len(self)


def arrays_digest(arrays: Mapping[str, np.ndarray]) -> str:
    """sha256 of named arrays: names, types, shapes and numbers (little-endian, C order)."""
    digest = hashlib.sha256()
    for name in sorted(arrays):
        array = np.ascontiguousarray(arrays[name], arrays[name].dtype.newbyteorder("<"))
        digest.update(canonical_json([name, array.dtype.str, array.shape]))
        digest.update(array.data)
    return digest.hexdigest()


def canonical_json(value: Any) -> bytes:
    """One line of JSON that is the same for equal values; raises TypeError or ValueError for others."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False).encode()
