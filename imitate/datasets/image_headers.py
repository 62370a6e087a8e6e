"""What an encoded image says of its size, known before any memory is taken for it."""

from typing import Any

ZSTD_MAGIC = b"\x28\xb5\x2f\xfd"
JPEG_START = b"\xff\xd8"


def jpeg_size(data: Any) -> tuple[int, int]:
    """Height and width of a JPEG file.

    Raises ValueError where there is no frame header (ITU T.81, B.2.2: the marker segments before it are
    skipped by their lengths).
    """
    at = 2
    while bytes(data[:2]) == JPEG_START and at + 9 <= len(data) and data[at] == 0xFF:
        marker, length = data[at + 1], data[at + 2] << 8 | data[at + 3]
        if 0xC0 <= marker <= 0xCF and marker not in (0xC4, 0xC8, 0xCC):
            return data[at + 5] << 8 | data[at + 6], data[at + 7] << 8 | data[at + 8]
        at += 2 + length
    raise ValueError("an image is neither JPEG nor zstd, or its header is damaged")


def zstd_bytes(data: Any) -> int:
    """Bytes that a frame of zstd unpacks to, and must say (RFC 8878, 3.1.1.1); raises ValueError else."""
    descriptor = data[4] if len(data) > 4 else 0
    flag, is_one_segment = descriptor >> 6, descriptor >> 5 & 1
    width = (1, 2, 4, 8)[flag] if flag or is_one_segment else 0
    at = 5 + (1 - is_one_segment) + (0, 1, 2, 4)[descriptor & 3]
    if not width or len(data) < at + width:
        raise ValueError("an image of zstd does not say its size, or its header is damaged")
    return int.from_bytes(data[at : at + width], "little") + (256 if width == 2 else 0)
