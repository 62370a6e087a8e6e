"""Camera images encoded one by one: a chunk file is a table of where each image lies, then the images.

    bytes 0…3       b"IMG1"
    bytes 4…7       count of images, n
    bytes 8…15      size of the file
    then            n + 1 offsets (uint32) from the start of the file; image i is offset[i] … offset[i + 1]
    then            the images, each a complete JPEG file

All numbers are little-endian. One image costs two short reads and one decode, whatever the size of the chunk,
and images are appended as they are: nothing that was encoded is ever encoded again. Importing this module
makes the codec known to zarr, which then reads such arrays as any other; where imitate is installed, zarr
finds it by itself.
"""

import struct
from collections.abc import Sequence
from itertools import pairwise
from typing import Any, Literal, Self

import cv2
import numpy as np
from numcodecs.abc import Codec  # type: ignore[import-untyped]
from numcodecs.registry import register_codec  # type: ignore[import-untyped]

from imitate.types import ArraySpec

Storage = Literal["jpeg", "lossless"]
"""How a store keeps camera images: "jpeg" those worth it, "lossless" every number of every image."""

CODEC_ID = "imitate_images"
QUALITY = 95
SMALL_PX = 64
"""Images up to this side stay lossless: they are cheap, and every pixel of them counts."""

HEAD = struct.Struct("<4sIQ")
MAGIC = b"IMG1"
EXACT_NAMES = ("depth", "mask", "segm")
"""Images with such names hold numbers in place of colours, which JPEG would change."""

SETTINGS = (
    cv2.IMWRITE_JPEG_SAMPLING_FACTOR,
    cv2.IMWRITE_JPEG_SAMPLING_FACTOR_444,
    cv2.IMWRITE_JPEG_QUALITY,
)
DECODING = cv2.IMREAD_COLOR | cv2.IMREAD_IGNORE_ORIENTATION


def is_encoded(name: str, array: ArraySpec, storage: Storage) -> bool:
    """Whether the array `name` is stored as JPEG: colour images above 64 px that are no depths or masks."""
    return (
        storage == "jpeg"
        and array.is_image
        and array.shape[2] == 3
        and min(array.shape[:2]) > SMALL_PX
        and not any(part in name.lower() for part in EXACT_NAMES)
    )


class ImageCodec(Codec):  # type: ignore[misc]
    """numcodecs codec of a whole chunk, so that zarr reads what `ImageArray` reads image by image.

    shape: of a chunk (rows, H, W, 3). Images that a chunk does not have yet are zeros.
    """

    codec_id = CODEC_ID

    def __init__(self, shape: Sequence[int], quality: int = QUALITY) -> None:
        self.shape = tuple(int(size) for size in shape)
        self.quality = int(quality)
        if len(self.shape) != 4 or self.shape[3] != 3 or min(self.shape) < 1:
            raise ValueError(f"shape is {self.shape}, expected (rows, H, W, 3)")

    def get_config(self) -> dict[str, Any]:
        """What the header of an array says of this codec."""
        return {"id": self.codec_id, "shape": list(self.shape), "quality": self.quality}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Self:
        """The codec of `get_config`; raises ValueError for another shape than (rows, H, W, 3)."""
        return cls(config["shape"], config.get("quality", QUALITY))

    def encode(self, buf: Any) -> bytes:
        """A chunk (rows, H, W, 3) uint8 -> the bytes of its file."""
        chunk = np.frombuffer(buf, np.uint8).reshape(self.shape)
        return join([encode(image, self.quality) for image in chunk])

    def decode(self, buf: Any, out: Any = None) -> Any:
        """The bytes of a file -> its chunk; raises ValueError where they are damaged."""
        images = split(bytes(buf))
        if len(images) > self.shape[0]:
            raise ValueError(f"{len(images)} images, expected at most {self.shape[0]}")
        flat = np.empty(int(np.prod(self.shape)), np.uint8) if out is None else np.frombuffer(out, np.uint8)
        chunk = flat.reshape(self.shape)
        for index, image in enumerate(images):
            decode_into(image, chunk[index])
        chunk[len(images) :] = 0
        return flat if out is None else out


