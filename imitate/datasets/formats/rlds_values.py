"""Values of RLDS records as arrays of steps."""

import math
import zlib

import numpy as np

from imitate.datasets.finite import first_unknown_step
from imitate.datasets.formats.rlds_features import IMAGE, TENSOR, TEXT, Feature
from imitate.datasets.formats.rlds_images import decode_images
from imitate.datasets.formats.tfexample import Values
from imitate.datasets.image_layout import image_layout
from imitate.datasets.proportion import WHOLE
from imitate.errors import DataError


def step_array(values: Values, feature: Feature, steps: int, where: str) -> np.ndarray:
    """(steps, …) numbers or images (steps, H, W, 3); scalars become (steps, 1).

    Raises DataError where there are not as many as `steps` needs, or not of the declared kind.
    """
    expected = steps * feature.values_per_step
    if len(values) != expected:
        raise DataError(f"{where} holds {len(values)} values, expected {expected} for {steps} steps")
    if feature.kind == IMAGE:
        if not isinstance(values, list):
            raise DataError(f"{where} holds {values.dtype} numbers, expected encoded images")
        return decode_images(values, feature.shape, feature.dtype, where)
    numbers = _decoded(values, feature, where) if isinstance(values, list) else values
    numbers = _typed(numbers, feature, where).reshape(steps, *(feature.shape or (1,)))
    if (step := first_unknown_step(numbers)) is not None:
        raise DataError(f"{where} holds NaN or infinity at step {step}; record or repair that episode again")
    layout = image_layout(numbers.shape[1:]) if numbers.dtype == np.uint8 else None
    return layout.deliver(numbers) if layout else numbers


def count_steps(values: Values, feature: Feature, where: str) -> int:
    """Steps that `values` of one feature are of; raises DataError where that is no whole number above 0."""
    each = feature.values_per_step
    if not each or not len(values) or len(values) % each:
        raise DataError(f"{where} holds {len(values)} values, expected {each} for each of one or more steps")
    return len(values) // each


def plain(values: Values, feature: Feature) -> object:
    """What an episode as a whole holds, as a JSON value: text, a number, or a list of them."""
    if isinstance(values, list):
        found: list[object] = [value.decode("utf-8", "replace") for value in values]
    else:
        kept = values.astype(bool) if feature.dtype == "bool" else values
        found = [value if math.isfinite(value) else None for value in kept.tolist()]
    return found[0] if len(found) == 1 else found


def texts(values: Values, feature: Feature) -> list[str]:
    """Text of each step; empty where the feature is no text."""
    if feature.kind != TEXT or not isinstance(values, list):
        return []
    return [value.decode("utf-8", "replace") for value in values]


def _typed(numbers: np.ndarray, feature: Feature, where: str) -> np.ndarray:
    """In the declared type. Records hold no more than float32, whatever is declared."""
    if np.dtype(_stored(feature.dtype)).kind == "f" or feature.kind != TENSOR:
        return numbers.astype(np.float32) if feature.encoding == "none" else numbers
    dtype = np.dtype(feature.dtype)
    if numbers.dtype.kind == "f":
        raise DataError(f"{where} holds float numbers, expected {dtype} as declared")
    # A uint64 is kept as the int64 of the same bits.
    typed = (
        numbers.view(np.uint64) if dtype == np.uint64 and numbers.dtype == np.int64 else numbers.astype(dtype)
    )
    if dtype.kind != "b" and dtype != np.uint64 and (typed != numbers).any():
        raise DataError(f"{where} holds numbers that do not fit {dtype} as declared")
    return typed


def _decoded(strings: list[bytes], feature: Feature, where: str) -> np.ndarray:
    """Numbers of tensors that are kept as a string per step."""
    dtype = np.dtype(_stored(feature.dtype)).newbyteorder("<")
    size = math.prod(s or 0 for s in feature.shape) * dtype.itemsize
    if feature.encoding == "none":
        raise DataError(f"{where} holds text, expected {feature.dtype} numbers")
    if feature.encoding == "zlib":
        WHOLE.require(size * len(strings), sum(map(len, strings)), where)
        strings = [_inflated(data, size, where) for data in strings]
    if any(len(data) != size for data in strings):
        raise DataError(f"{where} holds a step that is not {size} bytes as {feature.shape} {dtype} needs")
    return np.frombuffer(b"".join(strings), dtype).astype(dtype.newbyteorder("="))


def _inflated(data: bytes, size: int, where: str) -> bytes:
    try:
        return zlib.decompressobj().decompress(data, size + 1)
    except zlib.error as error:
        raise DataError(f"{where} holds a step whose compression is damaged ({error})") from error


def _stored(dtype: str) -> str:
    return "float32" if dtype == "bfloat16" else dtype
