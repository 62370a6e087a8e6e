"""Where the parts of an RLDS dataset lie: TFDS' folder of one version, or TFRecord files alone.

bridge_dataset/1.0.0/features.json
                     dataset_info.json      name, splits, and how many records each file must hold
                     bridge_dataset-train.tfrecord-00000-of-00001
"""

import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from imitate.datasets.formats.tfrecord import holds_records
from imitate.errors import DataError

FEATURES, INFO = "features.json", "dataset_info.json"
SHARD = re.compile(r"(?P<name>.+)-(?P<split>[^-]+)\.tfrecord-(?P<index>\d{5,})-of-(?P<count>\d{5,})")
DEEPEST = 6


@dataclass(frozen=True)
class Shard:
    """A TFRecord file; split is "" and index 0 where its name does not tell."""

    path: Path
    split: str = ""
    index: int = 0


@dataclass(frozen=True)
class Split:
    """What dataset_info.json says: how many records each file of a split holds."""

    name: str
    lengths: tuple[int, ...]


@dataclass(frozen=True)
class Folder:
    """The files of a dataset; `features` is None where there is no features.json."""

    path: Path
    features: Path | None
    shards: tuple[Shard, ...]
    name: str = ""
    splits: tuple[Split, ...] = ()

    def expected(self, shard: Shard) -> int | None:
        """Records that `shard` must hold; None where nothing says so."""
        lengths = next((split.lengths for split in self.splits if split.name == shard.split), ())
        return lengths[shard.index] if shard.index < len(lengths) else None

    def absent(self) -> list[str]:
        """In words, the files that dataset_info.json names and that are not here."""
        said = []
        for split in self.splits:
            here = {shard.index for shard in self.shards if shard.split == split.name}
            gone = [number for index, number in enumerate(split.lengths) if index not in here]
            if gone:
                said.append(
                    f"split {split.name}: {len(gone)} of {len(split.lengths)} files with {sum(gone)} "
                    f"episodes are not here"
                )
        return said


def is_dataset(path: Path) -> bool:
    """Whether the file holds TFRecords, or the folder (or the only folder in it, and so on) a dataset."""
    try:
        return holds_records(path) if path.is_file() else _find(path) is not None
    except OSError:
        return False


def open_folder(path: Path) -> Folder:
    """The dataset at `path`; raises DataError where it has several versions, or no TFRecord file."""
    if path.is_file():
        features = path.parent / FEATURES
        return Folder(path, features if features.exists() else None, (_shard(path),), path.name)
    folder = _find(path) or path
    versions = _versions(folder)
    if versions:
        raise DataError(
            f"{folder} holds {len(versions)} datasets ({', '.join(versions[:5])}); "
            f"choose one with src={folder}/…"
        )
    name, splits = _read_info(folder / INFO)
    shards = tuple(_shard(file) for file in sorted(_record_files(folder)))
    if not shards:
        raise DataError(f"{folder} holds no .tfrecord file; found {_names(folder)}: copy the dataset again")
    features = folder / FEATURES
    return Folder(folder, features if features.exists() else None, shards, name or folder.name, splits)


def _find(path: Path) -> Path | None:
    """The folder with the files, going down while there is but one folder to go into."""
    for _ in range(DEEPEST):
        if (path / FEATURES).is_file() or _record_files(path) or _versions(path):
            return path
        inner = [child for child in path.iterdir() if child.is_dir() and not child.name.startswith(".")]
        if len(inner) != 1:
            return None
        path = inner[0]
    return None


def _versions(path: Path) -> list[str]:
    """Names of the folders in `path` that hold a dataset, where it holds several and none itself."""
    if (path / FEATURES).is_file() or _record_files(path):
        return []
    found = sorted(file.parent.name for file in path.glob(f"*/{FEATURES}"))
    return found if len(found) > 1 else []


def _record_files(path: Path) -> list[Path]:
    return [file for file in path.glob("*.tfrecord*") if file.is_file() and not file.name.startswith(".")]


def _shard(path: Path) -> Shard:
    found = SHARD.fullmatch(path.name)
    return Shard(path, found["split"], int(found["index"])) if found else Shard(path)


def _names(path: Path) -> str:
    return ", ".join(sorted(child.name for child in path.iterdir())[:10]) or "nothing"


def _read_info(path: Path) -> tuple[str, tuple[Split, ...]]:
    if not path.exists():
        return "", ()
    try:
        info: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        kind = info.get("fileFormat") or "tfrecord"
        splits = [
            Split(str(split["name"]), tuple(int(length) for length in split.get("shardLengths", [])))
            for split in info.get("splits", [])
        ]
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise DataError(f"{path} is damaged ({type(error).__name__}: {error}); copy it again") from error
    if kind != "tfrecord":
        raise DataError(f"{path}: the records are kept as {kind!r}, expected tfrecord")
    return str(info.get("name", "")), tuple(splits)
