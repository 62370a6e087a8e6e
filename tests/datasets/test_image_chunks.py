"""Chunks of images: what was encoded comes back byte for byte, and no file makes the reader misbehave."""

import contextlib
import struct
import subprocess
import sys
import tomllib
from collections.abc import Callable
from importlib.metadata import entry_points
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numcodecs.registry import get_codec
from numcodecs.zstd import Zstd

from imitate.datasets.image_chunks import (
    CODEC_ID,
    ImageCodec,
    Storage,
    decode_into,
    is_encoded,
    join,
    split,
    storage_of,
)
from imitate.datasets.image_headers import jpeg_size, zstd_bytes
from imitate.datasets.jpeg import encode_jpeg
from imitate.types import ArraySpec

PROJECT = Path(__file__).parents[2]


def picture(seed: int = 0, size: tuple[int, int] = (80, 96)) -> np.ndarray:
    """Smooth colours with an edge, as a camera sees."""
    rng = np.random.default_rng(seed)
    image = cv2.resize(rng.integers(0, 256, (5, 6, 3), np.uint8), size[::-1], interpolation=cv2.INTER_CUBIC)
    cv2.circle(image, (40, 30 + seed % 20), 12, (250, 30, 60), -1)
    return image


def psnr(a: np.ndarray, b: np.ndarray) -> float:
    return float(10 * np.log10(255**2 / max(1e-9, np.mean((a.astype(np.float64) - b) ** 2))))


def test_an_image_comes_back_nearly_as_it_was_with_its_colours_in_order() -> None:
    image, out = picture(), np.empty((80, 96, 3), np.uint8)
    decode_into(encode_jpeg(image), out)
    assert psnr(image, out) > 38
    assert psnr(image[..., ::-1], out) < 30
    # And others see the same picture in it.
    theirs = cv2.cvtColor(cv2.imdecode(np.frombuffer(encode_jpeg(image), np.uint8), 1), cv2.COLOR_BGR2RGB)
    assert np.array_equal(theirs, out)


@given(st.lists(st.binary(max_size=50), max_size=20))
def test_what_is_joined_is_split_again(images: list[bytes]) -> None:
    assert split(join(images)) == images


@given(st.lists(st.binary(max_size=50), min_size=1, max_size=5), st.data())
def test_any_damage_to_a_chunk_is_an_error_or_other_bytes(images: list[bytes], data: st.DataObject) -> None:
    chunk = bytearray(join(images))
    at = data.draw(st.integers(0, len(chunk) - 1))
    chunk[at] ^= data.draw(st.integers(1, 255))
    cut = data.draw(st.integers(0, len(chunk)))
    for damaged in (bytes(chunk), bytes(chunk[:cut])):
        try:
            found = split(damaged)
        except ValueError:
            continue
        assert sum(map(len, found)) <= len(chunk)


LOSSLESS = ImageCodec((1, 80, 96, 3), "lossless")


@pytest.mark.parametrize("encode", [encode_jpeg, LOSSLESS.encode_image], ids=["jpeg", "zstd"])
@settings(max_examples=150, deadline=None)
@given(st.data())
def test_any_damage_to_an_image_is_an_error_or_an_image(
    encode: Callable[[np.ndarray], bytes], data: st.DataObject
) -> None:
    file, out = bytearray(encode(picture())), np.empty((80, 96, 3), np.uint8)
    for _ in range(data.draw(st.integers(1, 4))):
        file[data.draw(st.integers(0, len(file) - 1))] = data.draw(st.integers(0, 255))
    with contextlib.suppress(ValueError):
        decode_into(bytes(file[: data.draw(st.integers(0, len(file)))]), out)


def test_a_size_that_is_a_lie_is_refused_before_memory_is_taken() -> None:
    out = np.empty((80, 96, 3), np.uint8)
    file = bytearray(encode_jpeg(picture()))
    at = file.index(b"\xff\xc0")
    file[at + 5 : at + 9] = struct.pack(">HH", 65000, 65000)
    assert jpeg_size(bytes(file)) == (65000, 65000)
    with pytest.raises(ValueError, match="65000 x 65000 px, expected 80 x 96"):
        decode_into(bytes(file), out)
    bomb = bytes(Zstd(1).encode(np.zeros(2**28, np.uint8)))
    assert len(bomb) < 2**16
    with pytest.raises(ValueError, match=f"an image has {2**28} bytes, expected {out.nbytes}"):
        decode_into(bomb, out)
    unknown = bytearray(LOSSLESS.encode_image(picture()))
    unknown[4] &= 0b00011111  # the size is left out
    with pytest.raises(ValueError, match="does not say its size"):
        decode_into(bytes(unknown), out)


@pytest.mark.parametrize("size", [0, 1, 255, 256, 65791, 65792, 10**7])
def test_zstd_says_its_size(size: int) -> None:
    assert zstd_bytes(bytes(Zstd(1).encode(np.zeros(size, np.uint8)))) == size


