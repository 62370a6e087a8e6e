"""Bringing foreign demonstrations into a store of our own: recognised by content, checked after writing."""

import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from imitate.datasets.durable import WriterLock
from imitate.datasets.opening import is_hdf5, open_store, require_exists
from imitate.datasets.replay_buffer import ReplayBuffer
from imitate.datasets.robomimic_hdf5 import read_robomimic
from imitate.datasets.session_file import is_mcap
from imitate.datasets.session_mcap import read_session
from imitate.datasets.store import DemoStore
from imitate.errors import DataError
from imitate.progress import SILENT, Progress
from imitate.types import DataSpec, Episode


class Foreign(Protocol):
    """Demonstrations that can be imported: read in order, one at a time."""

    @property
    def spec(self) -> DataSpec:
        """What each step holds."""

    @property
    def source(self) -> str:
        """Where they come from."""

    @property
    def metadata(self) -> Any:
        """JSON values about all episodes together."""

    def __len__(self) -> int: ...

    def episodes(self) -> Iterator[Episode]:
        """All episodes in order."""


@dataclass(frozen=True)
class ImportReport:
    """What an import wrote, and in words what it could not carry over."""

    out: Path
    kind: str
    episodes: int
    steps: int
    data_hash: str
    left_out: tuple[str, ...]


def import_file(src: str | Path, out: str | Path, progress: Progress = SILENT) -> ImportReport:
    """Write the demonstrations of `src` (zarr, .zarr.zip, robomimic HDF5, session) to a new store at `out`.

    The store appears when it is complete and read back as written; on any failure nothing is left. Raises
    DataError where `src` cannot be read or `out` exists.
    """
    src, out = Path(src), Path(out)
    require_exists(src)
    if out.exists():
        raise DataError(f"{out}: already exists; choose another name with out=…")
    foreign, kind, left_out = _read(src)
    unfinished = out.with_name(f".{out.name}.importing")
    _remove_stale(unfinished)
    try:
        _write(foreign, unfinished, progress)
        steps, data_hash = _verify(unfinished, len(foreign), progress)
        os.replace(unfinished, out)  # noqa: PTH105
    except BaseException:
        shutil.rmtree(unfinished, ignore_errors=True)
        raise
    return ImportReport(out, kind, len(foreign), steps, data_hash, left_out)


def _read(src: Path) -> tuple[Foreign, str, tuple[str, ...]]:
    if src.is_file() and is_hdf5(src):
        robomimic = read_robomimic(src)
        return robomimic, "robomimic HDF5", robomimic.left_out
    if src.is_file() and is_mcap(src):
        session = read_session(src)
        return session, "session of imitate deploy", session.left_out
    store = open_store(src)
    if isinstance(store, ReplayBuffer):
        return store, "zarr replay buffer", store.left_out()
    return store, "imitate store", ()


def _remove_stale(unfinished: Path) -> None:
    """Remove what an import left that was killed; raises DataError where it is still at work."""
    if unfinished.exists():
        WriterLock(unfinished).release()
        shutil.rmtree(unfinished)


def _write(foreign: Foreign, path: Path, progress: Progress) -> None:
    store = DemoStore.create(path, foreign.spec, foreign.source, foreign.metadata)
    with store, progress.task("import", len(foreign), "episodes") as task:
        for episode in foreign.episodes():
            store.append(episode)
            task.advance()


def _verify(path: Path, episodes: int, progress: Progress) -> tuple[int, str]:
    """Read everything back: counts, shapes, and each episode's digest. Gives steps and content hash."""
    store = DemoStore.open(path)
    if len(store) != episodes:
        raise DataError(f"{path}: {len(store)} episodes were written, expected {episodes}")
    with progress.task("check", episodes, "episodes") as task:
        for index in range(episodes):
            store.verify(index)
            task.advance()
    return store.steps, store.content_hash()
