"""Decompression of recorded logs that never makes more of them than is in proportion to them."""

import bz2
import io
from pathlib import Path
from typing import Any

from imitate.datasets.proportion import PART
from imitate.errors import DataError, import_extra


class DamagedError(Exception):
    """A part of a log is not what it says; the text tells what was found."""


def unpacked(data: bytes, codec: str, size: int | None = None) -> bytes:
    """`data` unpacked; codec is "", "none", "bz2", "lz4" or "zstd"; `size` is what the file declares.

    Raises DamagedError where it is not of that size, too large, or no such data.
    """
    if codec in ("", "none"):
        return data
    most = PART.most(len(data))
    if size is not None and size > most:
        raise DamagedError(f"{len(data)} bytes say that they unpack to {size}")
    limit = most if size is None else size
    try:
        found = _read(data, codec, limit + 1)
    except (DamagedError, MemoryError):
        raise
    except Exception as error:  # Each library has its own.
        raise DamagedError(f"{codec} data is damaged ({error})") from error
    if len(found) > limit or (size is not None and len(found) != size):
        raise DamagedError(f"{len(data)} bytes of {codec} unpack to another size than {limit}")
    return found


def unpack_file(source: Path, target: Path) -> None:
    """Write the zstd file `source` unpacked to `target`; raises DataError where damaged or too large."""
    left = PART.most(source.stat().st_size)
    try:
        with source.open("rb") as packed, target.open("wb") as out:
            reader = _zstd().stream_reader(packed)
            while block := reader.read(1024**2):
                left -= len(block)
                if left < 0:
                    raise DataError(
                        f"{source} unpacks to more than {PART.ratio} times its size; unpack it yourself"
                    )
                out.write(block)
    except DataError:
        raise
    except Exception as error:  # zstandard's, and the disk's.
        raise DataError(f"{source} cannot be unpacked: {error}") from error


def _read(data: bytes, codec: str, most: int) -> bytes:
    if codec == "bz2":
        return bz2.BZ2Decompressor().decompress(data, most)
    if codec == "lz4":
        found: bytes = import_extra("lz4.frame", "ros").LZ4FrameDecompressor().decompress(data, most)
        return found
    if codec == "zstd":
        return bytes(_zstd().stream_reader(io.BytesIO(data)).read(most))
    raise DamagedError(f"compression {codec!r} is unknown; known: none, bz2, lz4, zstd")


def _zstd() -> Any:
    return import_extra("zstandard", "ros").ZstdDecompressor()
