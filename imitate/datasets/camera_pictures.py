"""What cameras send as pictures (H, W, 3) uint8 RGB: raw pixels of an encoding, or JPEG, PNG and WebP.

Logs, sessions and live robots share this, so that a policy sees the same picture of the same bytes.
Encodings: sensor_msgs/image_encodings.hpp of ROS 2.
"""

import cv2
import numpy as np

from imitate.datasets.image_headers import picture_size
from imitate.errors import DataError

MOST_PIXELS = 50_000_000
"""More than any camera has: a few bytes can say that they are a picture of any size."""

RAW: dict[str, tuple[int, int | None]] = {
    "rgb8": (3, None),
    "8UC3": (3, cv2.COLOR_BGR2RGB),
    "bgr8": (3, cv2.COLOR_BGR2RGB),
    "rgba8": (4, cv2.COLOR_RGBA2RGB),
    "bgra8": (4, cv2.COLOR_BGRA2RGB),
    "mono8": (1, cv2.COLOR_GRAY2RGB),
    "8UC1": (1, cv2.COLOR_GRAY2RGB),
    "yuv422": (2, cv2.COLOR_YUV2RGB_UYVY),
    "uyvy": (2, cv2.COLOR_YUV2RGB_UYVY),
    "yuv422_yuy2": (2, cv2.COLOR_YUV2RGB_YUY2),
    "yuyv": (2, cv2.COLOR_YUV2RGB_YUY2),
    # OpenCV names a pattern by its second row.
    "bayer_rggb8": (1, cv2.COLOR_BayerBG2RGB),
    "bayer_bggr8": (1, cv2.COLOR_BayerRG2RGB),
    "bayer_gbrg8": (1, cv2.COLOR_BayerGR2RGB),
    "bayer_grbg8": (1, cv2.COLOR_BayerGB2RGB),
}
"""Encodings of sensor_msgs/Image: bytes per pixel, and how they become RGB."""
PAIRED = (cv2.COLOR_YUV2RGB_UYVY, cv2.COLOR_YUV2RGB_YUY2)
"""Two pixels share their colour."""
ENDS = {b"\xff\xd8": b"\xff\xd9", b"\x89P": b"IEND"}


def compressed_picture(data: bytes) -> np.ndarray:
    """The picture (H, W, 3) of a JPEG, PNG or WebP by its first bytes; raises DataError for what is none."""
    require_compressed(data)
    image = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
    if image is None:
        raise DataError(f"an image of {len(data)} bytes is damaged")
    return np.asarray(cv2.cvtColor(image, cv2.COLOR_BGR2RGB))


def raw_picture(data: np.ndarray, encoding: str, height: int, width: int, step: int) -> np.ndarray:
    """The picture (H, W, 3) of `data` (N,) uint8; step: bytes of a row, possibly padded, 0 where not told.

    Raises DataError for an encoding that is no picture, and for too few bytes.
    """
    step = require_raw(data.size, encoding, height, width, step)
    channels, conversion = RAW[encoding]
    rows = data[: height * step].reshape(height, step)[:, : width * channels]
    image = np.ascontiguousarray(rows).reshape(height, width, channels)
    return image if conversion is None else np.asarray(cv2.cvtColor(image, conversion))


def require_compressed(data: bytes) -> None:
    """Raise DataError where `data` is clearly no whole picture, without decoding it."""
    try:
        height, width = picture_size(data)
    except ValueError as error:
        raise DataError(str(error)) from error
    if not 0 < height * width <= MOST_PIXELS:
        raise DataError(f"an image of {len(data)} bytes says that it has {height} x {width} pixels")
    # OpenCV makes the rest of a JPEG that ends in the middle grey.
    if ENDS.get(data[:2], b"") not in data[-1024:]:
        raise DataError(f"an image of {len(data)} bytes ends in the middle")


def require_raw(size: int, encoding: str, height: int, width: int, step: int) -> int:
    """The bytes of a row; raises DataError where `size` bytes cannot be such a picture."""
    if encoding not in RAW:
        raise DataError(f"an image has encoding {encoding[:40]!r}, expected one of {', '.join(RAW)}")
    channels, conversion = RAW[encoding]
    step = step or width * channels
    if height < 1 or width < 1 or step < width * channels or size < height * step:
        raise DataError(f"an image of {height} x {width} with rows of {step} bytes has {size} bytes")
    if conversion in PAIRED and width % 2:
        raise DataError(f"an image of {encoding} has an odd width, {width}")
    return step


def resized(image: np.ndarray, size: tuple[int, int] | None) -> np.ndarray:
    """`image` at `size` (height, width), pixels averaged; itself where it has that size, or none is given."""
    if size is None or image.shape[:2] == tuple(size):
        return image
    return np.asarray(cv2.resize(image, (size[1], size[0]), interpolation=cv2.INTER_AREA))
