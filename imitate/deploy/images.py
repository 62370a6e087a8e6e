"""Camera messages as pictures: the codec is told from the bytes, never from the free text `format`."""

import cv2
import numpy as np

from imitate.datasets.camera_pictures import compressed_picture, raw_picture
from imitate.deploy.messages import IMAGE
from imitate.deploy.transport import Message
from imitate.errors import DataError, RobotError


def decoded(message: Message, message_type: str) -> np.ndarray:
    """The picture (H, W, 3) uint8 RGB of a CompressedImage or Image; raises RobotError for any other."""
    try:
        if message_type == IMAGE:
            return raw_picture(
                np.frombuffer(bytes(message["data"]), np.uint8),
                str(message["encoding"]),
                int(message["height"]),
                int(message["width"]),
                int(message.get("step") or 0),
            )
        return compressed_picture(bytes(message.get("data") or b""))
    except DataError as error:
        raise RobotError(str(error)) from error


def encoded(picture: np.ndarray) -> bytes:
    """PNG of a picture (H, W, 3) uint8 RGB, which loses nothing; little compressed, to be quick."""
    done, data = cv2.imencode(
        ".png", cv2.cvtColor(picture, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_PNG_COMPRESSION, 1]
    )
    assert done
    return data.tobytes()
