"""What demonstrations of any format hold: their facts, and what each dimension does in the episodes read."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from imitate.datasets.episode_store import EpisodeRecord, EpisodeStore
from imitate.datasets.formats import Foreign
from imitate.datasets.quality.ranges import DimensionRange, dimension_ranges
from imitate.datasets.timing import KEY as TIMING
from imitate.inspection.reading import Look, all_specs, is_narrow, sample
from imitate.progress import SILENT, Progress
from imitate.types import DataSpec

SHOWN = 6
"""Episodes whose course over time and pictures are shown."""

WIDE_STEPS = 8
"""Steps of each shown episode from which the range of a wide array is told."""

Visit = Callable[[Look], None]


@dataclass(frozen=True)
class Survey:
    """A data set as far as it was read; address: its path, or the s3://… where it lies.

    episodes: how many there are; records: by number what is known of them, of a store all. read: the numbers
    of those read, whose narrow arrays lie end to end in `arrays` {name: (N, …)}, split by `lengths` (R,).
    wide: {name: values (K,)} of some steps of arrays too wide to keep. shown: places within `read`.
    notes: what the format has to say. data_hash: None before the data is in a store.
    """

    address: str
    title: str
    spec: DataSpec
    source: str
    metadata: Mapping[str, Any]
    episodes: int
    records: Mapping[int, EpisodeRecord]
    read: tuple[int, ...]
    lengths: np.ndarray
    arrays: Mapping[str, np.ndarray]
    wide: Mapping[str, np.ndarray]
    shown: tuple[int, ...]
    left_out: tuple[str, ...]
    notes: tuple[str, ...]
    data_hash: str | None

    @property
    def name(self) -> str:
        """The last part of the address."""
        return Path(self.address).name

    @property
    def is_complete(self) -> bool:
        """Whether every episode was read."""
        return len(self.read) == self.episodes

    @property
    def steps(self) -> int | None:
        """Of all episodes; None where not all are known."""
        known = len(self.records) == self.episodes
        return sum(record.steps for record in self.records.values()) if known else None

    @cached_property
    def dimensions(self) -> dict[str, list[DimensionRange]]:
        """Of every narrow array, the action first; of steps that were read."""
        specs = all_specs(self.spec)
        return {key: dimension_ranges(array, specs[key], key) for key, array in self.arrays.items()}

    def rows(self, place: int) -> slice:
        """The rows in `arrays` of the episode number `read[place]`."""
        stop = int(self.lengths[: place + 1].sum())
        return slice(stop - int(self.lengths[place]), stop)

    def record_at(self, place: int) -> EpisodeRecord:
        """What is known of the episode number `read[place]`."""
        return self.records[self.read[place]]

    def rate_of(self, record: EpisodeRecord) -> float | None:
        """In Hz; None where nobody said."""
        return record.rate_hz or self.spec.rate_hz

    def timings(self) -> list[Mapping[str, Any]]:
        """What importers know of the time stamps of the episodes."""
        found = (record.metadata.get(TIMING) for record in self.records.values())
        return [one for one in found if isinstance(one, dict) and one]


def survey(
    foreign: Foreign,
    address: Path | str,
    title: str,
    limit: int | None = None,
    progress: Progress = SILENT,
    visits: Sequence[Visit] = (),
) -> Survey:
    """Read at most `limit` episodes (see reading.sample) and give those that are shown to `visits`, in order.

    Raises DataError where there is no episode, or one cannot be read.
    """
    chosen = sample(foreign, limit)
    shown = tuple(np.unique(np.linspace(0, len(chosen.indices) - 1, SHOWN).round().astype(int)).tolist())
    looks: list[Look] = []
    wide: dict[str, list[np.ndarray]] = {}
    with progress.task("read", len(chosen.indices), "episodes") as task:
        for look in chosen.looks:
            if len(looks) in shown:
                _note_wide(look, foreign.spec, wide)
                for visit in visits:
                    visit(look)
            # The wide arrays of an episode may be all of its images: they are let go here.
            looks.append(Look(look.index, look.record, look.arrays, {}))
            task.advance()
    return _survey(
        foreign, address, title, looks, wide, tuple(place for place in shown if place < len(looks))
    )


def _survey(
    foreign: Foreign,
    address: Path | str,
    title: str,
    looks: list[Look],
    wide: Mapping[str, list[np.ndarray]],
    shown: tuple[int, ...],
) -> Survey:
    records = {look.index: look.record for look in looks}
    data_hash = None
    if isinstance(foreign, EpisodeStore):
        records = {index: foreign.record(index) for index in range(len(foreign))}
        data_hash = foreign.content_hash()
    names = [key for key, spec in all_specs(foreign.spec).items() if is_narrow(spec)]
    return Survey(
        address=str(address),
        title=title,
        spec=foreign.spec,
        source=foreign.source,
        metadata=foreign.metadata,
        episodes=len(foreign),
        records=records,
        read=tuple(look.index for look in looks),
        lengths=np.array([look.record.steps for look in looks], np.int64),
        arrays={name: np.concatenate([look.arrays[name] for look in looks]) for name in names},
        wide={name: np.concatenate(parts) for name, parts in wide.items()},
        shown=shown,
        left_out=foreign.left_out,
        notes=getattr(foreign, "notes", ()),
        data_hash=data_hash,
    )


def _note_wide(look: Look, spec: DataSpec, wide: dict[str, list[np.ndarray]]) -> None:
    specs = all_specs(spec)
    steps = np.unique(np.linspace(0, look.record.steps - 1, WIDE_STEPS).round().astype(int))
    for name, rows in look.wide.items():
        if not specs[name].is_image:
            wide.setdefault(name, []).append(np.asarray(rows[steps]).reshape(-1))
