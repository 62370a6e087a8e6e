"""Diffusion Policy's replay buffers, opened as they are: a zarr folder or a .zarr.zip of one, format 2 or 3.

Layout: data/<name> (N, …), of which "action" is the action and every other array an observation, and
meta/episode_ends (E,). Such files say nothing of names, units or rate; those are filled in from the
environment that the data is used with.
"""

import hashlib
import math
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import numpy as np
import zarr

from imitate.datasets.episode_store import ACTION, EpisodeRecord, EpisodeStore
from imitate.datasets.finite import first_unknown_step
from imitate.datasets.image_layout import ImageLayout, image_layout
from imitate.datasets.stored_array import StoredArray
from imitate.datasets.zarr_chunks import require_array
from imitate.datasets.zarr_files import require_increasing
from imitate.datasets.zarr_headers import ArrayHeader, read_array_header
from imitate.datasets.zarr_tree import ZarrTree, open_tree
from imitate.errors import DataError
from imitate.types import ArraySpec, DataSpec, Episode

ENDS = "meta/episode_ends"


@dataclass(frozen=True)
class _Found:
    """An array of the buffer: what it holds, how its images are turned, and how many chunks are absent."""

    header: ArrayHeader
    layout: ImageLayout | None
    absent: int

    @property
    def spec(self) -> ArraySpec:
        if self.layout:
            return ArraySpec(self.layout.shape, "uint8")
        return ArraySpec(self.header.shape[1:] or (1,), self.header.dtype.newbyteorder("=").name)


class ReplayBuffer(EpisodeStore):
    """A foreign replay buffer, read only. Camera images are delivered as (H, W, 3) uint8."""

    _tree: ZarrTree
    _found: Mapping[str, _Found]

    @classmethod
    def open(cls, path: str | Path) -> Self:
        """Open the folder or zip at `path`; raises DataError saying which part is missing or damaged."""
        path = Path(path)
        tree = open_tree(path)
        ends = _read_ends(tree)
        found = _read_arrays(tree, int(ends[-1]) if len(ends) else 0)
        specs = {name: array.spec for name, array in found.items()}
        action = specs.pop(ACTION)
        lengths = np.diff(ends.astype(np.int64), prepend=0)
        records = [EpisodeRecord(f"episode_{i}", int(steps)) for i, steps in enumerate(lengths)]
        store = cls(path, DataSpec(specs, action), ends, records, source=path.name)
        store._tree, store._found = tree, found
        return store

    def array(self, name: str) -> StoredArray:
        """The array (N, …) of an observation or of "action"; raises DataError for an absent name."""
        array, raw = super().array(name), self._raw_array(name)
        layout = self._found[name].layout
        if layout and layout.said:
            array = _TurnedArray(raw, self.steps, self._array_spec(name), f"{self.path}/data/{name}")
            array.layout = layout
        if array.dtype == np.uint8 and raw.dtype.kind == "f":
            with _damage_told(f"{self.path}/data/{name}"):
                array.scale = _image_scale(raw)
        return array

    def episodes(self) -> Iterator[Episode]:
        """All episodes in order; raises DataError where one holds NaN or infinity."""
        for episode in super().episodes():
            for name, values in {**episode.obs, ACTION: episode.action}.items():
                if (step := first_unknown_step(values)) is not None:
                    raise DataError(
                        f"{self.path}/data/{name}: {episode.id} holds NaN or infinity at its step {step}, "
                        f"expected finite numbers"
                    )
            yield episode

    def content_hash(self) -> str:
        """sha256 over all files as they are stored, decoding nothing; the same for a folder and its zip."""
        digest = hashlib.sha256()
        for part in ("data/", "meta/"):
            for name in sorted(name for name in self._tree.sizes if name.startswith(part)):
                digest.update(f"{name}\0{self._tree.sizes[name]}\0".encode())
                with _damage_told(f"{self.path}/{name}"), self._tree.open(name) as file:
                    while piece := file.read(2**20):
                        digest.update(piece)
        return digest.hexdigest()

    def files_state(self) -> str:
        """sha256 over names, sizes and times of change of the files, reading none."""
        with _damage_told(str(self.path)):
            return self._tree.state()

    @property
    def left_out(self) -> tuple[str, ...]:
        """What the files hold and this reader does not deliver, or not as it is stored."""
        said = []
        for name, found in self._found.items():
            if found.layout and found.header.dtype != np.uint8:
                said.append(f"the {found.header.dtype} numbers of data/{name}: delivered as uint8 images")
            if found.layout and found.layout.said:
                said.append(f"the images of data/{name} as stored: {found.layout.said}")
            if found.absent:
                said.append(
                    f"{found.absent} chunk files of data/{name}, which are absent: read as the fill value "
                    f"(zarr writes none for chunks of just that)"
                )
        groups = [name for name in self._tree.arrays("data") if name not in self._found]
        meta = [name for name in self._tree.arrays("meta") if name != "episode_ends"]
        return (*said, *(f"the group data/{name}" for name in groups), *(f"meta/{name}" for name in meta))

    def _open_array(self, name: str) -> zarr.Array:
        return _open_array(self._tree, f"data/{name}")


