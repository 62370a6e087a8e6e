"""Chunks of images: what was encoded comes back byte for byte, and no file makes the reader misbehave."""

import contextlib
import struct
import subprocess
import sys
import tomllib
from importlib.metadata import entry_points
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numcodecs.registry import get_codec

from imitate.datasets.image_chunks import (
    CODEC_ID,
    ImageCodec,
    decode_into,
    encode,
    is_encoded,
    join,
    jpeg_size,
    split,
)
from imitate.types import ArraySpec

PROJECT = Path(__file__).parents[2]


def picture(seed: int = 0, size: tuple[int, int] = (80, 96)) -> np.ndarray:
    """Smooth colours with an edge, as a camera sees."""
    rng = np.random.default_rng(seed)
    image = cv2.resize(rng.integers(0, 256, (5, 6, 3), np.uint8), size[::-1], interpolation=cv2.INTER_CUBIC)
    cv2.circle(image, (40, 30 + seed % 20), 12, (250, 30, 60), -1)
    return image


def psnr(a: np.ndarray, b: np.ndarray) -> float:
    return float(10 * np.log10(255**2 / np.mean((a.astype(np.float64) - b) ** 2)))


def test_an_image_comes_back_nearly_as_it_was_with_its_colours_in_order() -> None:
    image, out = picture(), np.empty((80, 96, 3), np.uint8)
    decode_into(encode(image), out)
    assert psnr(image, out) > 38
    assert psnr(image[..., ::-1], out) < 30
    # And others see the same picture in it.
    theirs = cv2.cvtColor(cv2.imdecode(np.frombuffer(encode(image), np.uint8), 1), cv2.COLOR_BGR2RGB)
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


@settings(max_examples=200, deadline=None)
@given(st.data())
def test_any_damage_to_an_image_is_an_error_or_an_image(data: st.DataObject) -> None:
    file, out = bytearray(encode(picture())), np.empty((80, 96, 3), np.uint8)
    for _ in range(data.draw(st.integers(1, 4))):
        file[data.draw(st.integers(0, len(file) - 1))] = data.draw(st.integers(0, 255))
    with contextlib.suppress(ValueError):
        decode_into(bytes(file[: data.draw(st.integers(0, len(file)))]), out)


def test_a_size_that_is_a_lie_is_refused_before_memory_is_taken() -> None:
    file = bytearray(encode(picture()))
    at = file.index(b"\xff\xc0")
    file[at + 5 : at + 9] = struct.pack(">HH", 65000, 65000)
    assert jpeg_size(bytes(file)) == (65000, 65000)
    with pytest.raises(ValueError, match="65000 x 65000 px, expected 80 x 96"):
        decode_into(bytes(file), np.empty((80, 96, 3), np.uint8))


def test_other_files_are_refused() -> None:
    png = cv2.imencode(".png", picture())[1].tobytes()
    for file in (b"", b"\xff\xd8", png, b"\xff\xd8" + b"\xff\xfe\x00\x00" * 40):
        with pytest.raises(ValueError, match="no JPEG file, or its header is damaged"):
            decode_into(file, np.empty((80, 96, 3), np.uint8))
    for chunk in (b"", b"IMG1", b"\x00" * 40, struct.pack("<4sIQ", b"IMG1", 2**32 - 1, 16)):
        with pytest.raises(ValueError, match="chunk"):
            split(chunk)


def test_the_codec_pads_short_chunks_and_knows_itself_by_its_settings() -> None:
    codec = get_codec({"id": CODEC_ID, "shape": [3, 80, 96, 3], "quality": 95})
    assert isinstance(codec, ImageCodec)
    assert get_codec(codec.get_config()) == codec
    images = [picture(0), picture(1)]
    chunk = codec.decode(join([encode(image) for image in images])).reshape(3, 80, 96, 3)
    assert min(psnr(a, b) for a, b in zip(images, chunk, strict=False)) > 38
    assert not chunk[2].any()
    again = codec.decode(codec.encode(chunk)).reshape(chunk.shape)
    assert psnr(again, chunk) > 38
    with pytest.raises(ValueError, match="3 images, expected at most 2"):
        ImageCodec((2, 80, 96, 3)).decode(codec.encode(chunk))
    with pytest.raises(ValueError, match="expected"):
        ImageCodec((2, 80, 96))


def test_zarr_finds_the_codec_where_imitate_is_installed() -> None:
    project = tomllib.loads((PROJECT / "pyproject.toml").read_text())
    module, _, name = project["project"]["entry-points"]["numcodecs.codecs"][CODEC_ID].partition(":")
    assert (module, name) == (ImageCodec.__module__, ImageCodec.__name__)
    if not [point for point in entry_points(group="numcodecs.codecs") if point.name == CODEC_ID]:
        pytest.skip("installed before the codec was part of it: pip install -e . again")
    code = f"from numcodecs.registry import get_codec; get_codec({ImageCodec((1, 8, 8, 3)).get_config()})"
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.mark.parametrize(
    ("name", "shape", "dtype", "storage", "expected"),
    [
        ("front", (96, 96, 3), "uint8", "jpeg", True),
        ("front", (96, 96, 3), "uint8", "lossless", False),
        ("front", (65, 200, 3), "uint8", "jpeg", True),
        ("front", (64, 200, 3), "uint8", "jpeg", False),
        ("front", (96, 96, 1), "uint8", "jpeg", False),
        ("front", (96, 96, 4), "uint8", "jpeg", False),
        ("front", (96, 96, 3), "float32", "jpeg", False),
        ("wrist_depth", (96, 96, 3), "uint8", "jpeg", False),
        ("Segmentation", (96, 96, 3), "uint8", "jpeg", False),
        ("cube_mask", (96, 96, 3), "uint8", "jpeg", False),
    ],
)
def test_only_colour_images_that_are_worth_it_are_encoded(
    name: str, shape: tuple[int, ...], dtype: str, storage: str, expected: bool
) -> None:
    assert is_encoded(name, ArraySpec(shape, dtype), storage) is expected  # type: ignore[arg-type]
