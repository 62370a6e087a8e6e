"""Camera messages as pictures (H, W, 3) uint8 RGB: the codec is told from the bytes, never from `format`."""

from typing import Any

import cv2
import numpy as np

from imitate.errors import DataError

IMAGE, COMPRESSED = "sensor_msgs/msg/Image", "sensor_msgs/msg/CompressedImage"
CAMERAS = (IMAGE, COMPRESSED)
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


def picture(message: Any, kind: str) -> np.ndarray:
    """The picture (H, W, 3) uint8 RGB of an Image or CompressedImage; raises DataError for what is none."""
    return _raw(message) if kind == IMAGE else _compressed(message.data.tobytes())


def require_picture(message: Any, kind: str) -> None:
    """Raise DataError where the message is clearly no whole picture, without decoding it."""
    if kind == IMAGE:
        _require_raw(message)
    else:
        _require_compressed(message.data.tobytes())


def resized(image: np.ndarray, size: tuple[int, int] | None) -> np.ndarray:
    """`image` at `size` (height, width), pixels averaged; itself where it has that size, or none is given."""
    if size is None or image.shape[:2] == tuple(size):
        return image
    return np.asarray(cv2.resize(image, (size[1], size[0]), interpolation=cv2.INTER_AREA))


def _require_compressed(data: bytes) -> None:
    height, width = _size(data)
    if not 0 < height * width <= MOST_PIXELS:
        raise DataError(f"an image of {len(data)} bytes says that it has {height} x {width} pixels")
    # OpenCV makes the rest of a JPEG that ends in the middle grey.
    end = {b"\xff\xd8": b"\xff\xd9", b"\x89P": b"IEND"}.get(data[:2], b"")
    if end not in data[-1024:]:
        raise DataError(f"an image of {len(data)} bytes ends in the middle")


def _compressed(data: bytes) -> np.ndarray:
    _require_compressed(data)
    image = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
    if image is None:
        raise DataError(f"an image of {len(data)} bytes is damaged")
    return np.asarray(cv2.cvtColor(image, cv2.COLOR_BGR2RGB))


def _size(data: bytes) -> tuple[int, int]:
    """(height, width) that the header of a JPEG, PNG or WebP tells."""
    if data.startswith(b"\x89PNG\r\n\x1a\n"):
        return int.from_bytes(data[20:24], "big"), int.from_bytes(data[16:20], "big")
    if data.startswith(b"\xff\xd8"):
        return _jpeg_size(data)
    if data.startswith(b"RIFF") and data[8:12] == b"WEBP":
        return _webp_size(data)
    raise DataError(f"an image starts with {data[:4].hex() or 'nothing'}, expected JPEG, PNG or WebP")


def _jpeg_size(data: bytes) -> tuple[int, int]:
    """Of the first frame header (ITU-T T.81, B.2.2); (0, 0) where there is none."""
    at = 2
    while at + 9 <= len(data) and data[at] == 0xFF:
        marker = data[at + 1]
        if marker == 0xFF:  # Any number of them may fill the space before a marker.
            at += 1
        elif 0xC0 <= marker <= 0xCF and marker not in (0xC4, 0xC8, 0xCC):
            return int.from_bytes(data[at + 5 : at + 7], "big"), int.from_bytes(data[at + 7 : at + 9], "big")
        else:
            at += 2 + max(2, int.from_bytes(data[at + 2 : at + 4], "big"))
    return 0, 0


def _webp_size(data: bytes) -> tuple[int, int]:
    """RFC 9649, sections 2.5 to 2.7."""
    if data[12:16] == b"VP8X":
        return int.from_bytes(data[27:30], "little") + 1, int.from_bytes(data[24:27], "little") + 1
    if data[12:16] == b"VP8L":
        bits = int.from_bytes(data[21:25], "little")
        return (bits >> 14 & 0x3FFF) + 1, (bits & 0x3FFF) + 1
    return (
        int.from_bytes(data[28:30], "little") & 0x3FFF,
        int.from_bytes(data[26:28], "little") & 0x3FFF,
    )


def _require_raw(message: Any) -> None:
    encoding, height, width = message.encoding, int(message.height), int(message.width)
    if encoding not in RAW:
        raise DataError(f"an image has encoding {encoding[:40]!r}, expected one of {', '.join(RAW)}")
    channels, conversion = RAW[encoding]
    step, size = _row_bytes(message), message.data.size
    if height < 1 or width < 1 or step < width * channels or size < height * step:
        raise DataError(f"an image of {height} x {width} with rows of {step} bytes has {size} bytes")
    if conversion in (cv2.COLOR_YUV2RGB_UYVY, cv2.COLOR_YUV2RGB_YUY2) and width % 2:
        raise DataError(f"an image of {encoding} has an odd width, {width}")


def _row_bytes(message: Any) -> int:
    """Rows may be padded: `step` is the length of one."""
    return int(message.step) or int(message.width) * RAW[message.encoding][0]


def _raw(message: Any) -> np.ndarray:
    _require_raw(message)
    (channels, conversion), step = RAW[message.encoding], _row_bytes(message)
    height, width = int(message.height), int(message.width)
    rows = message.data.view(np.uint8)[: height * step].reshape(height, step)[:, : width * channels]
    image = np.ascontiguousarray(rows).reshape(height, width, channels)
    return image if conversion is None else np.asarray(cv2.cvtColor(image, conversion))
