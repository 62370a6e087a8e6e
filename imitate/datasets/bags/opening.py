"""Which files and folders are recorded logs, and how they are opened."""

import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import yaml

from imitate.datasets.bags import ros1_file, sqlite_file
from imitate.datasets.bags.channel import BagFile, Channel
from imitate.datasets.bags.mcap_file import McapFile
from imitate.datasets.bags.ros1_file import Ros1File
from imitate.datasets.bags.sqlite_file import SqliteFile
from imitate.datasets.mcap_records import is_mcap
from imitate.datasets.session_file import holds_session
from imitate.datasets.unpacking import unpack_file
from imitate.errors import DataError

METADATA = "metadata.yaml"
INFORMATION = "rosbag2_bagfile_information"
METADATA_BYTES = 8 * 1024**2
PACKED = (".zstd", ".zst")
ZSTD_MAGIC = b"\x28\xb5\x2f\xfd"


def is_recording(path: Path) -> bool:
    """Whether `path` is a log, or a folder of nothing but logs and files beside them.

    A session of imitate deploy is none.
    """
    try:
        if is_bag(path):
            return True
        children = [child for child in path.iterdir() if child.name[0] != "."] if path.is_dir() else []
        logs = [child for child in children if is_bag(child)]
        return bool(logs) and not any(child.is_dir() for child in children if child not in logs)
    except OSError:
        return False


def recordings(path: Path) -> list[Path]:
    """The log at `path`, or those in the folder, by name; raises DataError where there is none."""
    if is_bag(path):
        return [path]
    found = sorted(child for child in path.iterdir() if is_bag(child)) if path.is_dir() else []
    if not found:
        raise DataError(f"{path} is no ROS bag, rosbag2 folder or MCAP file, and holds none")
    return found


def is_bag(path: Path) -> bool:
    """Whether `path` is one log."""
    if path.is_dir():
        return _information(path) is not None
    if not path.is_file():
        return False
    with path.open("rb") as file:
        start = file.read(16)
    if start.startswith(ros1_file.MAGIC):
        return True
    if start.startswith(sqlite_file.MAGIC):
        return path.suffix == ".db3"
    if start.startswith(ZSTD_MAGIC):
        return path.suffix in PACKED and Path(path.stem).suffix in (".db3", ".mcap")
    return is_mcap(path) and not holds_session(path)


def open_bag(path: Path) -> BagFile:
    """The log at `path`; raises DataError where it is none, or its parts are missing."""
    if path.is_dir():
        return _Folder(path)
    if not path.stat().st_size:
        raise DataError(f"{path} is empty")
    return _open_file(path, "")


def title(path: Path) -> str:
    """In words, what kind of log `path` is."""
    if path.is_dir():
        return f"ROS 2 bag ({_read_information(path).get('storage_identifier', 'unknown storage')})"
    with path.open("rb") as file:
        start = file.read(16)
    kinds = {
        ros1_file.MAGIC: "ROS 1 bag",
        sqlite_file.MAGIC: "ROS 2 bag (sqlite3)",
        ZSTD_MAGIC: "ROS 2 bag (zstd)",
    }
    return next((kind for magic, kind in kinds.items() if start.startswith(magic)), "MCAP log")


class _Folder:
    """A rosbag2 folder: the files that its metadata.yaml names, one after the other."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.channels: list[Channel] = []
        self.problems: list[str] = []
        information = _read_information(path)
        by_message = str(information.get("compression_mode") or "").lower() == "message"
        self._codec = str(information.get("compression_format") or "") if by_message else ""
        self._files, self._missing = _named_files(path, information)
        if not self._files:
            raise DataError(f"{path}: none of the files that {METADATA} names is there: {self._missing}")

    def messages(self, topics: Sequence[str] | None = None) -> Iterator[tuple[Channel, int, bytes]]:
        """See BagFile."""
        self.problems[:] = [f"{name}, which {METADATA} names, is missing" for name in self._missing]
        self.channels.clear()
        for file in self._files:
            opened = _open_file(file, self._codec)
            yield from opened.messages(topics)
            self.channels += [channel for channel in opened.channels if channel not in self.channels]
            self.problems += opened.problems


class _Packed:
    """A file that was compressed as a whole, unpacked in a temporary folder for as long as it is read."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.channels: list[Channel] = []
        self.problems: list[str] = []

    def messages(self, topics: Sequence[str] | None = None) -> Iterator[tuple[Channel, int, bytes]]:
        """See BagFile."""
        with tempfile.TemporaryDirectory() as folder:
            target = Path(folder, self.path.stem)
            unpack_file(self.path, target)
            opened = _open_file(target, "")
            yield from opened.messages(topics)
            self.channels, self.problems = opened.channels, opened.problems


def _open_file(path: Path, codec: str) -> BagFile:
    with path.open("rb") as file:
        start = file.read(16)
    if start.startswith(ros1_file.MAGIC):
        return Ros1File(path)
    if start.startswith(sqlite_file.MAGIC):
        return SqliteFile(path, codec)
    if is_mcap(path):
        return McapFile(path, codec)
    if start.startswith(ZSTD_MAGIC):
        return _Packed(path)
    raise DataError(f"{path} starts with {start[:8]!r}, expected a ROS 1 bag, sqlite3 or MCAP")


def _named_files(path: Path, information: dict[str, Any]) -> tuple[list[Path], list[str]]:
    named = information.get("relative_file_paths") or []
    # Names may lead out of the folder, and in old versions hold the folder's own: only the last part counts.
    names = [str(name).replace("\\", "/").rpartition("/")[2] for name in named]
    found = [path / name for name in names if name and (path / name).is_file()]
    return found, [name for name in names if not name or not (path / name).is_file()]


def _information(path: Path) -> str | None:
    """The text of a rosbag2 folder's metadata; None where it is no such folder."""
    metadata = path / METADATA
    if not metadata.is_file() or metadata.stat().st_size > METADATA_BYTES:
        return None
    text = metadata.read_text(encoding="utf-8", errors="replace")
    return text if INFORMATION in text else None


def _read_information(path: Path) -> dict[str, Any]:
    text = _information(path)
    if text is None:
        raise DataError(
            f"{path} has no {METADATA} of rosbag2; run  ros2 bag reindex, or name one of its files"
        )
    try:
        found = yaml.safe_load(text)[INFORMATION]
        found.get("relative_file_paths")
    except (yaml.YAMLError, KeyError, TypeError, AttributeError, ValueError, RecursionError) as error:
        line = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise DataError(f"{path / METADATA} is damaged ({line}); name one of its files instead") from error
    assert isinstance(found, dict)
    return found
