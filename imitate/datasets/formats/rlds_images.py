"""Images of RLDS records: JPEG and PNG, measured by their headers before anything is decoded."""

import cv2
import numpy as np

from imitate.datasets.image_headers import JPEG_START, PNG_START, picture_size
from imitate.datasets.proportion import WHOLE
from imitate.errors import DataError

JPEG_END = b"\xff\xd9"


def is_image(data: bytes) -> bool:
    """Whether the bytes start as a JPEG or PNG does."""
    return data.startswith((JPEG_START, PNG_START))


def decode_images(
    encoded: list[bytes], declared: tuple[int | None, ...], dtype: str, where: str
) -> np.ndarray:
    """Images (T, H, W, 3) uint8 RGB, or (T, H, W, 1) of the declared type where that is not uint8.

    declared: (H, W, C) as features.json tells, None where it does not. Raises DataError naming the step that
    is damaged, of another size, or far larger than its bytes.
    """
    size = _size(encoded[0], f"{where}, step 0")
    expected = tuple(known or found for known, found in zip(declared[:2], size, strict=False))
    for step, data in enumerate(encoded):
        found = _size(data, f"{where}, step {step}")
        if found != expected:
            raise DataError(f"{where}, step {step}: the image is {found} pixels, expected {expected}")
    channels = 3 if dtype == "uint8" else 1
    images = np.dtype(dtype).itemsize * channels * len(encoded) * size[0] * size[1]
    WHOLE.require(images, sum(map(len, encoded)), where)
    decoded = np.empty((len(encoded), *size, channels), dtype)
    for step, data in enumerate(encoded):
        decoded[step] = _decode(data, decoded.shape[1:], dtype, f"{where}, step {step}")
    return decoded


def _decode(data: bytes, shape: tuple[int, ...], dtype: str, where: str) -> np.ndarray:
    # TFDS keeps float32 images as PNGs whose four 8-bit channels are the bytes of a number.
    kept = cv2.IMREAD_COLOR if dtype == "uint8" else cv2.IMREAD_UNCHANGED
    try:
        image = cv2.imdecode(np.frombuffer(data, np.uint8), kept | cv2.IMREAD_IGNORE_ORIENTATION)
    except cv2.error as error:
        raise DataError(f"{where}: the image cannot be decoded ({' '.join(str(error).split())})") from error
    if image is None:
        raise DataError(f"{where}: the image is damaged; copy the dataset again")
    if dtype == "uint8":
        image = cv2.cvtColor(image, cv2.COLOR_BGR2RGB)
    elif dtype == "float32" and image.dtype == np.uint8 and image.shape[2:] == (4,):
        image = np.ascontiguousarray(image[..., [2, 1, 0, 3]]).view("<f4")
    image = image[..., None] if image.ndim == 2 else image
    if image.shape != shape or image.dtype != np.dtype(dtype):
        raise DataError(f"{where}: the image is {image.shape} {image.dtype}, expected {shape} {dtype}")
    return np.asarray(image)


def _size(data: bytes, where: str) -> tuple[int, int]:
    """(height, width) as the header says; raises DataError where the image is cut off or of another kind."""
    if not is_image(data):
        raise DataError(f"{where}: {len(data)} bytes are no JPEG and no PNG; they start with {data[:8]!r}")
    # Decoders fill what is missing of a JPEG with grey, and only warn.
    is_whole = data.startswith(PNG_START) or data.rfind(JPEG_END) > 0
    try:
        size = picture_size(data) if is_whole else (0, 0)
    except ValueError:
        size = (0, 0)
    if not size[0] or not size[1]:
        raise DataError(f"{where}: the image is cut off or damaged; copy the dataset again")
    return size
