"""Bringing foreign demonstrations into a store of our own: recognised by content, checked after writing."""

import dataclasses
import glob
import os
import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from imitate.datasets.durable import WriterLock
from imitate.datasets.episode_store import ACTION, EpisodeStore
from imitate.datasets.formats import PLAIN, Foreign, ReadOptions, format_of, writable
from imitate.datasets.image_chunks import Storage
from imitate.datasets.importable import may_be_store, unknown
from imitate.datasets.opening import open_store, require_exists
from imitate.datasets.store import DemoStore
from imitate.errors import DataError
from imitate.progress import SILENT, Progress
from imitate.types import Episode

OURS = "imitate"
"""The key of our own format, which is not written by a Format."""

LOSSY = "the last bits of its images, kept as JPEG of quality 95; storage=lossless keeps them"


@dataclass(frozen=True)
class ImportReport:
    """What an import wrote, and in words what it could not carry over.

    notes: what the format has to say of the demonstrations, a line each (of a robot log the rates).
    """

    out: Path
    kind: str
    episodes: int
    steps: int
    data_hash: str
    left_out: tuple[str, ...]
    notes: tuple[str, ...] = ()


def import_file(
    src: str | Path,
    out: str | Path,
    progress: Progress = SILENT,
    options: ReadOptions = PLAIN,
    key: str = OURS,
    storage: Storage = "lossless",
) -> ImportReport:
    """Write the demonstrations of `src` to a new store at `out`, or in the foreign format named `key`.

    `storage` says how a new store keeps camera images; images that the source has encoded alike stay as they
    are. What is written appears when it is complete and read back; on any failure nothing is left. Raises
    DataError where `src` cannot be read or `out` exists, ConfigError for a format that cannot be written.
    """
    src, out = Path(src), Path(out)
    _require_free(out)
    if key != OURS:
        writable(key)
    foreign, title = read_foreign(src, options)
    if key == OURS:
        steps, data_hash, changed = _import(foreign, out, progress, storage)
        left_out = (*foreign.left_out, *(f"{name}: {LOSSY}" for name in changed))
        notes = getattr(foreign, "notes", ())
        return ImportReport(out, title, len(foreign), steps, data_hash, left_out, notes)
    if isinstance(foreign, EpisodeStore):
        return export_store(foreign, out, key, progress)
    with tempfile.TemporaryDirectory(prefix=f".{out.name}.", dir=_parent(out)) as folder:
        _import(foreign, between := Path(folder, "between.zarr"), progress)
        report = export_store(DemoStore.open(between), out, key, progress)
    left_out = (*foreign.left_out, *report.left_out)
    return dataclasses.replace(report, kind=title, left_out=left_out, notes=getattr(foreign, "notes", ()))


def _import(
    foreign: Foreign, out: Path, progress: Progress, storage: Storage = "lossless"
) -> tuple[int, str, list[str]]:
    """Write a store of our own; gives its steps, its content hash, and the images that became JPEG."""
    unfinished = out.with_name(f".{out.name}.importing")
    _remove_stale(unfinished)
    # What a killed import left of a store that it was just about to begin; see DemoStore.create.
    for begun in out.parent.glob(f".{glob.escape(unfinished.name)}.*"):
        shutil.rmtree(begun, ignore_errors=True)
    try:
        changed = _write(foreign, unfinished, progress, storage)
        found = _verify(unfinished, len(foreign), progress)
        os.replace(unfinished, out)  # noqa: PTH105
    except BaseException:
        shutil.rmtree(unfinished, ignore_errors=True)
        raise
    return (*found, changed)


def read_foreign(src: Path, options: ReadOptions = PLAIN) -> tuple[Foreign, str]:
    """The demonstrations at `src`, whatever their format, and its title; raises DataError where none fits."""
    require_exists(src)
    found = format_of(src)
    if found is None and not may_be_store(src):
        raise unknown(src)
    # What is wrong with a store that no format recognises, opening it explains.
    return (found.read(src, options), found.title) if found else (open_store(src), "imitate store")


def export_store(store: EpisodeStore, out: str | Path, key: str, progress: Progress = SILENT) -> ImportReport:
    """Write `store` to a new file or folder at `out` in the format named `key`, whole or not at all.

    Raises ConfigError for a format that cannot be written, DataError where `out` exists.
    """
    out, chosen = Path(out), writable(key)
    assert chosen.write
    _require_free(out)
    with tempfile.TemporaryDirectory(prefix=f".{out.name}.", dir=_parent(out)) as folder:
        unfinished = Path(folder, out.name)
        left_out = chosen.write(store, unfinished, progress)
        _require_same(chosen.read(unfinished, PLAIN), store, out, progress)
        os.replace(unfinished, out)  # noqa: PTH105
    return ImportReport(out, chosen.title, len(store), store.steps, store.content_hash(), left_out)


def _require_same(written: Foreign, store: EpisodeStore, out: Path, progress: Progress) -> None:
    """Read everything back: the numbers are the same, and the images as many and as large.

    What was not written has another way to be told; that it is not there is no mistake here.
    """
    if len(written) != len(store):
        raise DataError(f"{out}: {len(written)} episodes were written, expected {len(store)}")
    by_id = {store.record(index).id: index for index in range(len(store))}
    with progress.task("check", len(store), "episodes") as task:
        for number, theirs in enumerate(written.episodes()):
            # Formats number their episodes, or sort them by name.
            wrong = _difference(theirs, store.episode(number))
            if wrong and by_id.get(theirs.id, number) != number:
                wrong = _difference(theirs, store.episode(by_id[theirs.id]))
            if wrong:
                raise DataError(f"{out}: {wrong!r} of episode {theirs.id!r} is not what was to be written")
            task.advance()


def _difference(found: Episode, expected: Episode) -> str | None:
    """The name of an array that is not the same; None where all are that were written."""
    there = {**found.obs, ACTION: found.action}
    arrays = {**expected.obs, ACTION: expected.action}
    return next((key for key, a in arrays.items() if key in there and not _is_same(there[key], a)), None)


def _is_same(found: np.ndarray, expected: np.ndarray) -> bool:
    if found.shape != expected.shape:
        return False
    is_image = expected.dtype == np.uint8 and expected.ndim == 4
    return is_image or np.allclose(found, expected, rtol=1e-6, atol=0.0, equal_nan=True)


def _parent(out: Path) -> Path:
    out.parent.mkdir(parents=True, exist_ok=True)
    return out.parent


def _require_free(out: Path) -> None:
    if out.exists():
        raise DataError(f"{out}: already exists; choose another name with out=…")


def _remove_stale(unfinished: Path) -> None:
    """Remove what an import left that was killed; raises DataError where it is still at work."""
    if unfinished.exists():
        WriterLock(unfinished).release()
        shutil.rmtree(unfinished)


def _write(foreign: Foreign, path: Path, progress: Progress, storage: Storage) -> list[str]:
    store = DemoStore.create(path, foreign.spec, foreign.source, dict(foreign.metadata), storage)
    with store, progress.task("import", len(foreign), "episodes") as task:
        for index, episode in enumerate(foreign.episodes()):
            store.append(episode, foreign.encoded(index) if isinstance(foreign, EpisodeStore) else None)
            task.advance()
    return sorted(store.changed)


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
