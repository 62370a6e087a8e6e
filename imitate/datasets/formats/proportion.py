"""Refusing files that unpack to far more than they hold: zip bombs, and pictures that are all header."""

from imitate.errors import DataError

FREE_BYTES = 2**30
"""Up to this much is never refused."""

LARGEST_RATIO = 300
"""Above FREE_BYTES: deflate reaches 1032, recorded numbers and pictures seldom 100."""


def require_proportion(unpacked: int, stored: int, where: str) -> None:
    """Raise DataError where `stored` bytes at `where` would unpack to an absurd number of bytes."""
    if unpacked > max(FREE_BYTES, LARGEST_RATIO * stored):
        raise DataError(
            f"{where}: {stored:,} bytes would unpack to {unpacked:,}; refused as a decompression bomb "
            f"(write it again in smaller parts)"
        )
