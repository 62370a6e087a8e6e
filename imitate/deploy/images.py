"""Camera messages as pictures: the codec is told from the bytes, never from the free text `format`."""

from typing import Any

import cv2
import numpy as np

from imitate.deploy.messages import IMAGE
from imitate.deploy.transport import Message
from imitate.errors import RobotError

CODECS = {b"\xff\xd8\xff": "JPEG", b"\x89PNG": "PNG", b"RIFF": "WebP"}
"""First bytes of what cameras send."""

RAW = {
    "rgb8": (3, None),
    "bgr8": (3, cv2.COLOR_BGR2RGB),
    "8UC3": (3, cv2.COLOR_BGR2RGB),
    "rgba8": (4, cv2.COLOR_RGBA2RGB),
    "bgra8": (4, cv2.COLOR_BGRA2RGB),
    "mono8": (1, cv2.COLOR_GRAY2RGB),
    "8UC1": (1, cv2.COLOR_GRAY2RGB),
}
"""Encodings of sensor_msgs/Image: bytes per pixel and how they become RGB."""


def decoded(message: Message, message_type: str) -> np.ndarray:
    """The picture (H, W, 3) uint8 RGB of a CompressedImage or Image; raises RobotError for any other."""
    return _raw(message) if message_type == IMAGE else _compressed(bytes(message.get("data") or b""))


def encoded(picture: np.ndarray) -> bytes:
    """PNG of a picture (H, W, 3) uint8 RGB, which loses nothing; little compressed, to be quick."""
    done, data = cv2.imencode(
        ".png", cv2.cvtColor(picture, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_PNG_COMPRESSION, 1]
    )
    assert done
    return data.tobytes()


def resized(picture: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """`picture` at `size` (height, width), pixels averaged; itself where it has that size already."""
    if picture.shape[:2] == tuple(size):
        return picture
    return np.asarray(cv2.resize(picture, (size[1], size[0]), interpolation=cv2.INTER_AREA))


def _compressed(data: bytes) -> np.ndarray:
    if not any(data.startswith(start) for start in CODECS):
        raise RobotError(f"image starts with {data[:4].hex() or 'nothing'}, expected JPEG, PNG or WebP")
    picture = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
    if picture is None:
        raise RobotError(f"image of {len(data)} bytes is damaged")
    return np.asarray(cv2.cvtColor(picture, cv2.COLOR_BGR2RGB))


def _raw(message: Message) -> np.ndarray:
    encoding, height, width = message["encoding"], int(message["height"]), int(message["width"])
    if encoding not in RAW:
        raise RobotError(f"image has encoding {encoding!r}, expected one of {', '.join(RAW)}")
    channels, conversion = RAW[encoding]
    # Rows may be padded: `step` is the length of one in bytes.
    step = int(message.get("step") or width * channels)
    data: Any = np.frombuffer(bytes(message["data"]), np.uint8)
    if height < 1 or width < 1 or step < width * channels or data.size < height * step:
        raise RobotError(f"image {height} x {width} with rows of {step} bytes has {data.size} bytes")
    rows = data[: height * step].reshape(height, step)[:, : width * channels]
    picture = np.ascontiguousarray(rows).reshape(height, width, channels)
    return picture if conversion is None else np.asarray(cv2.cvtColor(picture, conversion))