def test_what_compresses_stays_exact_and_noise_becomes_jpeg() -> None:
    drawn, out = np.full((80, 96, 3), 200, np.uint8), np.empty((80, 96, 3), np.uint8)
    cv2.rectangle(drawn, (10, 10), (50, 40), (250, 3, 60), -1)
    noise = np.random.default_rng(0).normal(0, 6, picture().shape)
    seen = np.clip(picture() + noise, 0, 255).astype(np.uint8)
    exact = {}
    for storage in ("auto", "jpeg", "lossless"):
        codec = ImageCodec((1, 80, 96, 3), storage)
        for name, image in (("drawn", drawn), ("seen", seen)):
            decode_into(codec.encode_image(image), out)
            exact[storage, name] = np.array_equal(out, image)
            assert psnr(image, out) > 33
    assert [pair for pair, is_exact in exact.items() if is_exact] == [
        ("auto", "drawn"),
        ("lossless", "drawn"),
        ("lossless", "seen"),
    ]


def test_other_files_are_refused() -> None:
    png = cv2.imencode(".png", picture())[1].tobytes()
    for file in (b"", b"\xff\xd8", png, b"\xff\xd8" + b"\xff\xfe\x00\x00" * 40):
        with pytest.raises(ValueError, match="neither JPEG nor zstd, or its header is damaged"):
            decode_into(file, np.empty((80, 96, 3), np.uint8))
    for chunk in (b"", b"IMG1", b"\x00" * 40, struct.pack("<4sIQ", b"IMG1", 2**32 - 1, 16)):
        with pytest.raises(ValueError, match="chunk"):
            split(chunk)


@pytest.mark.parametrize("storage", ["jpeg", "lossless"])
def test_the_codec_pads_short_chunks_and_knows_itself_by_its_settings(storage: Storage) -> None:
    codec = get_codec({"id": CODEC_ID, "shape": [3, 80, 96, 3], "storage": storage, "quality": 95})
    assert isinstance(codec, ImageCodec)
    assert get_codec(codec.get_config()) == codec
    images = [picture(0), picture(1)]
    chunk = codec.decode(join([codec.encode_image(image) for image in images])).reshape(3, 80, 96, 3)
    assert min(psnr(a, b) for a, b in zip(images, chunk, strict=False)) > 38
    assert not chunk[2].any()
    again = codec.decode(codec.encode(chunk)).reshape(chunk.shape)
    assert psnr(again, chunk) > 38
    assert storage == "jpeg" or np.array_equal(again, chunk)
    with pytest.raises(ValueError, match="3 images, expected at most 2"):
        ImageCodec((2, 80, 96, 3), storage).decode(codec.encode(chunk))


@pytest.mark.parametrize(
    ("shape", "storage"), [((2, 80, 96), "jpeg"), ((2, 80, 96, 1), "auto"), ((2, 80, 96, 3), "png")]
)
def test_settings_that_cannot_be_are_refused(shape: tuple[int, ...], storage: Storage) -> None:
    with pytest.raises(ValueError, match=r"shape is|storage is"):
        ImageCodec(shape, storage)


def test_zarr_finds_the_codec_where_imitate_is_installed() -> None:
    project = tomllib.loads((PROJECT / "pyproject.toml").read_text())
    module, _, name = project["project"]["entry-points"]["numcodecs.codecs"][CODEC_ID].partition(":")
    assert (module, name) == (ImageCodec.__module__, ImageCodec.__name__)
    if not [point for point in entry_points(group="numcodecs.codecs") if point.name == CODEC_ID]:
        pytest.skip("installed before the codec was part of it: pip install -e . again")
    code = f"from numcodecs.registry import get_codec; get_codec({LOSSLESS.get_config()})"
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.mark.parametrize(
    ("name", "shape", "dtype", "encoded", "storage"),
    [
        ("front", (96, 96, 3), "uint8", True, "jpeg"),
        ("front", (65, 200, 3), "uint8", True, "jpeg"),
        ("front", (64, 200, 3), "uint8", False, "jpeg"),
        ("front", (96, 96, 1), "uint8", True, "lossless"),
        ("front", (96, 96, 4), "uint8", True, "lossless"),
        ("front", (96, 96, 3), "float32", False, "jpeg"),
        ("wrist_depth", (96, 96, 3), "uint8", True, "lossless"),
        ("Segmentation", (96, 96, 3), "uint8", True, "lossless"),
        ("cube_mask", (96, 96, 3), "uint8", True, "lossless"),
        ("state", (4,), "float32", False, "lossless"),
    ],
)
def test_only_colours_may_lose_anything(
    name: str, shape: tuple[int, ...], dtype: str, encoded: bool, storage: str
) -> None:
    array = ArraySpec(shape, dtype)
    assert (is_encoded(array), storage_of(name, array, "jpeg")) == (encoded, storage)
    assert storage_of(name, array, "lossless") == "lossless"