register_codec(ImageCodec)


def encode(image: np.ndarray, quality: int = QUALITY) -> bytes:
    """(H, W, 3) uint8 RGB -> a JPEG file with colour at full resolution (4:4:4)."""
    settings = [*SETTINGS, quality]
    done, data = cv2.imencode(".jpg", cv2.cvtColor(image, cv2.COLOR_RGB2BGR), settings)
    if not done:
        raise ValueError(f"an image of shape {image.shape} cannot be encoded")
    return bytes(data)


def decode_into(data: Any, out: np.ndarray) -> None:
    """A JPEG file -> `out` (H, W, 3) uint8 RGB; raises ValueError where it is damaged or of another size."""
    height, width = jpeg_size(data)
    if (height, width, 3) != out.shape:
        raise ValueError(f"an image is {height} x {width} px, expected {out.shape[0]} x {out.shape[1]}")
    found = cv2.imdecode(np.frombuffer(data, np.uint8), DECODING)
    if found is None or found.shape != out.shape:
        raise ValueError("an image is damaged")
    cv2.cvtColor(found, cv2.COLOR_BGR2RGB, dst=out)


def jpeg_size(data: Any) -> tuple[int, int]:
    """Height and width that a JPEG file claims to have, known before any memory is taken for it.

    Raises ValueError where there is no frame header (ITU T.81, B.2.2: the marker segments before it are
    skipped by their lengths).
    """
    at = 2
    while bytes(data[:2]) == b"\xff\xd8" and at + 9 <= len(data) and data[at] == 0xFF:
        marker, length = data[at + 1], data[at + 2] << 8 | data[at + 3]
        if 0xC0 <= marker <= 0xCF and marker not in (0xC4, 0xC8, 0xCC):
            return data[at + 5] << 8 | data[at + 6], data[at + 7] << 8 | data[at + 8]
        at += 2 + length
    raise ValueError("an image is no JPEG file, or its header is damaged")


def join(images: Sequence[bytes]) -> bytes:
    """The bytes of a chunk file with these encoded images; raises ValueError above 4 GiB."""
    first = table_bytes(len(images))
    offsets = first + np.concatenate([[0], np.cumsum([len(image) for image in images], dtype=np.int64)])
    if offsets[-1] >= 2**32:
        raise ValueError(f"a chunk of {offsets[-1]} bytes, expected less than 4 GiB")
    head = HEAD.pack(MAGIC, len(images), int(offsets[-1]))
    return b"".join([head, offsets.astype("<u4").tobytes(), *images])


def split(chunk: bytes) -> list[bytes]:
    """The encoded images of a chunk file; raises ValueError where it is damaged or truncated."""
    offsets = read_table(chunk, len(chunk))
    return [chunk[start:stop] for start, stop in pairwise(offsets)]


def table_bytes(count: int) -> int:
    """Size of the head and the table of a chunk with `count` images."""
    return HEAD.size + 4 * (count + 1)


def read_head(start: bytes) -> tuple[int, int]:
    """Count of images and size of the file, from its first bytes; raises ValueError for any other file."""
    if len(start) < HEAD.size or start[:4] != MAGIC:
        raise ValueError("the chunk is no chunk of images")
    _, count, size = HEAD.unpack_from(start)
    return count, size


def read_table(start: bytes, size: int) -> list[int]:
    """Offsets (n + 1) of the images, from the first bytes of a file of `size` bytes.

    Raises ValueError where the table is damaged, or the file shorter than it says.
    """
    count, expected = read_head(start)
    expected = max(expected, table_bytes(count))
    if size < expected:
        raise ValueError(f"the chunk is truncated: {size} bytes, expected {expected}")
    if len(start) < table_bytes(count):
        raise ValueError(f"the chunk says that it holds {count} images, which is more than it can")
    offsets: list[int] = np.frombuffer(start, "<u4", count + 1, HEAD.size).tolist()
    if offsets[0] != table_bytes(count) or offsets[-1] > size or offsets != sorted(offsets):
        raise ValueError("the table of the chunk is damaged")
    return offsets
