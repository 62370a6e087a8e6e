"""What a view holds: which steps of which episodes of its sources, and what is said of them."""

import dataclasses
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from imitate.datasets import timing
from imitate.datasets.episode_store import EpisodeRecord, EpisodeStore
from imitate.errors import ConfigError
from imitate.types import DataSpec

CONSTANT = "constant/"
"""No store calls an observation so."""

TRIMMED = "trimmed"
"""Of an episode's metadata: the steps [start, stop) that are left of the recorded episode."""


@dataclass(frozen=True)
class Piece:
    """An episode of a view: `record.steps` steps from `start` on of episode `episode` of source `source`.

    constant: what is the same in all its steps and no source holds, {name: (D,)}; see `Contents.names`.
    """

    source: int
    episode: int
    start: int
    record: EpisodeRecord
    constant: Mapping[str, np.ndarray] = field(default_factory=dict)

    def cut(self, start: int, stop: int) -> "Piece":
        """Its steps from `start` to `stop`, without the latter."""
        if (start, stop) == (0, self.record.steps):
            return self
        metadata = _shifted(self.record.metadata, start, stop)
        record = dataclasses.replace(self.record, steps=stop - start, metadata=metadata, digest="")
        return dataclasses.replace(self, start=self.start + start, record=record)

    def known_as(self, **known: Any) -> "Piece":
        """The same steps with other fields of the record."""
        return dataclasses.replace(self, record=dataclasses.replace(self.record, **known))


@dataclass(frozen=True)
class Contents:
    """All episodes of a view. `names`: of each observation the name that the sources know it by.

    One that every piece holds as a constant is known by the name CONSTANT and a number.
    columns: of an observation that is part of theirs, which elements it is.
    """

    spec: DataSpec
    pieces: tuple[Piece, ...]
    names: Mapping[str, str]
    columns: Mapping[str, tuple[int, ...]] = field(default_factory=dict)

    @classmethod
    def of(cls, source: EpisodeStore, number: int = 0) -> "Contents":
        """Everything that `source`, which is source `number` of the view, holds."""
        pieces = (Piece(number, i, 0, source.record(i)) for i in range(len(source)))
        return cls(source.spec, tuple(pieces), {key: key for key in source.spec.obs})

    @property
    def records(self) -> list[EpisodeRecord]:
        """Of each episode."""
        return [piece.record for piece in self.pieces]

    def with_pieces(self, pieces: Iterable[Piece]) -> "Contents":
        """The same with other episodes."""
        return dataclasses.replace(self, pieces=tuple(pieces))

    def changed(self, change: Callable[[Piece], Piece]) -> "Contents":
        """The same with `change` made to every episode."""
        return self.with_pieces(change(piece) for piece in self.pieces)


def require_unique(ids: Iterable[str], where: str) -> None:
    """Raise ConfigError naming an id that two episodes would have."""
    seen: set[str] = set()
    for found in ids:
        if found in seen:
            raise ConfigError(f"{where}: two episodes would be called {found!r}; choose other ids")
        seen.add(found)


def _shifted(metadata: Mapping[str, Any], start: int, stop: int) -> dict[str, Any]:
    """Metadata whose step numbers count from `start`; what lies outside is dropped."""
    before = metadata.get(TRIMMED)
    first = before[0] if before else 0
    shifted = {**metadata, TRIMMED: [first + start, first + stop]}
    if isinstance(ranges := metadata.get("corrected"), list):
        clipped = ([max(low, start) - start, min(high, stop) - start] for low, high in ranges)
        shifted["corrected"] = [[low, high] for low, high in clipped if low < high]
    if isinstance(known := metadata.get(timing.KEY), dict) and "gaps" in known:
        shifted[timing.KEY] = _shifted_timing(known, start, stop)
    return shifted


def _shifted_timing(known: Mapping[str, Any], start: int, stop: int) -> dict[str, Any]:
    gaps = [[step - start, seconds] for step, seconds in known["gaps"] if start <= step < stop - 1]
    complete = known.get("gap_count") == len(known["gaps"])
    return {**known, "gaps": gaps, "gap_count": len(gaps) if complete else known.get("gap_count")}
