"""Reading HDF5 files of others: no link out of the file, nothing huge from little, one line for damage.

An HDF5 file may point into other files in four ways: external links, soft links through such, datasets with
external storage, and virtual datasets. None is followed. https://docs.hdfgroup.org/hdf5/latest/_f_m_t3.html
"""

import json
import math
import re
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from imitate.datasets.finite import first_unknown_step
from imitate.datasets.formats.hdf5_heap import require_sound_heaps
from imitate.datasets.image_layout import ImageLayout, image_layout
from imitate.datasets.opening import is_hdf5
from imitate.datasets.proportion import SPARSE
from imitate.errors import DataError, SpecError
from imitate.types import ArraySpec

DEEPEST = 8
LARGEST_TEXT = 16 * 2**20
# What h5py raises for damaged files, and what their contents make of reasonable code.
# SystemError: what its Cython code makes of a name that is no UTF-8.
DAMAGE = (
    OSError,
    LookupError,
    TypeError,
    ValueError,
    RuntimeError,
    AttributeError,
    ArithmeticError,
    SystemError,
)


def holds_hdf5(path: Path) -> bool:
    """Whether a file is there that starts as HDF5 files do; never an error."""
    try:
        return path.is_file() and is_hdf5(path)
    except OSError:
        return False


@contextmanager
def opened(path: Path) -> Iterator[h5py.File]:
    """The file, for reading; raises DataError where it is damaged or links to other files."""
    try:
        require_sound_heaps(path)
        file = h5py.File(path, "r")
    except (OSError, ValueError) as error:
        raise DataError(
            f"{path}: is a truncated or damaged HDF5 file ({one_line(error)}); copy it again"
        ) from error
    with file:
        with damage_told(str(path)):
            _require_no_links_out(file, path)
        yield file


@contextmanager
def damage_told(where: str) -> Iterator[None]:
    """Turn whatever a damaged file causes into a DataError that names `where`."""
    try:
        yield
    except SpecError as error:
        raise DataError(f"{where} is damaged or incomplete: {error}") from error
    except DAMAGE as error:
        raise DataError(f"{where} is damaged or incomplete: {one_line(error)}") from error


def one_line(error: Exception) -> str:
    """The text of an error of others, without line breaks."""
    return " ".join(str(error).split())


def leaves(group: Any, prefix: str = "", depth: int = 0) -> dict[str, h5py.Dataset]:
    """All arrays below `group`; those in groups within are named outer.inner."""
    if depth > DEEPEST:
        raise SpecError(f"{group.name} has groups more than {DEEPEST} deep")
    found: dict[str, h5py.Dataset] = {}
    for key, item in group.items():
        name = plain_name(prefix + key)
        new = {name: item} if isinstance(item, h5py.Dataset) else leaves(item, f"{name}.", depth + 1)
        if twice := set(new) & set(found):
            raise SpecError(f"two arrays of {group.name} would both be named {sorted(twice)[0]!r}")
        found |= new
    return found


def plain_name(name: str) -> str:
    """`name` with whatever cannot stand in the name of an observation replaced by _."""
    name = re.sub(r"[^A-Za-z0-9_.\-]", "_", name).lstrip(".-") or "_"
    return "action_" if name == "action" else name


def is_numbers(array: h5py.Dataset) -> bool:
    """Whether the array holds numbers or truth values, step by step."""
    return array.dtype.kind in "biuf" and array.ndim >= 1


def layout_of(array: h5py.Dataset) -> ImageLayout | None:
    """How to deliver uint8 camera images; None for all else."""
    return image_layout(array.shape[1:]) if array.dtype == np.uint8 else None


def spec_of(array: h5py.Dataset) -> ArraySpec:
    """What each step of the array holds once `read_steps` has read it; raises SpecError without numbers."""
    if not is_numbers(array):
        raise SpecError(_no_numbers(array))
    layout = layout_of(array)
    shape = layout.shape if layout else tuple(array.shape[1:]) or (1,)
    return ArraySpec(shape, array.dtype.newbyteorder("=").name)


def read_steps(array: h5py.Dataset, steps: int | None = None) -> np.ndarray:
    """The first `steps` rows (T, …), images as (T, H, W, 3).

    Raises SpecError for what are not numbers, or not finite ones.
    """
    values = read_numbers(array, steps)
    if (row := first_unknown_step(values)) is not None:
        raise SpecError(f"{array.name[1:]} holds NaN or infinity in row {row}, expected finite numbers")
    if layout := layout_of(array):
        return layout.deliver(values)
    return values[:, None] if values.ndim == 1 else values


