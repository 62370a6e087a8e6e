"""The arrays of a Minari episode: which there are, and reading them step by step."""

from dataclasses import dataclass
from typing import Any

import h5py
import numpy as np

from imitate.datasets.formats.hdf5_files import (
    is_numbers,
    layout_of,
    leaves,
    plain_name,
    read_rows_of_bytes,
    read_steps,
    spec_of,
)
from imitate.datasets.formats.minari_spaces import Leaf, leaf_spaces
from imitate.datasets.formats.rlds_images import decode_images
from imitate.errors import SpecError
from imitate.types import ArraySpec


@dataclass(frozen=True)
class Part:
    """One array of observations or actions.

    place: its path below the episode. spec: of what is delivered. is_jpeg: each row is a JPEG file.
    is_read: False for text. said: what delivering changes, "" for nothing.
    """

    name: str
    place: str
    spec: ArraySpec
    is_jpeg: bool = False
    is_read: bool = True
    said: str = ""


def parts_of(episode: Any, group: str, space: Any, alone: str) -> tuple[Part, ...]:
    """The arrays of `group` ("observations" or "actions") in the order of the space.

    alone: the name of the array where there is just one. space: its JSON, None where it is not told.
    """
    spaces = {plain_name(name): leaf for name, leaf in leaf_spaces(space)} if space is not None else {}
    item = episode[group]
    if isinstance(item, h5py.Dataset):
        return (_part(item, alone, group, spaces.get(plain_name(""), Leaf(""))),)
    found = leaves(item)
    order = [name for name in spaces if name in found]
    order += [name for name in found if name not in order]
    where = {name: found[name].name.removeprefix(f"{episode.name}/") for name in order}
    return tuple(_part(found[name], name, where[name], spaces.get(name, Leaf(""))) for name in order)


def read_part(episode: Any, part: Part, steps: int, limit: int) -> np.ndarray:
    """The first `steps` of `steps` or `steps + 1` rows; raises SpecError for another number.

    limit: more bytes of JPEG than this cannot be in the file.
    """
    array = episode.get(part.place)
    if not isinstance(array, h5py.Dataset):
        raise SpecError(f"{part.place} is missing, which the first episode has")
    if len(array) not in (steps, steps + 1):
        raise SpecError(f"{part.place} has {len(array)} rows, expected {steps + 1} for {steps} actions")
    if part.is_jpeg:
        size = part.spec.shape[:2]
        return decode_images(read_rows_of_bytes(array, steps, limit), size, "uint8", _where(array))
    return _fitting(read_steps(array, steps), part)


def read_actions(episode: Any, parts: tuple[Part, ...]) -> np.ndarray:
    """(T, Da): the parts of the action side by side."""
    arrays = []
    for part in parts:
        array = episode.get(part.place)
        if not isinstance(array, h5py.Dataset):
            raise SpecError(f"{part.place} is missing, which the first episode has")
        arrays.append(_fitting(read_steps(array), part))
    if len({len(array) for array in arrays}) != 1:
        raise SpecError(f"the parts of the action have {[len(array) for array in arrays]} rows")
    if len(arrays) == 1:
        return arrays[0]
    return np.concatenate([array.reshape(len(array), -1) for array in arrays], axis=1)


def _part(array: h5py.Dataset, name: str, place: str, space: Leaf) -> Part:
    in_rows = array.ndim == 2 and array.dtype == np.uint8 and len(space.shape) + 1 != array.ndim
    if h5py.check_vlen_dtype(array.dtype) == np.uint8 or (space.may_be_jpeg and in_rows):
        return _jpeg(array, name, place)
    if not is_numbers(array):
        spec = ArraySpec((1,))
        return Part(name, place, spec, is_read=False, said=f"{place}, which holds no numbers")
    layout = layout_of(array)
    said = f"the images of {place} as stored: {layout.said}" if layout and layout.said else ""
    return Part(name, place, space.bounded(spec_of(array)), said=said)


def _jpeg(array: h5py.Dataset, name: str, place: str) -> Part:
    first = decode_images(read_rows_of_bytes(array, 1, 2**28), (None, None), "uint8", _where(array))
    return Part(name, place, ArraySpec(first.shape[1:], "uint8"), is_jpeg=True)


def _fitting(values: np.ndarray, part: Part) -> np.ndarray:
    if values.shape[1:] != part.spec.shape:
        raise SpecError(
            f"{part.place} is {values.shape[1:]} per step, expected {part.spec.shape} as in the first one"
        )
    return values


def _where(array: h5py.Dataset) -> str:
    return f"{array.file.filename}: {array.name[1:]}"
