"""A check of HDF5's global heaps, where texts of varying length lie, before the library walks through them.

A heap whose bytes were zeroed holds an object that takes no room, and the library goes on to the next one for
ever. https://docs.hdfgroup.org/hdf5/latest/_f_m_t3.html (III.E, "Disk Format: Global Heap").
"""

import mmap
import struct
from functools import lru_cache
from pathlib import Path

from imitate.errors import DataError

# signature, version 1 and three reserved bytes; then the size of the collection, its own header included.
HEAP = b"GCOL\x01\x00\x00\x00"
HEADER_BYTES = 16
OBJECT = struct.Struct("<HHIQ")
"""Index (0: the room that is left), references, reserved, bytes."""


def require_sound_heaps(path: Path) -> None:
    """Raise DataError where a global heap of the file holds an object without an end.

    The whole file is looked through, once: an import opens the same file several times.
    """
    found = path.stat()
    if not found.st_size:
        return
    place = _endless_heap(path.absolute(), (found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns))
    if place is not None:
        raise DataError(
            f"{path}: is a damaged HDF5 file (the texts at byte {place} have no end); copy it again"
        )


@lru_cache(maxsize=256)
def _endless_heap(path: Path, state: tuple[int, ...]) -> int | None:
    """Where a heap without an end lies; `state` tells the file from what it may become later."""
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
        place = data.find(HEAP)
        while place >= 0:
            if not _ends(data, place):
                return place
            place = data.find(HEAP, place + len(HEAP))
    return None


def _ends(data: mmap.mmap, start: int) -> bool:
    """Whether a walk through the heap at `start` gets on with every object."""
    size = int.from_bytes(data[start + 8 : start + HEADER_BYTES], "little")
    place, end = start + HEADER_BYTES, min(start + size, len(data))
    while place + OBJECT.size <= end:
        index, _, _, held = OBJECT.unpack(data[place : place + OBJECT.size])
        if not index and not held:
            return False
        place += held if not index else OBJECT.size + (held + 7) // 8 * 8
    return True