class _TurnedArray(StoredArray):
    """Images that are stored with other axes or channels."""

    layout: ImageLayout

    def _delivered(self, values: np.ndarray) -> np.ndarray:
        return super()._delivered(self.layout.deliver(values))


def _read_ends(tree: ZarrTree) -> np.ndarray:
    where = f"{tree.path}/{ENDS}"
    if not tree.files(ENDS):
        raise DataError(
            f"{where} is missing, so this is no replay buffer; expected data/… and meta/episode_ends"
        )
    header = read_array_header(tree, ENDS)
    if require_array(tree, ENDS, header, header.shape[0]):
        raise DataError(f"{where} lacks chunk files, so episodes would end at 0; copy the dataset again")
    with _damage_told(where):
        ends = np.asarray(_open_array(tree, ENDS)[:])
    require_increasing(ends, where)
    return ends


def _read_arrays(tree: ZarrTree, steps: int) -> dict[str, _Found]:
    if not tree.files(f"data/{ACTION}"):
        raise DataError(f"{tree.path}/data/{ACTION} is missing, so there is nothing to imitate")
    found = {}
    for name in tree.arrays("data"):
        if _is_group(tree, f"data/{name}"):
            continue
        header = read_array_header(tree, f"data/{name}")
        if header.shape[0] < steps:
            rows = header.shape[0]
            raise DataError(
                f"{tree.path}/meta/episode_ends ends at {steps}, past the {rows} rows of data/{name}"
            )
        absent = require_array(tree, f"data/{name}", header, steps)
        if name == ACTION and absent == math.prod(header.grid) and steps:
            raise DataError(f"{tree.path}/data/{name} has no chunk files at all; copy the dataset again")
        found[name] = _Found(header, _layout(header), absent)
    return found


def _is_group(tree: ZarrTree, name: str) -> bool:
    """Whether a folder in data/ holds arrays in place of being one."""
    inner = tree.files(name)
    header = "zarr.json" if tree.zarr_format == 3 else ".zarray"
    nested = any(part.rpartition("/")[2] == header and "/" in part for part in inner)
    return nested and (header not in inner or tree.zarr_format == 3)


def _layout(header: ArrayHeader) -> ImageLayout | None:
    """How to deliver images: bytes of 1, 3 or 4 channels, or floats of 3; None for all else."""
    layout = image_layout(header.shape[1:])
    if layout is None or header.dtype == np.uint8:
        return layout
    return layout if header.dtype.kind == "f" and layout.channels == 3 else None


def _open_array(tree: ZarrTree, name: str) -> zarr.Array:
    root = tree.opened
    path = f"{root.path}/{name}".lstrip("/")
    with _damage_told(f"{tree.path}/{name}"):
        return zarr.open_array(root.store, path=path, mode="r", zarr_format=tree.zarr_format)


@contextmanager
def _damage_told(where: str) -> Iterator[None]:
    """Turn whatever zarr and its codecs make of a damaged array into a DataError that names `where`."""
    try:
        yield
    except DataError:
        raise
    except Exception as error:
        text = " ".join(str(error).split())
        raise DataError(f"{where} is damaged ({text}); copy the dataset again") from error


def _image_scale(raw: zarr.Array) -> float:
    """255 for float images that lie in 0..1, judged by the first chunk; 1 for those in 0..255."""
    first = np.asarray(raw[: raw.chunks[0]])
    return 255.0 if first.size and first.max() <= 1.0 and (first != np.rint(first)).any() else 1.0
