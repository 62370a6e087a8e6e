"""What an RLDS dataset declares: the names, kinds, shapes and types of its features.

Read from TFDS' features.json (tensorflow_datasets/core/proto/feature.proto as JSON), or guessed from one
record where a TFRecord file comes alone.
"""

import json
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from imitate.datasets.formats.rlds_images import is_image
from imitate.datasets.formats.tfexample import Example, Values
from imitate.errors import DataError

STEPS = "steps/"
MARKS = ("is_first", "is_last", "is_terminal", "reward", "discount")
"""Of every step, one number (RLDS, arXiv:2111.02767, table 1)."""

IMAGE_TYPES = ("uint8", "uint16", "float32")
NUMBER_TYPES = ("bool", "bfloat16", *(np.dtype(code).name for code in "efdbhiqBHIQ"))

IMAGE, TENSOR, TEXT, OTHER = "image", "tensor", "text", "other"


@dataclass(frozen=True)
class Feature:
    """kind: IMAGE (H, W, C), TENSOR, TEXT, or OTHER, which is not read. Unknown sizes are None.

    encoding: of tensors, "none" where each number is a value of its own, "bytes" or "zlib" where a step is
    one string.
    """

    kind: str
    shape: tuple[int | None, ...] = ()
    dtype: str = "float32"
    encoding: str = "none"

    @property
    def values_per_step(self) -> int:
        """Values of a record that belong to one step."""
        if self.kind != TENSOR or self.encoding != "none":
            return 1
        return math.prod(size or 0 for size in self.shape)


@dataclass(frozen=True)
class Declared:
    """Features of steps (their names without "steps/") and of the episode as a whole."""

    steps: Mapping[str, Feature]
    episode: Mapping[str, Feature]


def read_features(path: Path) -> Declared:
    """The features that the features.json at `path` declares.

    Raises DataError where it is damaged or declares no steps.
    """
    try:
        found = dict(_walk(json.loads(path.read_text(encoding="utf-8")), ""))
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise DataError(
            f"{path} is damaged, or not as TFDS 4.4 and later write it ({type(error).__name__}: {error}); "
            f"copy it again, or import one .tfrecord file without it"
        ) from error
    declared = _split(found)
    if not declared.steps:
        raise DataError(f"{path} declares no steps, so this is no RLDS dataset; found {sorted(found)[:10]}")
    return declared


def guess_features(example: Example, where: str) -> Declared:
    """Features of a record that comes without features.json; raises DataError where it shows no steps."""
    lists = {name if name.startswith(STEPS) else STEPS + name: v for name, v in example.lists.items()}
    held = {**example.features, **lists}
    steps = _count_steps(example, held, where)
    return _split({name: _guess(v, steps if name.startswith(STEPS) else 1) for name, v in held.items()})


def _split(found: Mapping[str, Feature]) -> Declared:
    steps = {name.removeprefix(STEPS): found[name] for name in sorted(found) if name.startswith(STEPS)}
    return Declared(steps, {name: found[name] for name in sorted(found) if not name.startswith(STEPS)})


def _walk(node: Mapping[str, Any], name: str) -> Iterator[tuple[str, Feature]]:
    if "featuresDict" in node:
        for child, inner in node["featuresDict"]["features"].items():
            yield from _walk(inner, f"{name}/{child}" if name else child)
    elif "sequence" in node and name == "steps":
        yield from _walk(node["sequence"]["feature"], name)
    elif "tensor" in node:
        yield name, _tensor(node["tensor"])
    elif "text" in node:
        yield name, Feature(TEXT)
    elif "image" in node:
        image = node["image"]
        dtype = _dtype(image, "uint8")
        known = dtype in IMAGE_TYPES
        yield name, Feature(IMAGE, _shape(image) or (None, None, None), dtype) if known else Feature(OTHER)
    elif "classLabel" in node:
        yield name, Feature(TENSOR, (), "int64")
    else:
        yield name, Feature(OTHER)


def _tensor(node: Mapping[str, Any]) -> Feature:
    dtype = _dtype(node, "float32")
    if dtype in ("string", "object"):
        return Feature(TEXT)
    shape = _shape(node)
    encoding = node.get("encoding", "none") or "none"
    if dtype not in NUMBER_TYPES or None in shape or encoding not in ("none", "bytes", "zlib"):
        return Feature(OTHER)
    return Feature(TENSOR, shape, dtype, encoding)


def _dtype(node: Mapping[str, Any], default: str) -> str:
    return str(node.get("dtype") or default)


def _shape(node: Mapping[str, Any]) -> tuple[int | None, ...]:
    sizes = [int(size) for size in node.get("shape", {}).get("dimensions", [])]
    return tuple(None if size < 0 else size for size in sizes)


def _count_steps(example: Example, held: Mapping[str, Values], where: str) -> int:
    counts = [len(held[STEPS + mark]) for mark in MARKS if STEPS + mark in held]
    counts += [len(lengths) for lengths in example.lengths.values()]
    counts += [len(v) for name, v in held.items() if name.startswith(STEPS) and isinstance(v, list)]
    if not counts or not counts[0]:
        raise DataError(
            f"{where} shows no steps: expected features named steps/… with steps/is_first, as RLDS writes "
            f"them; found {sorted(held)[:10]}"
        )
    return counts[0]


def _guess(values: Values, steps: int) -> Feature:
    if len(values) == 0 or len(values) % steps:
        return Feature(OTHER)
    if isinstance(values, list):
        if len(values) != steps:
            return Feature(OTHER)
        return Feature(IMAGE, (None, None, None), "uint8") if is_image(values[0]) else Feature(TEXT)
    each = len(values) // steps
    return Feature(TENSOR, (each,) if each > 1 else (), values.dtype.name)
