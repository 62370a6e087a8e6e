"""JPEG of camera images: whichever decoder is installed, the same pixels, colour as fine as it must be."""

from collections.abc import Callable

import cv2
import numpy as np
import pytest

from imitate.datasets import jpeg
from imitate.datasets.jpeg import FAITHFUL_DB, LEAD, decode_jpeg, encode_jpeg

SIZE = (80, 96)


def scene() -> np.ndarray:
    rng = np.random.default_rng(0)
    return cv2.resize(rng.integers(0, 256, (5, 6, 3), np.uint8), SIZE[::-1], interpolation=cv2.INTER_CUBIC)


def speckled() -> np.ndarray:
    """Red and green pixels side by side, of which half the resolution leaves nothing."""
    image = scene()
    image[::2, ::2] = (255, 0, 0)
    image[1::2, 1::2] = (0, 180, 0)
    return image


def decoded(file: bytes) -> np.ndarray:
    out = np.empty((*SIZE, 3), np.uint8)
    decode_jpeg(file, out)
    return out


def sampling(file: bytes) -> int:
    """Of the first component, horizontal and vertical (ITU-T T.81, B.2.2)."""
    return file[file.index(b"\xff\xc0") + 11]


def test_colour_is_halved_only_where_the_image_stays_faithful() -> None:
    smooth, fine = encode_jpeg(scene()), encode_jpeg(speckled())
    assert (sampling(smooth), sampling(fine)) == (0x22, 0x11)
    assert cv2.PSNR(decoded(smooth), scene()) >= FAITHFUL_DB


@pytest.mark.parametrize("make", [scene, speckled])
def test_both_decoders_give_the_same_pixels(
    make: Callable[[], np.ndarray], monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("simplejpeg", reason="of the extra images")
    file = encode_jpeg(make())
    quick = decoded(file)
    monkeypatch.setattr(jpeg, "simplejpeg", None)
    assert np.array_equal(quick, decoded(file))


def test_wherever_the_pixels_go_they_are_the_same() -> None:
    file = encode_jpeg(scene())
    room = np.zeros(LEAD + 2 * scene().nbytes, np.uint8)
    batch = room[LEAD:].reshape(2, *SIZE, 3)
    decode_jpeg(file, batch[1])
    assert np.array_equal(batch[1], decoded(file))
    assert not batch[0].any()


def test_what_the_quick_decoder_refuses_is_for_the_other_to_judge() -> None:
    file = encode_jpeg(scene())
    noted = file[:2] + b"\xff\xfe\x00\x04ab" + file[2:-2] + b"\x00\x00" + file[-2:]  # a comment, stray bytes
    assert np.array_equal(decoded(noted), decoded(file))
    grey = cv2.imencode(".jpg", scene()[..., 0])[1].tobytes()
    assert np.ptp(decoded(grey).astype(int), axis=-1).max() == 0
    with pytest.raises(ValueError, match="80 x 96 px, expected 96 x 80"):
        decode_jpeg(file, np.empty((96, 80, 3), np.uint8))
