"""The arrays of an .npz file, measured by their headers before anything is read, and read row by row.

An .npz is a zip of .npy files: a header that names type, order and shape, then the numbers.
https://numpy.org/doc/stable/reference/generated/numpy.lib.format.html
"""

import math
import struct
import tokenize
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import numpy as np

from imitate.datasets.proportion import WHOLE
from imitate.errors import DataError

LOCAL_HEADER = b"PK\x03\x04"
# What zipfile and numpy's reader of headers raise for damaged files; encrypted ones are a RuntimeError.
DAMAGE = (
    zipfile.BadZipFile,
    zlib.error,
    OSError,
    EOFError,
    ValueError,
    TypeError,
    SyntaxError,
    RuntimeError,
    NotImplementedError,
    OverflowError,
    MemoryError,
    IndexError,
    struct.error,
    tokenize.TokenError,
)


@dataclass(frozen=True)
class Member:
    """An array of the file. stored: its name in the zip. start: bytes of its header."""

    stored: str
    shape: tuple[int, ...]
    dtype: np.dtype
    fortran_order: bool
    start: int

    @property
    def row_shape(self) -> tuple[int, ...]:
        """Of one row; numbers without further axes become rows of one."""
        return self.shape[1:] or (1,)

    @property
    def is_numbers(self) -> bool:
        """Whether these are real numbers of a width that other tools read too."""
        return self.dtype.kind in "biuf" and self.dtype.itemsize <= 8

    def __str__(self) -> str:
        return f"{self.stored.removesuffix('.npy')} {self.shape} {self.dtype}"


@dataclass(frozen=True)
class NpzFile:
    """members: the arrays by name. odd: names of what is no array of numbers or text."""

    path: Path
    members: dict[str, Member]
    odd: tuple[str, ...]

    def whole(self, member: Member) -> np.ndarray:
        """The whole array in the machine's byte order; raises DataError where it is damaged."""
        with self.rows(member) as rows:
            values = rows.read(member.shape[0] if member.shape else 1)
        return values.reshape(member.shape)

    @contextmanager
    def rows(self, member: Member) -> Iterator["Rows"]:
        """The array, to be read from the first row on; raises DataError where it is damaged."""
        # A zip of its own for each array, so that their streams do not wait for one another.
        with ExitStack() as stack:
            with _damage(self.path, member.stored):
                stream = stack.enter_context(zipfile.ZipFile(self.path)).open(member.stored)
                stack.enter_context(stream).read(member.start)
            yield Rows(self.path, member, stream)


class Rows:
    """Rows of one array in order."""

    def __init__(self, path: Path, member: Member, stream: IO[bytes]) -> None:
        self.where = f"{path}: {member.stored.removesuffix('.npy')}"
        self.member = member
        self._path, self._stream = path, stream
        self._whole: np.ndarray | None = None
        self._row = 0

    def read(self, count: int) -> np.ndarray:
        """The next `count` rows (count, …); raises DataError where the file is damaged."""
        member = self.member
        if member.fortran_order and len(member.shape) > 1:
            values = self._columns()[self._row : self._row + count]
        else:
            values = self._numbers(count * math.prod(member.row_shape)).reshape(count, *member.row_shape)
        self._row += count
        return values

    def _columns(self) -> np.ndarray:
        """All of an array whose first index runs fastest: its rows lie scattered over the file."""
        if self._whole is None:
            numbers = self._numbers(math.prod(self.member.shape))
            self._whole = numbers.reshape(self.member.shape, order="F")
        return self._whole

    def _numbers(self, count: int) -> np.ndarray:
        dtype = self.member.dtype
        with _damage(self._path, self.member.stored):
            data = self._stream.read(count * dtype.itemsize)
            if len(data) != count * dtype.itemsize:
                raise EOFError("it ends early")
        return np.frombuffer(data, dtype, count).astype(dtype.newbyteorder("="), copy=False)


def holds_arrays(path: Path) -> bool:
    """Whether the file starts as a zip does whose first entry is a .npy file."""
    with path.open("rb") as file:
        header = file.read(30)
        if len(header) < 30 or not header.startswith(LOCAL_HEADER):
            return False
        return file.read(int.from_bytes(header[26:28], "little")).endswith(b".npy")


def open_npz(path: Path) -> NpzFile:
    """Look at all headers of the file.

    Raises DataError where it is damaged, or where an array has another size than its header says.
    """
    members: dict[str, Member] = {}
    odd: list[str] = []
    with _damage(path, "the zip"), zipfile.ZipFile(path) as archive:
        infos = {info.filename: info for info in archive.infolist()}
    WHOLE.require(sum(info.file_size for info in infos.values()), path.stat().st_size, str(path))
    for stored, info in sorted(infos.items()):
        name = stored.removesuffix(".npy")
        member = _read_header(path, info) if stored.endswith(".npy") else None
        if member is None:
            odd.append(name)
        else:
            members[name] = member
    return NpzFile(path, members, tuple(odd))


def _read_header(path: Path, info: zipfile.ZipInfo) -> Member | None:
    """What the header says; None for pickled objects and records of several fields."""
    with _damage(path, info.filename):
        with zipfile.ZipFile(path) as archive, archive.open(info) as stream:
            version = np.lib.format.read_magic(stream)
            reads = {
                (1, 0): np.lib.format.read_array_header_1_0,
                (2, 0): np.lib.format.read_array_header_2_0,
            }
            if version not in reads:
                return None
            shape, fortran_order, dtype = reads[version](stream)
            start = stream.tell()
        if dtype.kind not in "biufUS":
            return None
        expected = start + math.prod(shape) * dtype.itemsize
        if min(shape, default=0) < 0 or expected != info.file_size:
            raise ValueError(f"{info.file_size} bytes, but shape {shape} {dtype} needs {expected}")
    return Member(info.filename, tuple(map(int, shape)), dtype, fortran_order, start)


@contextmanager
def _damage(path: Path, part: str) -> Iterator[None]:
    try:
        yield
    except DAMAGE as error:
        said = " ".join(str(error).split())[:200] or type(error).__name__
        raise DataError(f"{path}: {part} is truncated or damaged ({said}); copy the file again") from error
