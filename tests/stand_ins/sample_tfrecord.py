"""TFRecord files of tf.train.Example and SequenceExample, written byte by byte from the specification."""

import json
import struct
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import cv2
import google_crc32c
import numpy as np

Value = np.ndarray | Sequence[bytes]


def varint(number: int) -> bytes:
    """7 bits per byte, the least significant first."""
    number &= 2**64 - 1
    found = bytearray()
    while number > 127:
        found.append(number & 127 | 128)
        number >>= 7
    return bytes([*found, number])


def field(number: int, content: bytes) -> bytes:
    return varint(number << 3 | 2) + varint(len(content)) + content


def feature(value: Value, packed: bool = True) -> bytes:
    """A tf.train.Feature: float numbers, whole numbers, or strings."""
    if not isinstance(value, np.ndarray):
        return field(1, b"".join(field(1, item) for item in value))
    numbers = value.ravel()
    if numbers.dtype.kind == "f":
        items = [struct.pack("<f", number) for number in numbers]
        return field(2, field(1, b"".join(items)) if packed else b"".join(b"\x0d" + item for item in items))
    items = [varint(int(number)) for number in numbers]
    return field(3, field(1, b"".join(items)) if packed else b"".join(b"\x08" + item for item in items))


def map_of(values: Mapping[str, bytes]) -> bytes:
    return b"".join(field(1, field(1, name.encode()) + field(2, value)) for name, value in values.items())


def example(values: Mapping[str, Value], packed: bool = True) -> bytes:
    return field(1, map_of({name: feature(value, packed) for name, value in values.items()}))


def sequence_example(context: Mapping[str, Value], lists: Mapping[str, Sequence[Value]]) -> bytes:
    steps = {name: b"".join(field(1, feature(value)) for value in values) for name, values in lists.items()}
    return example(context) + field(2, map_of(steps))


def write_records(path: Path, records: Iterable[bytes]) -> Path:
    with path.open("wb") as file:
        for record in records:
            length = struct.pack("<Q", len(record))
            file.write(
                length + struct.pack("<I", masked(length)) + record + struct.pack("<I", masked(record))
            )
    return path


def masked(data: bytes) -> int:
    """TensorFlow's mask of a CRC-32C: turned by 15 bits, and a constant added."""
    bits = f"{google_crc32c.value(data):032b}"
    return (int(bits[-15:] + bits[:-15], 2) + 0xA282EAD8) % 2**32


def encoded(images: np.ndarray, kind: str = ".jpg") -> list[bytes]:
    """RGB images (T, H, W, 3) as JPEG or PNG."""
    return [cv2.imencode(kind, image[..., ::-1])[1].tobytes() for image in images]


def tensor(shape: Sequence[int], dtype: str = "float32", encoding: str = "none") -> dict[str, Any]:
    return {
        "tensor": {"shape": {"dimensions": [str(n) for n in shape]}, "dtype": dtype, "encoding": encoding}
    }


def image(shape: Sequence[int], kind: str = "jpeg", dtype: str = "uint8") -> dict[str, Any]:
    dimensions = {"dimensions": [str(n) for n in shape]}
    return {"image": {"shape": dimensions, "dtype": dtype, "encodingFormat": kind}}


TEXT: dict[str, Any] = {"text": {}}


def group(features: Mapping[str, Any]) -> dict[str, Any]:
    return {"featuresDict": {"features": dict(features)}}


def write_folder(
    folder: Path, records: Sequence[bytes], steps: Mapping[str, Any], episode: Mapping[str, Any]
) -> Path:
    """A TFDS folder of one version with one split in two files."""
    folder.mkdir(parents=True)
    features = group({"steps": {"sequence": {"feature": group(steps)}}, "episode_metadata": group(episode)})
    (folder / "features.json").write_text(json.dumps(features, indent=1))
    parts = [records[: len(records) // 2], records[len(records) // 2 :]]
    lengths = [str(len(part)) for part in parts]
    splits = [{"name": "train", "shardLengths": lengths}]
    info = {"name": "reach", "version": "1.0.0", "fileFormat": "tfrecord", "splits": splits}
    (folder / "dataset_info.json").write_text(json.dumps(info, indent=1))
    for index, part in enumerate(parts):
        write_records(folder / f"reach-train.tfrecord-{index:05}-of-00002", part)
    return folder
