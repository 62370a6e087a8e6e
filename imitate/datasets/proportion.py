"""What packed files may become: bombs, and headers without a body, are refused before they get room."""

from dataclasses import dataclass

from imitate.errors import DataError

RATIO = 200
"""Deflate and zstd reach 1000 and more on zeros; recorded numbers and pictures seldom reach 100."""


@dataclass(frozen=True)
class Proportion:
    """`free` bytes are never refused; beyond them at most `ratio` times what is stored."""

    free: int
    ratio: int = RATIO

    def most(self, stored: int) -> int:
        """The most bytes that `stored` ones may unpack to."""
        return max(self.free, self.ratio * stored)

    def require(self, unpacked: int, stored: int, where: str) -> None:
        """Raise DataError where `stored` bytes at `where` would unpack to an absurd number of bytes."""
        if unpacked > self.most(stored):
            raise DataError(
                f"{where}: {stored:,} bytes would unpack to {unpacked:,}; refused as a decompression bomb "
                f"(write it again in smaller parts)"
            )


WHOLE = Proportion(2**30)
"""Of a whole file, array or episode: one at a time is in memory."""
PART = Proportion(64 * 2**20)
"""Of one chunk, message or packed log: a file holds many of them, each a few megabytes."""
SPARSE = Proportion(64 * 2**20, 4096)
"""Of an array that need not store the chunks of one value."""
