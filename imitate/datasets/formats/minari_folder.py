"""Where the files of a Minari data set lie, and what they tell of it as a whole."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from imitate.datasets.formats.hdf5_files import holds_hdf5, one_line, plain
from imitate.errors import DataError

MAIN, METADATA = "main_data.hdf5", "metadata.json"
SPACES = ("observation_space", "action_space")
LARGEST_METADATA = 256 * 2**20


def is_folder(path: Path) -> bool:
    """Whether the folder, or data/ in it, holds a Minari data set; never an error."""
    return any(
        holds_hdf5(folder / MAIN) or _tells_another_storage(folder) for folder in (path, path / "data")
    )


def main_file(path: Path) -> Path:
    """The HDF5 file of the data set; raises DataError where it is kept in another way."""
    if not path.is_dir():
        return path
    for folder in (path, path / "data"):
        if (folder / MAIN).is_file():
            return folder / MAIN
    raise DataError(
        f"{path} is a Minari data set that is not stored as HDF5; load it with minari and write it "
        f'again with data_format="hdf5"'
    )


def describe(main: Path, attributes: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """What is told of the data set, and its spaces as JSON by name.

    Raises DataError where metadata.json is damaged, ValueError where a space in the attributes is.
    """
    told = {**attributes, **_read_metadata(main.with_name(METADATA))}
    spaces = {name: told.pop(name) for name in SPACES if name in told}
    about = {key: value for key, value in plain(told).items() if value is not None}
    try:
        return about, {name: json.loads(s) if isinstance(s, str) else s for name, s in spaces.items()}
    except (ValueError, RecursionError) as error:
        raise DataError(f"{main}: a space is no JSON ({one_line(error)}); copy the data set again") from error


def _read_metadata(path: Path) -> dict[str, Any]:
    if not path.is_file():
        return {}
    if path.stat().st_size > LARGEST_METADATA:
        raise DataError(f"{path} has {path.stat().st_size:,} bytes, expected at most {LARGEST_METADATA:,}")
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise DataError(f"{path} is damaged ({one_line(error)}); copy the data set again") from error
    if not isinstance(found, dict):
        raise DataError(f"{path} holds {type(found).__name__}, expected a JSON object; copy it again")
    return found


def _tells_another_storage(folder: Path) -> bool:
    path = folder / METADATA
    if not path.is_file() or path.stat().st_size > LARGEST_METADATA:
        return False
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return False
    return isinstance(found, dict) and {"total_episodes", "data_format"} <= set(found)