def read_numbers(array: h5py.Dataset, steps: int | None = None) -> np.ndarray:
    """The first `steps` rows as they are; raises SpecError for what must not or need not be read."""
    if not is_numbers(array):
        raise SpecError(_no_numbers(array))
    _require_own(array)
    _require_proportion(array)
    values = np.asarray(array[: len(array) if steps is None else steps])
    return values.astype(values.dtype.newbyteorder("="), copy=False)


def read_texts(array: h5py.Dataset) -> list[str]:
    """A list of names (N,); raises SpecError where the array holds something else."""
    if array.dtype.kind not in "OS" or array.ndim != 1:
        raise SpecError(f"{array.name[1:]} holds {array.dtype} {array.shape}, expected a list of names")
    return [row.decode(errors="replace") for row in read_rows_of_bytes(array, len(array), LARGEST_TEXT)]


def read_rows_of_bytes(array: h5py.Dataset, rows: int, limit: int) -> list[bytes]:
    """The first `rows` rows of text or of bytes; raises SpecError above `limit` bytes in all.

    Rows of varying length can share their bytes in the file, so its declared size tells nothing.
    """
    _require_own(array)
    _require_proportion(array)
    found, total = [], 0
    for index in range(rows):
        row = array[index]
        found.append(row.encode() if isinstance(row, str) else bytes(row))
        total += len(found[-1])
        if total > limit:
            raise SpecError(f"{array.name[1:]} holds more than {limit:,} bytes")
    return found


def json_of(attributes: Any, name: str) -> dict[str, Any]:
    """The JSON object in attribute `name`, {} where there is none; raises ValueError for other text."""
    text = attributes.get(name, "{}")
    try:
        value = json.loads(text if isinstance(text, str | bytes) else "")
    except RecursionError as error:
        raise ValueError("nested too deeply") from error
    return plain(value) if isinstance(value, dict) else {}


def plain(value: Any) -> Any:
    """`value` as JSON keeps it: NumPy numbers as Python's, bytes as text, what is not finite as None."""
    if isinstance(value, np.generic | np.ndarray):
        value = value.tolist()
    if isinstance(value, bytes):
        return value.decode(errors="replace")
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    if isinstance(value, float) and not np.isfinite(value):
        return None
    return value if isinstance(value, str | int | float | bool) else None


def attributes_of(item: Any, skipped: Iterable[str] = ()) -> dict[str, Any]:
    """The attributes of a group or array as JSON values, except `skipped` and what JSON cannot keep."""
    found = {key: plain(value) for key, value in item.attrs.items() if key not in set(skipped)}
    return {key: value for key, value in found.items() if value is not None}


def number_in(name: str) -> tuple[int, str]:
    """To sort demo_10 behind demo_2."""
    digits = re.search(r"(\d{1,18})$", name)
    return (int(digits[1]) if digits else -1, name)


def _no_numbers(array: h5py.Dataset) -> str:
    return f"{array.name[1:]} holds {array.dtype} {array.shape}, expected numbers for each step"


def _require_own(array: h5py.Dataset) -> None:
    if array.is_virtual or array.external:
        raise SpecError(
            f"{array.name[1:]} takes its numbers from another file, which is not followed; copy them in"
        )


def _require_proportion(array: h5py.Dataset) -> None:
    """HDF5 makes room for whole chunks, and for rows that were never written."""
    stored = array.id.get_storage_size()
    declared = max(math.prod(array.shape), math.prod(array.chunks or (0,))) * array.dtype.itemsize
    if declared > SPARSE.most(stored):
        raise SpecError(
            f"{array.name[1:]} declares {array.shape} {array.dtype} in chunks {array.chunks}, but only "
            f"{stored:,} bytes are stored"
        )


def _require_no_links_out(file: h5py.File, path: Path) -> None:
    found: list[str] = []

    def look(name: str, link: Any) -> bool | None:
        if isinstance(link, h5py.ExternalLink):
            found.append(f"{name} is a link to {link.filename}")
            return True
        return None

    file.visititems_links(look)
    if found:
        raise SpecError(f"{found[0]}, another file, which is not followed; copy the data into this one")
