"""RLDS episodes as TFDS writes them (TFRecord files), read without tensorflow.

One record is one episode: the values of all its steps end to end under names such as
"steps/observation/image_0", "steps/action", "steps/is_last", and what is said of the episode as a whole under
"episode_metadata/…". https://github.com/google-research/rlds (section "Dataset format"), arXiv:2111.02767.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from imitate.datasets.formats import Format, ReadOptions
from imitate.datasets.formats.rlds_episode import Layout, find_layout, read_episode, spec_of
from imitate.datasets.formats.rlds_features import guess_features, read_features
from imitate.datasets.formats.rlds_folder import Folder, Shard, is_dataset, open_folder
from imitate.datasets.formats.tfexample import Example, parse_example
from imitate.datasets.formats.tfrecord import count_records, records
from imitate.errors import DataError
from imitate.types import ArraySpec, DataSpec, Episode


@dataclass(frozen=True)
class RldsDemos:
    """The episodes of a dataset. counts: records of each file."""

    folder: Folder
    layout: Layout
    spec: DataSpec
    counts: tuple[int, ...]
    metadata: dict[str, Any] = field(default_factory=dict)

    @property
    def source(self) -> str:
        """Where they come from."""
        return f"RLDS {self.folder.name}"

    @property
    def left_out(self) -> tuple[str, ...]:
        """Features that are no observation, action or text, and files that are not here."""
        return (*self.layout.left_out, *self.folder.absent())

    def __len__(self) -> int:
        return sum(self.counts)

    def episodes(self) -> Iterator[Episode]:
        """All episodes, file by file, one in memory at a time; raises DataError naming file and record."""
        numbers: dict[str, int] = {}
        for shard in self.folder.shards:
            for record, example in enumerate(_examples(shard)):
                number = numbers[shard.split] = numbers.get(shard.split, -1) + 1
                where = f"{shard.path}: record {record}"
                episode = read_episode(example, self.layout, f"{shard.split or 'episode'}_{number}", where)
                _require_same(spec_of(episode, self.layout), self.spec, where)
                split = {"split": shard.split} if shard.split else {}
                yield replace(episode, source=self.source, metadata={**episode.metadata, **split})


def read_rlds(path: Path, options: ReadOptions) -> RldsDemos:
    """Look at the files and the first episode.

    Raises DataError where files are damaged, hold another number of records than dataset_info.json says, or
    no action.
    """
    folder = open_folder(path)
    counts = tuple(_count(folder, shard) for shard in folder.shards)
    filled = next((shard for shard, count in zip(folder.shards, counts, strict=True) if count), None)
    if filled is None:
        raise DataError(f"{path} holds no episodes; copy the dataset again")
    first, where = next(_examples(filled)), f"{filled.path}: record 0"
    declared = read_features(folder.features) if folder.features else guess_features(first, where)
    layout = find_layout(declared, first, where)
    return RldsDemos(folder, layout, spec_of(read_episode(first, layout, "", where), layout), counts)


def _count(folder: Folder, shard: Shard) -> int:
    found, expected = count_records(shard.path), folder.expected(shard)
    if expected is not None and found != expected:
        raise DataError(
            f"{shard.path} holds {found} records, dataset_info.json says {expected}; copy the dataset again"
        )
    return found


def _examples(shard: Shard) -> Iterator[Example]:
    for number, record in enumerate(records(shard.path)):
        try:
            yield parse_example(record)
        except ValueError as error:
            raise DataError(f"{shard.path}: record {number} is no tf.train.Example ({error})") from error


def _require_same(found: DataSpec, expected: DataSpec, where: str) -> None:
    for key in expected.obs:
        _require_same_array(found.obs[key], expected.obs[key], f"{where}: observation {key!r}")
    _require_same_array(found.action, expected.action, f"{where}: action")


def _require_same_array(found: ArraySpec, expected: ArraySpec, where: str) -> None:
    if (found.shape, found.dtype) != (expected.shape, expected.dtype):
        raise DataError(
            f"{where} is {found.shape} {found.dtype} per step, expected {expected.shape} {expected.dtype} "
            f"as in the first record"
        )


FORMAT = Format("rlds", "RLDS tfrecord", is_dataset, read_rlds)
