"""JPEG files of camera images: written by OpenCV, read by the quickest decoder that is installed."""

from typing import Any

import cv2
import numpy as np

from imitate.datasets.image_headers import jpeg_size

try:  # Of the extra `images`; decodes into the batch, where OpenCV makes an image and turns its colours.
    import simplejpeg  # type: ignore[import-untyped, import-not-found, unused-ignore]
except ImportError:
    simplejpeg = None

QUALITY = 95
FULL_COLOUR, HALF_COLOUR = cv2.IMWRITE_JPEG_SAMPLING_FACTOR_444, cv2.IMWRITE_JPEG_SAMPLING_FACTOR_420
FAITHFUL_DB = 40.0
"""PSNR that must be left where colour is kept at half resolution, which decodes in two thirds of the time."""
DECODING = cv2.IMREAD_COLOR | cv2.IMREAD_IGNORE_ORIENTATION

LEAD = 16
"""Bytes before the first pixel of a batch that is decoded into.

libjpeg-turbo's AVX2 code writes rows that begin at multiples of 32 bytes past the cache; where none does,
decoding takes a fifth less (docs/loading.md).
"""


def encode_jpeg(image: np.ndarray, quality: int = QUALITY) -> bytes:
    """(H, W, 3) uint8 RGB -> a JPEG file.

    Colour has half the resolution (4:2:0) where FAITHFUL_DB are left of the image even so, else all of it
    (4:4:4).
    """
    turned = cv2.cvtColor(image, cv2.COLOR_RGB2BGR)
    half = _encoded(turned, HALF_COLOUR, quality)
    if cv2.PSNR(cv2.imdecode(half, DECODING), turned) < FAITHFUL_DB:
        return bytes(_encoded(turned, FULL_COLOUR, quality))
    return bytes(half)


def _encoded(image: np.ndarray, colour: int, quality: int) -> np.ndarray:
    settings = [cv2.IMWRITE_JPEG_SAMPLING_FACTOR, colour, cv2.IMWRITE_JPEG_QUALITY, quality]
    done, data = cv2.imencode(".jpg", image, settings)
    if not done:
        raise ValueError(f"an image of shape {image.shape} cannot be encoded")
    return data


def decode_jpeg(data: Any, out: np.ndarray) -> None:
    """A JPEG file -> `out` (H, W, 3) uint8 RGB; raises ValueError where it is damaged or of another size."""
    height, width = jpeg_size(data)
    if (height, width, 3) != out.shape:
        raise ValueError(f"an image is {height} x {width} px, expected {out.shape[0]} x {out.shape[1]}")
    if simplejpeg is None or not _decoded_in_place(data, out):
        _decode_by_opencv(data, out)


def _decoded_in_place(data: Any, out: np.ndarray) -> bool:
    """Whether simplejpeg can; what it refuses (four colours, slight damage) is for OpenCV to judge."""
    try:
        simplejpeg.decode_jpeg(data, "RGB", buffer=out)
    except ValueError:
        return False
    return True


def _decode_by_opencv(data: Any, out: np.ndarray) -> None:
    found = cv2.imdecode(np.frombuffer(data, np.uint8), DECODING)
    if found is None or found.shape != out.shape:
        raise ValueError("an image is damaged")
    cv2.cvtColor(found, cv2.COLOR_BGR2RGB, dst=out)
