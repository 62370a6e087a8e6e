"""The parts of an exported policy, read from its zip file without trusting anything that stands in it."""

import lzma
import re
import struct
import zipfile
import zlib
from pathlib import Path

from imitate.errors import BundleError
from imitate.runtime.manifest import MANIFEST

PART_NAME = re.compile(r"[a-z0-9_]+(\.[a-z0-9_]+)+")
MOST_PARTS = 64
LARGEST_PART = 2**31
"""2 GiB: no ONNX file can be larger."""

DAMAGED = (
    zipfile.BadZipFile, zlib.error, lzma.LZMAError, struct.error, EOFError, NotImplementedError, RuntimeError,
    ValueError, OverflowError, IndexError, KeyError,
)  # fmt: skip
"""What zipfile raises for files that are no zip, or damaged."""


def read_parts(path: Path) -> dict[str, bytes]:
    """{name: content} of everything in the zip `path`, whose own checksums are checked.

    Raises BundleError where the file is missing, no zip, truncated or damaged, or holds anything that no
    exported policy holds: folders, names that are paths, repeated names, parts larger than the file can be.
    """
    if path.is_dir():
        raise BundleError(f"{path} is a folder, expected a file that  imitate export  wrote")
    try:
        with zipfile.ZipFile(path) as file:
            entries = file.infolist()
            _require_sane(path, entries)
            return {entry.filename: _content(path, file, entry) for entry in entries}
    except FileNotFoundError as error:
        raise BundleError(f"{path}: there is no such file") from error
    except OSError as error:
        raise BundleError(f"{path} cannot be read: {error.strerror or error}") from error
    except DAMAGED as error:
        raise BundleError(
            f"{path} is no exported policy, or truncated or damaged ({_one_line(error)}): copy it again"
        ) from error


def _require_sane(path: Path, entries: list[zipfile.ZipInfo]) -> None:
    names = [entry.filename for entry in entries]
    if MANIFEST not in names:
        raise BundleError(f"{path} is a zip file, but no exported policy: it holds no {MANIFEST}")
    strange = [name for name in names if not PART_NAME.fullmatch(name)]
    if strange or len(set(names)) < len(names) or len(names) > MOST_PARTS:
        what = f"a part named {strange[0][:60]!r}" if strange else "parts that no exported policy holds"
        raise BundleError(f"{path} is damaged or was tampered with: it holds {what}")
    for entry in entries:
        stored = entry.compress_type == zipfile.ZIP_STORED and entry.file_size == entry.compress_size
        if not stored or entry.file_size > LARGEST_PART:
            raise BundleError(
                f"{path} is damaged or was tampered with: {entry.filename} claims {entry.file_size} bytes "
                f"in {entry.compress_size}; parts of an exported policy are stored as they are"
            )


def _content(path: Path, file: zipfile.ZipFile, entry: zipfile.ZipInfo) -> bytes:
    if entry.file_size > path.stat().st_size:
        raise BundleError(f"{path} is truncated or damaged: {entry.filename} is larger than the file")
    return file.read(entry)


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())[:120] or type(error).__name__
