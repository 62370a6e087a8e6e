"""The protocol buffers of a record: tf.train.Example and SequenceExample, read from their wire format.

    Example          features = 1: Features            SequenceExample   context = 1: Features
    Features         feature = 1: map<string, Feature>                   feature_lists = 2: FeatureLists
    Feature          bytes_list = 1 | float_list = 2 | int64_list = 3, of which each has value = 1 (repeated)
    FeatureLists     feature_list = 1: map<string, FeatureList>          FeatureList  feature = 1 (repeated)

https://protobuf.dev/programming-guides/encoding/ and tensorflow/core/example/{example,feature}.proto. An
Example is a SequenceExample without lists, so both are read alike.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

VARINT, FIXED64, BYTES, FIXED32 = 0, 1, 2, 5

Values = list[bytes] | np.ndarray
"""What a feature holds: strings, float32 or int64 numbers."""


@dataclass(frozen=True)
class Example:
    """A record. lists: features of steps, each with the values of all steps end to end; see `lengths`.

    lengths: values of each step, by list.
    """

    features: dict[str, Values]
    lists: dict[str, Values]
    lengths: dict[str, tuple[int, ...]]


def parse_example(record: bytes) -> Example:
    """Read an Example or SequenceExample; raises ValueError where it is neither."""
    found = Example({}, {}, {})
    for number, part in _messages(memoryview(record)):
        if number == 1:
            found.features.update((name, _feature(value)) for name, value in _map(part))
        elif number == 2:
            for name, value in _map(part):
                steps = [_feature(step) for field, step in _messages(value) if field == 1]
                found.lists[name] = _joined(steps)
                found.lengths[name] = tuple(len(step) for step in steps)
    return found


def _map(message: memoryview) -> Iterator[tuple[str, memoryview]]:
    for number, entry in _messages(message):
        if number == 1:
            parts = dict(_messages(entry))
            yield bytes(parts.get(1, b"")).decode(), parts.get(2, memoryview(b""))


def _feature(message: memoryview) -> Values:
    """The values of a Feature; an empty list where it holds none."""
    values: Values = []
    for kind, part in _messages(message):
        if kind == 1:
            values = [bytes(value) for number, value in _messages(part) if number == 1]
        elif kind == 2:
            values = _floats(part)
        elif kind == 3:
            values = _integers(part)
    return values


def _floats(message: memoryview) -> np.ndarray:
    parts = [value for number, value in _fields(message) if number == 1 and not isinstance(value, int)]
    return np.frombuffer(b"".join(parts), "<f4").astype(np.float32, copy=False)


def _integers(message: memoryview) -> np.ndarray:
    found = [
        np.array([value], np.uint64) if isinstance(value, int) else _varints(value)
        for number, value in _fields(message)
        if number == 1
    ]
    return np.concatenate(found or [np.zeros(0, np.uint64)]).view(np.int64)


def _varints(packed: memoryview) -> np.ndarray:
    """Numbers of 7 bits per byte, the least significant first; the last byte of each is below 128."""
    raw = np.frombuffer(packed, np.uint8)
    ends = np.flatnonzero(raw < 128)
    if len(ends) == len(raw):
        return raw.astype(np.uint64)
    if not len(ends) or ends[-1] != len(raw) - 1:
        raise ValueError("a number is cut off")
    starts = np.concatenate(([0], ends[:-1] + 1))
    lengths = ends - starts + 1
    if lengths.max() > 10:
        raise ValueError("a number has more than 10 bytes")
    values = np.zeros(len(starts), np.uint64)
    for place in range(int(lengths.max())):
        longer = lengths > place
        values[longer] |= (raw[starts[longer] + place] & 127).astype(np.uint64) << np.uint64(7 * place)
    return values


def _joined(steps: list[Values]) -> Values:
    """The values of all steps end to end; raises ValueError where some are strings and others numbers."""
    filled = [step for step in steps if len(step)]
    if all(isinstance(step, list) for step in filled):
        return [value for step in filled for value in step]
    if any(isinstance(step, list) for step in filled):
        raise ValueError("a list mixes strings and numbers")
    return np.concatenate(filled)


def _messages(message: memoryview) -> Iterator[tuple[int, memoryview]]:
    for number, value in _fields(message):
        if isinstance(value, int):
            raise ValueError(f"field {number} is a number, expected a message")
        yield number, value


def _fields(message: memoryview) -> Iterator[tuple[int, int | memoryview]]:
    """(field number, value): numbers for varints, else the bytes; raises ValueError past the end."""
    place = 0
    while place < len(message):
        tag, place = _varint(message, place)
        kind = tag & 7
        if kind == VARINT:
            value, place = _varint(message, place)
            yield tag >> 3, value
            continue
        if kind not in (FIXED64, BYTES, FIXED32):
            raise ValueError(f"wire type {kind} is not known")
        size = {FIXED64: 8, FIXED32: 4}.get(kind)
        if size is None:
            size, place = _varint(message, place)
        if place + size > len(message):
            raise ValueError("a field reaches past the end")
        yield tag >> 3, message[place : place + size]
        place += size


def _varint(message: memoryview, place: int) -> tuple[int, int]:
    value = 0
    for shift in range(0, 70, 7):
        if place >= len(message):
            break
        byte = message[place]
        place += 1
        value |= (byte & 127) << shift
        if byte < 128:
            return value & 0xFFFFFFFFFFFFFFFF, place
    raise ValueError("a number is cut off or has more than 10 bytes")
