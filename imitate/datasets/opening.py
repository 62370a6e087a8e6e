"""Opening a store of demonstrations, our own or a foreign one, by what it contains."""

import json
import zipfile
from functools import partial
from pathlib import Path

from imitate.datasets.episode_store import EpisodeStore
from imitate.datasets.mcap_records import is_mcap
from imitate.datasets.mixture import Mixture
from imitate.datasets.mixture_file import is_mixture
from imitate.datasets.remote import address, is_remote, local_copy
from imitate.datasets.replay_buffer import ReplayBuffer
from imitate.datasets.store import ATTRIBUTE, DemoStore
from imitate.datasets.views.view import View
from imitate.datasets.views.view_file import is_view
from imitate.datasets.zarr_tree import holds_group
from imitate.errors import DataError, nearest
from imitate.progress import SILENT, Progress

HDF5_MAGIC = b"\x89HDF\r\n\x1a\n"


def open_store(path: str | Path, progress: Progress = SILENT) -> EpisodeStore:
    """The store at `path`: our own zarr folder, a Diffusion Policy replay buffer (folder or zip), a view or
    a mixture; here, or on another machine (remote.py).

    Raises DataError with one line that says what is wrong with which file.
    """
    store = _open(here(path, progress), ())
    store.address = address(path)
    return store


def here(path: str | Path, progress: Progress = SILENT) -> Path:
    """`path` itself, or the copy on this machine of what lies at s3://…, gs://… or hf://…"""
    return local_copy(path, progress) if is_remote(path) else Path(path)


def _open(path: Path, within: tuple[Path, ...]) -> EpisodeStore:
    """`within`: the files that name `path`, one within the other."""
    require_exists(path)
    if path.is_dir():
        return _open_folder(path)
    if is_view(path) or is_mixture(path):
        return _open_named(path, within)
    if is_hdf5(path):
        raise DataError(f"{path} is an HDF5 file; run  imitate import src={path} out=demos.zarr  first")
    if is_mcap(path):
        raise DataError(f"{path} is an MCAP file; run  imitate import src={path} out=demos.zarr  first")
    if zipfile.is_zipfile(path) or path.suffix == ".zip":
        return ReplayBuffer.open(path)
    raise DataError(
        f"{path} is neither a zarr folder nor a .zarr.zip; if it is in a format of docs/formats.md, run  "
        f"imitate import src={path} out=demos.zarr  first"
    )


def _open_named(path: Path, within: tuple[Path, ...]) -> EpisodeStore:
    itself = path.resolve()
    if itself in within:
        raise DataError(f"{path} names itself, by way of {within[-1]}; name a store")
    opened = partial(_open, within=(*within, itself))
    return View.open(path, opened) if is_view(path) else Mixture.open(path, opened)


def require_exists(path: Path) -> None:
    """Raise DataError with the nearest names beside it where `path` does not exist."""
    if path.exists():
        return
    parent = path.parent
    while not parent.is_dir():
        path, parent = parent, parent.parent
    beside = [child.name for child in parent.iterdir() if not child.name.startswith(".")]
    hint = (
        nearest(path.name, beside)
        if len(beside) <= 20
        else nearest(path.name, beside).partition(" (known")[0]
    )
    raise DataError(f"{path} does not exist{hint}")


def is_hdf5(path: Path) -> bool:
    """Whether the file starts as HDF5 files do."""
    with path.open("rb") as file:
        return file.read(len(HDF5_MAGIC)) == HDF5_MAGIC


def is_replay_buffer(path: Path) -> bool:
    """Whether the folder or zip is a zarr group (format 2 or 3) that is not a store of our own."""
    if path.is_dir():
        return holds_group(path) and not holds_our_store(path)
    return path.is_file() and holds_group(path)


def holds_our_store(path: Path) -> bool:
    """Whether the folder is a store of imitate."""
    return (path / ".zgroup").exists() and _is_ours(path)


def _open_folder(path: Path) -> EpisodeStore:
    if (path / "meta" / "info.json").exists():
        raise DataError(f"{path} is a LeRobot dataset; run  imitate import src={path} out=demos.zarr  first")
    if not holds_group(path):
        raise DataError(
            f"{path} is no zarr store: .zgroup is missing (zarr.json in format 3); expected data/… and "
            f"meta/episode_ends"
        )
    return DemoStore.open(path) if _is_ours(path) else ReplayBuffer.open(path)


def _is_ours(path: Path) -> bool:
    if not (path / ".zattrs").exists():
        return False
    try:
        attributes = json.loads((path / ".zattrs").read_text(encoding="utf-8"))
    except ValueError as error:
        raise DataError(f"{path}/.zattrs is damaged ({error}); copy the dataset again") from error
    return isinstance(attributes, dict) and ATTRIBUTE in attributes
