"""Writing such that a file is wholly old or wholly new, by one writer at a time, whenever it dies."""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

from imitate.errors import DataError

if sys.platform == "win32":
    import msvcrt
else:
    import fcntl


def write_durably(path: Path, content: Any) -> None:
    """Replace `path` by `content` (bytes) in one step, once the bytes are on the disk.

    The temporary name is fixed, so that what a killed process left is overwritten and never piles up.
    """
    partial = path.with_name(path.name + ".partial")
    with partial.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    os.replace(partial, path)  # noqa: PTH105 (os.replace is the documented atomic one)


def sync_folder(path: Path) -> None:
    """Put the folder's own entries on the disk, so that replaced names survive a power cut."""
    if sys.platform == "win32":  # folders cannot be opened there; NTFS journals renames itself
        return
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


class WriterLock:
    """The right to write into a store. The system takes it back when its owner dies, however it dies."""

    def __init__(self, store: Path) -> None:
        """Take the lock of `store`; raises DataError where another writer holds it."""
        self._file: IO[str] = (store / ".lock").open("a+")
        try:
            _lock(self._file.fileno())
        except OSError as error:
            self._file.seek(0)
            owner = self._file.read().strip() or "another writer"
            self._file.close()
            raise DataError(
                f"{store}: is being written by {owner}; wait until it ends, or write to another store"
            ) from error
        self._file.truncate(0)
        self._file.write(f"process {os.getpid()}")
        self._file.flush()

    def release(self) -> None:
        """Let others write."""
        self._file.close()


@contextmanager
def only_one(file: Path) -> Iterator[int]:
    """One process at a time is in this block; others wait until it leaves it, or dies.

    Gives the descriptor of the open file: a process that inherits it keeps the others waiting as well.
    """
    with file.open("a+") as held:
        if sys.platform == "win32":
            msvcrt.locking(held.fileno(), msvcrt.LK_LOCK, 1)
        else:
            fcntl.flock(held.fileno(), fcntl.LOCK_EX)
        yield held.fileno()


def _lock(handle: int) -> None:
    if sys.platform == "win32":
        msvcrt.locking(handle, msvcrt.LK_NBLCK, 1)
    else:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
