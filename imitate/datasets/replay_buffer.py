"""Diffusion Policy's replay buffers, opened as they are: a zarr v2 folder or a .zarr.zip of one.

Layout: data/<name> (N, …), of which "action" is the action and every other array an observation, and
meta/episode_ends (E,). Such files say nothing of names, units or rate; those are filled in from the
environment that the data is used with.
"""

import hashlib
import zipfile
from pathlib import Path, PurePosixPath
from typing import Any, Self

import numpy as np
import zarr
from zarr.storage import LocalStore, StorePath, ZipStore

from imitate.datasets.episode_store import ACTION, EpisodeRecord, EpisodeStore
from imitate.datasets.stored_array import StoredArray
from imitate.datasets.zarr_files import Node, read_header, require_chunks, require_increasing
from imitate.errors import DataError
from imitate.types import ArraySpec, DataSpec


class ReplayBuffer(EpisodeStore):
    """A foreign replay buffer, read only. Float camera images are delivered as uint8."""

    _root: Node
    _zarr: StorePath

    @classmethod
    def open(cls, path: str | Path) -> Self:
        """Open the folder or zip at `path`; raises DataError saying which part is missing or damaged."""
        path = Path(path)
        root, opened = _open_zip(path) if path.is_file() else (path, StorePath(LocalStore(path)))
        ends = _read_ends(root, opened, path)
        headers = _read_headers(root, path, int(ends[-1]) if len(ends) else 0)
        specs = {name: _array_spec(header) for name, header in headers.items()}
        action = specs.pop(ACTION)
        lengths = np.diff(ends, prepend=0)
        records = [EpisodeRecord(f"episode_{i}", int(steps)) for i, steps in enumerate(lengths)]
        store = cls(path, DataSpec(specs, action), ends, records, source=path.name)
        store._root, store._zarr = root, opened
        return store

    def array(self, name: str) -> StoredArray:
        """The array (N, …) of an observation or of "action"; raises DataError for an absent name."""
        array = super().array(name)
        raw = self._raw_array(name)
        if array.dtype == np.uint8 and raw.dtype.kind == "f":
            array.scale = _image_scale(raw)
        return array

    def content_hash(self) -> str:
        """sha256 over all files as they are stored, decoding nothing; the same for a folder and its zip."""
        digest = hashlib.sha256()
        for part in ("data", "meta"):
            for name, node in _files(self._root / part, part):
                content = node.read_bytes()
                digest.update(f"{name}\0{len(content)}\0".encode() + content)
        return digest.hexdigest()

    @property
    def left_out(self) -> tuple[str, ...]:
        """What the files hold and this reader does not deliver, or not as it is stored."""
        arrays = {name: self.array(name) for name in self.keys}
        said = [
            f"the {self._raw_array(name).dtype} numbers of data/{name}: delivered as uint8 images"
            for name, array in arrays.items()
            if array.dtype != self._raw_array(name).dtype
        ]
        meta = sorted(node.name for node in (self._root / "meta").iterdir() if not node.name.startswith("."))
        return (*said, *(f"meta/{name}" for name in meta if name != "episode_ends"))

    def _open_array(self, name: str) -> zarr.Array:
        return _open_array(self._zarr, f"data/{name}")


def _open_zip(path: Path) -> tuple[zipfile.Path, StorePath]:
    try:
        archive = zipfile.ZipFile(path)
        inner = min((name for name in archive.namelist() if name.endswith(".zgroup")), key=len, default=None)
    except (zipfile.BadZipFile, OSError) as error:
        raise DataError(f"{path}: is a truncated or damaged zip ({error}); copy it again") from error
    if inner is None:
        raise DataError(f"{path}: this zip holds no zarr group (.zgroup); expected a zipped replay buffer")
    folder = inner.removesuffix(".zgroup")
    return zipfile.Path(archive, folder), StorePath(ZipStore(path, mode="r"), folder.rstrip("/"))


def _read_ends(root: Node, opened: StorePath, path: Path) -> np.ndarray:
    where = f"{path}/meta/episode_ends"
    if not (root / "meta" / "episode_ends" / ".zarray").exists():
        raise DataError(
            f"{where} is missing, so this is no replay buffer; expected data/… and meta/episode_ends"
        )
    header = read_header(root / "meta" / "episode_ends", where)
    require_chunks(root / "meta" / "episode_ends", header, header["shape"][0], where)
    try:
        ends = np.asarray(_open_array(opened, "meta/episode_ends")[:])
    except Exception as error:
        raise DataError(f"{where} is damaged ({error}); copy the dataset again") from error
    require_increasing(ends, where)
    return ends


def _read_headers(root: Node, path: Path, steps: int) -> dict[str, dict[str, Any]]:
    folder = root / "data"
    if not (folder / ACTION / ".zarray").exists():
        raise DataError(f"{path}/data/{ACTION} is missing, so there is nothing to imitate")
    headers = {}
    for name in sorted(child.name for child in folder.iterdir() if child.is_dir()):
        where = f"{path}/data/{name}"
        headers[name] = read_header(folder / name, where)
        if headers[name]["shape"][0] < steps:
            rows = headers[name]["shape"][0]
            raise DataError(f"{path}/meta/episode_ends ends at {steps}, past the {rows} rows of data/{name}")
        require_chunks(folder / name, headers[name], steps, where)
    return headers


def _open_array(root: StorePath, name: str) -> zarr.Array:
    return zarr.open_array(root.store, path=f"{root.path}/{name}".lstrip("/"), mode="r", zarr_format=2)


def _array_spec(header: dict[str, Any]) -> ArraySpec:
    shape = tuple(header["shape"][1:]) or (1,)
    dtype = np.dtype(header["dtype"])
    is_image = len(shape) == 3 and shape[2] == 3 and dtype.kind == "f"
    return ArraySpec(shape, "uint8" if is_image else dtype.newbyteorder("=").name)


def _image_scale(raw: zarr.Array) -> float:
    """255 for float images that lie in 0..1, judged by the first chunk; 1 for those in 0..255."""
    first = np.asarray(raw[: raw.chunks[0]])
    return 255.0 if first.size and first.max() <= 1.0 and (first != np.rint(first)).any() else 1.0


def _files(folder: Node, name: str) -> list[tuple[str, Node]]:
    found: list[tuple[str, Node]] = []
    for child in folder.iterdir():
        inner = str(PurePosixPath(name, child.name))
        found += _files(child, inner) if child.is_dir() else [(inner, child)]
    return sorted(found, key=lambda pair: pair[0])
