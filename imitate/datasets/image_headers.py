"""What an encoded image says of its size, known before any memory is taken for it."""

from typing import Any

ZSTD_MAGIC = b"\x28\xb5\x2f\xfd"
JPEG_START, PNG_START = b"\xff\xd8", b"\x89PNG\r\n\x1a\n"
FRAMES = set(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
"""Frame headers of JPEG: all of C0 … CF but DHT, JPG and DAC (ITU-T T.81, table B.1)."""


def picture_size(data: bytes) -> tuple[int, int]:
    """Height and width that the header of a JPEG, PNG or WebP tells; raises ValueError for all else."""
    if data.startswith(PNG_START) and len(data) >= 24:
        return int.from_bytes(data[20:24], "big"), int.from_bytes(data[16:20], "big")
    if data.startswith(JPEG_START):
        return jpeg_size(data)
    if data.startswith(b"RIFF") and data[8:12] == b"WEBP" and len(data) >= 30:
        return _webp_size(data)
    raise ValueError(f"an image starts with {data[:4].hex() or 'nothing'}, expected JPEG, PNG or WebP")


def jpeg_size(data: Any) -> tuple[int, int]:
    """Height and width of a JPEG file.

    Raises ValueError where there is no frame header (ITU T.81, B.2.2: the marker segments before it are
    skipped by their lengths).
    """
    at = 2
    while bytes(data[:2]) == JPEG_START and at + 9 <= len(data) and data[at] == 0xFF:
        marker, length = data[at + 1], data[at + 2] << 8 | data[at + 3]
        if marker in FRAMES:
            return data[at + 5] << 8 | data[at + 6], data[at + 7] << 8 | data[at + 8]
        at += 1 if marker == 0xFF else 2 + length  # Any number of FF may fill the space before a marker.
    raise ValueError("an image is neither JPEG nor zstd, or its header is damaged")


def _webp_size(data: bytes) -> tuple[int, int]:
    """RFC 9649, sections 2.5 to 2.7."""
    if data[12:16] == b"VP8X":
        return int.from_bytes(data[27:30], "little") + 1, int.from_bytes(data[24:27], "little") + 1
    if data[12:16] == b"VP8L":
        bits = int.from_bytes(data[21:25], "little")
        return (bits >> 14 & 0x3FFF) + 1, (bits & 0x3FFF) + 1
    words = int.from_bytes(data[28:30], "little"), int.from_bytes(data[26:28], "little")
    return words[0] & 0x3FFF, words[1] & 0x3FFF


def zstd_bytes(data: Any) -> int:
    """Bytes that a frame of zstd unpacks to, and must say (RFC 8878, 3.1.1.1); raises ValueError else."""
    descriptor = data[4] if len(data) > 4 else 0
    flag, is_one_segment = descriptor >> 6, descriptor >> 5 & 1
    width = (1, 2, 4, 8)[flag] if flag or is_one_segment else 0
    at = 5 + (1 - is_one_segment) + (0, 1, 2, 4)[descriptor & 3]
    if not width or len(data) < at + width:
        raise ValueError("an image of zstd does not say its size, or its header is damaged")
    return int.from_bytes(data[at : at + width], "little") + (256 if width == 2 else 0)
