"""The files of a zarr group, in a folder or a zip: listed once, and opened without unpacking anything."""

import hashlib
import os
import zipfile
import zlib
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from pathlib import Path, PurePosixPath
from typing import IO, Literal

from zarr.storage import LocalStore, StorePath, ZipStore

from imitate.errors import DataError

LARGEST_HEADER = 16 * 2**20
DAMAGE = (OSError, ValueError, EOFError, RuntimeError, NotImplementedError, zlib.error, zipfile.BadZipFile)
"""What opening and reading files of a damaged folder or zip raises."""

GROUP_FILES = ("zarr.json", ".zgroup")
"""What marks a group: of zarr format 3, and of format 2."""


class ZarrTree(ABC):
    """All files below the group's root. sizes: bytes by path below the root, with / between folders."""

    def __init__(self, path: Path, sizes: Mapping[str, int], opened: StorePath) -> None:
        self.path = path
        self.sizes = sizes
        self.opened = opened
        self._parts: dict[str, dict[str, int]] = {}
        for name, size in sizes.items():
            group, _, rest = name.partition("/")
            array, _, inner = rest.partition("/")
            if inner:
                self._parts.setdefault(f"{group}/{array}", {})[inner] = size

    @property
    def zarr_format(self) -> Literal[2, 3]:
        """2 or 3, as the file of the root group tells."""
        return 3 if "zarr.json" in self.sizes else 2

    def arrays(self, group: str) -> list[str]:
        """Names of the folders right below `group`, in alphabetical order."""
        return sorted(part.partition("/")[2] for part in self._parts if part.startswith(f"{group}/"))

    def files(self, array: str) -> Mapping[str, int]:
        """Sizes of the files below `array` ("data/state"), by path below it."""
        return self._parts.get(array, {})

    def read_header(self, name: str) -> bytes:
        """A small file whole; raises KeyError where it is absent, one of DAMAGE where it cannot be read."""
        if self.sizes[name] > LARGEST_HEADER:
            raise ValueError(f"{self.sizes[name]:,} bytes, expected at most {LARGEST_HEADER:,}")
        with self.open(name) as file:
            return file.read()

    @abstractmethod
    def open(self, name: str) -> IO[bytes]:
        """The file at `name` below the root, for reading and seeking; that and reading raises DAMAGE."""

    @abstractmethod
    def state(self) -> str:
        """sha256 over names, sizes and times of change: the same as long as nothing was written."""


class FolderTree(ZarrTree):
    """A group in a folder."""

    def __init__(self, path: Path) -> None:
        try:
            sizes = {name: size for name, size, _ in _files(str(path))}
        except OSError as error:
            raise DataError(f"{path}: cannot be listed ({error}); copy the dataset again") from error
        super().__init__(path, sizes, StorePath(LocalStore(path)))
        self._start = f"{path}/"  # joining strings: a buffer may have a million files

    def open(self, name: str) -> IO[bytes]:
        """The file at `name` below the root."""
        return open(self._start + name, "rb")  # noqa: PTH123

    def state(self) -> str:
        """Of every file of the folder."""
        digest = hashlib.sha256()
        for found in sorted(_files(str(self.path))):
            digest.update(repr(found).encode(errors="surrogatepass"))
        return digest.hexdigest()


class ZipTree(ZarrTree):
    """A group in a zip, at its root or in a folder within."""

    def __init__(self, path: Path) -> None:
        """Raises DataError where the zip is damaged, holds no group, or names files outside itself."""
        try:
            self._archive = zipfile.ZipFile(path)
        except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError) as error:
            raise DataError(f"{path}: is a truncated or damaged zip ({error}); copy it again") from error
        infos = [info for info in self._archive.infolist() if not info.is_dir()]
        for info in infos:
            _require_plain(info, path)
        self._root = _root_of([info.filename for info in infos], path)
        sizes = {
            info.filename.removeprefix(self._root): info.file_size
            for info in infos
            if info.filename.startswith(self._root)
        }
        super().__init__(path, sizes, StorePath(ZipStore(path, mode="r"), self._root.rstrip("/")))

    def open(self, name: str) -> IO[bytes]:
        """The file at `name` below the root."""
        return self._archive.open(self._root + name)

    def state(self) -> str:
        """Of the zip itself."""
        found = self.path.stat()
        return hashlib.sha256(f"{found.st_size} {found.st_mtime_ns}".encode()).hexdigest()


def _files(folder: str, inner: str = "", depth: int = 0) -> Iterator[tuple[str, int, int]]:
    """(path below the root, bytes, time of change in ns) of all files below `folder`.

    Arrays may be links, folders within not.
    """
    with os.scandir(folder) as entries:
        for entry in entries:
            if entry.is_dir(follow_symlinks=depth < 2):
                yield from _files(entry.path, f"{inner}{entry.name}/", depth + 1)
            else:
                found = entry.stat()
                yield inner + entry.name, found.st_size, found.st_mtime_ns


def open_tree(path: Path) -> ZarrTree:
    """The files of the folder or zip at `path`."""
    return ZipTree(path) if path.is_file() else FolderTree(path)


def holds_group(path: Path) -> bool:
    """Whether the folder is a zarr group, or the zip holds one; never an error."""
    if path.is_dir():
        return any((path / name).is_file() for name in GROUP_FILES)
    try:
        with zipfile.ZipFile(path) as archive:
            return any(name.rpartition("/")[2] in GROUP_FILES for name in archive.namelist())
    except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError):
        return False


def _require_plain(info: zipfile.ZipInfo, path: Path) -> None:
    name = PurePosixPath(info.filename.replace("\\", "/"))
    if name.is_absolute() or ".." in name.parts or ":" in info.filename:
        raise DataError(f"{path}: names a file outside itself ({info.filename!r}); nothing was read")
    if info.flag_bits & 1:
        raise DataError(f"{path}: {info.filename} is encrypted; unpack it and import the folder")


def _root_of(names: list[str], path: Path) -> str:
    """ "" or the folder, ending in /, that holds the outermost group."""
    groups = [name for name in names if name.rpartition("/")[2] in GROUP_FILES]
    if not groups:
        raise DataError(
            f"{path}: this zip holds no zarr group (.zgroup or zarr.json); expected a zipped replay buffer"
        )
    first = min(groups, key=lambda name: (name.count("/"), len(name)))
    return first.removesuffix(first.rpartition("/")[2])
