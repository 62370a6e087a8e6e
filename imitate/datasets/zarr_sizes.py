"""How many bytes a compressed chunk unpacks to, found out without making room for them.

Formats: README_CHUNK_FORMAT.rst of Blosc 1, RFC 8878 (zstd), RFC 1950 and 1952 (zlib, gzip), numcodecs' lz4
(four bytes of size before the block).
"""

import bz2
import lzma
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import IO, Any

SLACK_BYTES = 64 * 1024
# Filters before the compressor may make numbers larger, by this much at most: a truth value as a double.
FILTER_RATIO = 8
DEFLATE_RATIO = 1032
SMALL_BYTES = 64 * 2**20
PIECE_BYTES = 2**20
ZSTD_MAGIC, ZSTD_BLOCK_BYTES = b"\x28\xb5\x2f\xfd", 128 * 1024


class TruncatedError(Exception):
    """A file has `found` bytes and should have `expected`."""

    def __init__(self, found: int, expected: int) -> None:
        super().__init__(found, expected)
        self.found, self.expected = found, expected


@dataclass(frozen=True)
class Chunk:
    """How a chunk is compressed, and the bytes of its numbers (exact: nothing else changes their count)."""

    compressor: str
    bytes: int
    exact: bool

    @property
    def limit(self) -> int:
        """Most bytes that the compressor may give."""
        return self.bytes if self.exact else FILTER_RATIO * self.bytes + SLACK_BYTES


def require_size(file: IO[bytes], offset: int, length: int, chunk: Chunk) -> None:
    """Check the chunk in `length` bytes of `file` from `offset` on.

    Raises TruncatedError where bytes are missing, ValueError where it would unpack to more than a chunk.
    """
    if not chunk.compressor:
        if chunk.exact and length < chunk.bytes:
            raise TruncatedError(length, chunk.bytes)
        return
    if length > 2 * chunk.limit + SLACK_BYTES:
        raise ValueError(f"{length:,} bytes for a chunk of {chunk.bytes:,}")
    file.seek(offset)
    unpacked = UNPACKED[chunk.compressor](file, length, chunk.limit)
    if unpacked > chunk.limit:
        raise ValueError(f"it would unpack to more than the {chunk.bytes:,} bytes of a chunk")
    if chunk.exact and chunk.compressor in EXACT and unpacked != chunk.bytes:
        raise ValueError(f"it unpacks to {unpacked:,} bytes, expected {chunk.bytes:,}")


def _blosc(file: IO[bytes], length: int, limit: int) -> int:
    """Bytes 4..7 of the header are the unpacked size, 12..15 the packed one."""
    head = file.read(min(length, 16))
    packed = max(16, int.from_bytes(head[12:16], "little"))
    if length < packed:
        raise TruncatedError(length, packed)
    return int.from_bytes(head[4:8], "little")


def _lz4(file: IO[bytes], length: int, limit: int) -> int:
    head = file.read(min(length, 4))
    if len(head) < 4:
        raise TruncatedError(length, 4)
    return int.from_bytes(head, "little")


def _zstd(file: IO[bytes], length: int, limit: int) -> int:
    """The size in the frame's header, or where it has none what its blocks can hold (RFC 8878, 3.1.1)."""
    data = file.read(min(length, 18))
    if len(data) < min(length, 18) or len(data) < 5:
        raise TruncatedError(length, 18)
    if data[:4] != ZSTD_MAGIC:
        raise ValueError("no zstd frame")
    flag, single, dictionary = data[4] >> 6, data[4] >> 5 & 1, (0, 1, 2, 4)[data[4] & 3]
    start = 5 + (not single) + dictionary
    size_bytes = (single, 2, 4, 8)[flag]
    if size_bytes:
        return int.from_bytes(data[start : start + size_bytes], "little") + (256 if size_bytes == 2 else 0)
    # The blocks' sum is an upper bound: legitimate ones are nearly full.
    most = _zstd_blocks(file, file.tell() - len(data) + start, length - start)
    return 0 if most <= 2 * limit + 2 * ZSTD_BLOCK_BYTES else most


def _zstd_blocks(file: IO[bytes], offset: int, length: int) -> int:
    """Most bytes that the blocks of a frame can hold."""
    total, end, is_last = 0, offset + length, False
    while not is_last:
        if offset + 3 > end:
            raise TruncatedError(length, length + offset + 3 - end)
        file.seek(offset)
        head = int.from_bytes(file.read(3), "little")
        is_last, kind, size = bool(head & 1), head >> 1 & 3, head >> 3
        total += ZSTD_BLOCK_BYTES if kind == 2 else size
        offset += 3 + (1 if kind == 1 else size)
    return total


def _deflate(file: IO[bytes], length: int, limit: int) -> int:
    if DEFLATE_RATIO * length <= max(SMALL_BYTES, limit):
        return 0
    return _streamed(lambda: zlib.decompressobj(wbits=47), file, length, limit)


def _bz2(file: IO[bytes], length: int, limit: int) -> int:
    return _streamed(bz2.BZ2Decompressor, file, length, limit)


def _lzma(file: IO[bytes], length: int, limit: int) -> int:
    # The dictionary that a stream asks for is room too.
    return _streamed(lambda: lzma.LZMADecompressor(memlimit=256 * 2**20), file, length, limit)


def _streamed(make: Callable[[], Any], file: IO[bytes], length: int, limit: int) -> int:
    """Unpack piece by piece, throwing the pieces away, until more than `limit` bytes came."""
    data, stream, total = file.read(length), make(), 0
    while not stream.eof and total <= limit:
        try:
            piece = stream.decompress(data, PIECE_BYTES)
        except (zlib.error, lzma.LZMAError, OSError) as error:
            raise ValueError(str(error)) from error
        data = stream.unconsumed_tail if hasattr(stream, "unconsumed_tail") else b""
        if not piece and not data:
            break
        total += len(piece)
    return total


UNPACKED: dict[str, Callable[[IO[bytes], int, int], int]] = {
    "blosc": _blosc,
    "lz4": _lz4,
    "zstd": _zstd,
    "zlib": _deflate,
    "gzip": _deflate,
    "bz2": _bz2,
    "lzma": _lzma,
}
EXACT = ("blosc", "lz4")
