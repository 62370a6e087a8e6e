"""TFRecord files: records one after the other, each between its length and two checksums.

    uint64 length | uint32 masked CRC-32C of the length | bytes | uint32 masked CRC-32C of the bytes

All little-endian. https://www.tensorflow.org/tutorials/load_data/tfrecord ("TFRecords format details").
"""

import struct
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

import google_crc32c

from imitate.errors import DataError

HEADER_BYTES, FOOTER_BYTES = 12, 4
GZIP_MAGIC = b"\x1f\x8b"


def masked_crc(data: bytes) -> int:
    """The CRC-32C of `data`, rotated and shifted so that a checksum of checksums stays a good one."""
    crc = google_crc32c.value(data)
    return (((crc >> 15) | (crc << 17)) + 0xA282EAD8) & 0xFFFFFFFF


def holds_records(path: Path) -> bool:
    """Whether the file starts with the length of a record and that length's checksum."""
    with path.open("rb") as file:
        header = file.read(HEADER_BYTES)
    return len(header) == HEADER_BYTES and _length(header) is not None


def count_records(path: Path) -> int:
    """Records in the file, found from their lengths alone; raises DataError where one is damaged."""
    with path.open("rb") as file:
        count = 0
        for length in _lengths(file, path):
            file.seek(length + FOOTER_BYTES, 1)
            count += 1
    return count


def records(path: Path) -> Iterator[bytes]:
    """All records, one in memory at a time; raises DataError where one is damaged or cut off."""
    with path.open("rb") as file:
        for number, length in enumerate(_lengths(file, path)):
            data, footer = file.read(length), file.read(FOOTER_BYTES)
            if struct.unpack("<I", footer)[0] != masked_crc(data):
                raise DataError(f"{path}: record {number} is damaged (its checksum differs); copy it again")
            yield data


def _lengths(file: BinaryIO, path: Path) -> Iterator[int]:
    """The length of each record, with the file before its bytes; go on with the file after its checksum."""
    size = path.stat().st_size
    number = 0
    while (place := file.tell()) < size:
        header = file.read(HEADER_BYTES)
        if header.startswith(GZIP_MAGIC) and not place:
            raise DataError(f"{path} is compressed with gzip; unpack it first (gunzip)")
        length = _length(header) if len(header) == HEADER_BYTES else 0
        if length is None:
            raise DataError(
                f"{path}: record {number} at byte {place} is damaged (the checksum of its length differs); "
                f"expected a TFRecord file: copy it again"
            )
        if place + HEADER_BYTES + length + FOOTER_BYTES > size:
            raise DataError(f"{path} is truncated: record {number} reaches past its end; copy it again")
        yield length
        number += 1


def _length(header: bytes) -> int | None:
    """The length in a record's header; None where its checksum differs."""
    length, crc = struct.unpack("<QI", header)
    return int(length) if crc == masked_crc(header[:8]) else None
