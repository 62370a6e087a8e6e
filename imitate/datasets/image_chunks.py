"""Camera images encoded one by one: a chunk file is a table of where each image lies, then the images.

    bytes 0…3       b"IMG1"
    bytes 4…7       count of images, n
    bytes 8…15      size of the file
    then            n + 1 offsets (uint32) from the start of the file; image i is offset[i] … offset[i + 1]
    then            the images, each a JPEG file, or its bytes as a frame of zstd

All numbers are little-endian. One image costs two short reads and one decode, whatever the size of the chunk,
and images are appended as they are: nothing that was encoded is ever encoded again. Importing this module
makes the codec known to zarr, which then reads such arrays as any other; where imitate is installed, zarr
finds it by itself.
"""

import struct
from collections.abc import Sequence
from itertools import pairwise
from typing import Any, Literal, Self, get_args

import numpy as np
from numcodecs.abc import Codec  # type: ignore[import-untyped]
from numcodecs.registry import register_codec  # type: ignore[import-untyped]
from numcodecs.zstd import Zstd  # type: ignore[import-untyped]

from imitate.datasets.image_headers import ZSTD_MAGIC, zstd_bytes
from imitate.datasets.jpeg import QUALITY, decode_jpeg, encode_jpeg
from imitate.errors import ConfigError, nearest
from imitate.types import ArraySpec

Storage = Literal["auto", "jpeg", "lossless"]
"""How a store keeps camera images.

"auto": exactly where zstd brings an image to a quarter, else as JPEG: drawn images stay what they are, and
those of a real camera, whose noise cannot be compressed, get small. "jpeg": as JPEG. "lossless": exactly.
"""

CODEC_ID = "imitate_images"
SMALL_PX = 64
"""Images up to this side are kept exactly, many in one chunk of Blosc: they are cheap, every pixel counts."""
EXACT_UP_TO = 0.25
"""Of an image's bytes: what "auto" may spend on keeping it exactly."""

HEAD = struct.Struct("<4sIQ")
MAGIC = b"IMG1"
EXACT_NAMES = ("depth", "mask", "segm")
"""Images with such names hold numbers in place of colours, which JPEG would change."""

ZSTD = Zstd(level=1)


def require_storage(storage: str) -> None:
    """Raise ConfigError with the nearest name for what is no `Storage`."""
    if storage not in get_args(Storage):
        raise ConfigError(f"storage is {storage!r}{nearest(storage, get_args(Storage))}")


def is_encoded(array: ArraySpec) -> bool:
    """Whether images are encoded one by one: those of more than 64 px."""
    return array.is_image and min(array.shape[:2]) > SMALL_PX


def storage_of(name: str, array: ArraySpec, wanted: Storage) -> Storage:
    """What an array of images gets where `wanted` is asked for: only colours may lose anything."""
    holds_numbers = array.shape[2:] != (3,) or any(part in name.lower() for part in EXACT_NAMES)
    return "lossless" if holds_numbers else wanted


class ImageCodec(Codec):
    """numcodecs codec of a whole chunk, so that zarr reads what `ImageArray` reads image by image.

    shape: of a chunk (rows, H, W, C). Images that a chunk does not have yet are zeros. storage: how images
    are encoded from now on; each is decoded as what it is.
    """

    codec_id = CODEC_ID

    def __init__(self, shape: Sequence[int], storage: Storage, quality: int = QUALITY) -> None:
        self.shape = tuple(int(size) for size in shape)
        self.storage, self.quality = storage, int(quality)
        if len(self.shape) != 4 or min(self.shape) < 1:
            raise ValueError(f"shape is {self.shape}, expected (rows, H, W, C)")
        if storage not in get_args(Storage) or not 1 <= self.quality <= 100:
            raise ValueError(f"storage is {storage!r} of quality {quality}")
        if storage != "lossless" and self.shape[3] != 3:
            raise ValueError(f"storage is {storage!r}, but only colours (rows, H, W, 3) can be JPEG")

    def get_config(self) -> dict[str, Any]:
        """What the header of an array says of this codec."""
        return {
            "id": self.codec_id,
            "shape": list(self.shape),
            "storage": self.storage,
            "quality": self.quality,
        }

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Self:
        """The codec of `get_config`; raises ValueError for settings that it never has."""
        return cls(config["shape"], config["storage"], config["quality"])

    def encode(self, buf: Any) -> bytes:
        """A chunk (rows, H, W, C) uint8 -> the bytes of its file."""
        return join([self.encode_image(image) for image in np.frombuffer(buf, np.uint8).reshape(self.shape)])

    def encode_image(self, image: np.ndarray) -> bytes:
        """(H, W, C) uint8 -> its bytes in a chunk."""
        exact = b"" if self.storage == "jpeg" else bytes(ZSTD.encode(np.ascontiguousarray(image)))
        if self.storage == "lossless" or (exact and len(exact) <= EXACT_UP_TO * image.nbytes):
            return exact
        return encode_jpeg(image, self.quality)

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


def decode_into(data: Any, out: np.ndarray) -> None:
    """An encoded image -> `out` (H, W, C) uint8; raises ValueError where it is damaged or of another size."""
    if data[:4] == ZSTD_MAGIC:
        _decode_zstd(data, out)
    else:
        decode_jpeg(data, out)


def _decode_zstd(data: Any, out: np.ndarray) -> None:
    found = zstd_bytes(data)
    if found != out.nbytes:
        raise ValueError(f"an image has {found} bytes, expected {out.nbytes}")
    try:
        ZSTD.decode(data, out=out)
    except RuntimeError as error:
        raise ValueError(f"an image is damaged ({error})") from error


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
