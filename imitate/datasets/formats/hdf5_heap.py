"""A check of HDF5's global heaps, where texts of varying length lie, before the library walks through them.

A heap whose bytes were zeroed holds an object that takes no room, and the library goes on to the next one for
ever. https://docs.hdfgroup.org/hdf5/latest/_f_m_t3.html (III.E, "Disk Format: Global Heap").
"""

import mmap
import struct
from pathlib import Path

from imitate.errors import DataError

# signature, version 1 and three reserved bytes; then the size of the collection, its own header included.
HEAP = b"GCOL\x01\x00\x00\x00"
HEADER_BYTES = 16
OBJECT = struct.Struct("<HHIQ")
"""Index (0: the room that is left), references, reserved, bytes."""


def require_sound_heaps(path: Path) -> None:
    """Raise DataError where a global heap of the file holds an object without an end."""
    if not path.stat().st_size:
        return
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
        place = data.find(HEAP)
        while place >= 0:
            if not _ends(data, place):
                raise DataError(
                    f"{path}: is a damaged HDF5 file (the texts at byte {place} have no end); copy it again"
                )
            place = data.find(HEAP, place + len(HEAP))


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
