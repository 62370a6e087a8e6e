"""Camera messages as pictures (H, W, 3) uint8 RGB: the codec is told from the bytes, never from `format`."""

from typing import Any

import numpy as np

from imitate.datasets.camera_pictures import compressed_picture, raw_picture, require_compressed, require_raw

IMAGE, COMPRESSED = "sensor_msgs/msg/Image", "sensor_msgs/msg/CompressedImage"
CAMERAS = (IMAGE, COMPRESSED)


def picture(message: Any, kind: str) -> np.ndarray:
    """The picture (H, W, 3) uint8 RGB of an Image or CompressedImage; raises DataError for what is none."""
    if kind == IMAGE:
        return raw_picture(message.data.view(np.uint8), *_layout(message))
    return compressed_picture(message.data.tobytes())


def require_picture(message: Any, kind: str) -> None:
    """Raise DataError where the message is clearly no whole picture, without decoding it."""
    if kind == IMAGE:
        require_raw(message.data.size, *_layout(message))
    else:
        require_compressed(message.data.tobytes())


def _layout(message: Any) -> tuple[str, int, int, int]:
    return message.encoding, int(message.height), int(message.width), int(message.step)
