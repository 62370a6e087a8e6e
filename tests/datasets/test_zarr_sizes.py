"""The bytes that a chunk unpacks to are known before it is unpacked, for every compressor."""

import io
import zlib
from collections.abc import Callable

import numcodecs
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from imitate.datasets.zarr_sizes import UNPACKED, Chunk, TruncatedError, require_size

ENCODE: dict[str, Callable[[bytes], bytes]] = {
    "blosc": numcodecs.Blosc("lz4", 5).encode,
    "zlib": numcodecs.Zlib().encode,
    "gzip": numcodecs.GZip().encode,
    "bz2": numcodecs.BZ2().encode,
    "lzma": numcodecs.LZMA().encode,
    "zstd": numcodecs.Zstd().encode,
    "lz4": numcodecs.LZ4().encode,
}


def check(data: bytes, chunk: Chunk, before: int = 0) -> None:
    require_size(io.BytesIO(bytes(before) + data), before, len(data), chunk)


def test_every_compressor_is_known() -> None:
    assert set(ENCODE) == set(UNPACKED)


@given(st.sampled_from(sorted(ENCODE)), st.integers(1, 3000), st.integers(0, 255), st.integers(0, 30))
def test_whole_chunks_are_accepted(codec: str, size: int, spread: int, before: int) -> None:
    values = np.random.default_rng(size).integers(0, spread + 1, size).astype(np.uint8).tobytes()
    check(bytes(ENCODE[codec](values)), Chunk(codec, size, exact=True), before)
    check(bytes(ENCODE[codec](values)), Chunk(codec, size, exact=False), before)


@pytest.mark.parametrize("codec", ENCODE)
def test_larger_ones_are_refused(codec: str) -> None:
    # gzip and zlib chunks are looked into only where they could hold more than 64 MiB.
    size = 80 * 2**20 if codec in ("gzip", "zlib") else 2**20
    data = zlib.compress(bytes(size), 1) if codec in ("gzip", "zlib") else bytes(ENCODE[codec](bytes(size)))
    with pytest.raises(ValueError, match=r"bytes for a chunk of|would unpack to more"):
        check(data, Chunk(codec, 1000, exact=True))
    check(data, Chunk(codec, size, exact=True))


@pytest.mark.parametrize("codec", ["blosc", "lz4"])
def test_smaller_ones_are_refused_where_the_header_tells(codec: str) -> None:
    with pytest.raises(ValueError, match="it unpacks to 100 bytes, expected 101"):
        check(bytes(ENCODE[codec](bytes(100))), Chunk(codec, 101, exact=True))


@pytest.mark.parametrize("kept", [0, 1, 3, 10, 15])
@pytest.mark.parametrize("codec", ENCODE)
def test_a_start_alone_never_causes_another_error(codec: str, kept: int) -> None:
    with pytest.raises((TruncatedError, ValueError)) if codec in ("blosc", "lz4") and kept < 4 else Either():
        check(bytes(ENCODE[codec](bytes(range(256))))[:kept], Chunk(codec, 256, exact=True))


class Either:
    """Accepted or refused, but in no other way."""

    def __enter__(self) -> None: ...

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> bool:
        return kind is None or issubclass(kind, TruncatedError | ValueError | EOFError)


@given(st.sampled_from(sorted(ENCODE)), st.binary(max_size=200))
def test_nonsense_never_causes_another_error(codec: str, data: bytes) -> None:
    with Either():
        check(data, Chunk(codec, 64, exact=True))


def test_numbers_as_they_are() -> None:
    check(bytes(64), Chunk("", 64, exact=True))
    with pytest.raises(TruncatedError):
        check(bytes(63), Chunk("", 64, exact=True))
