"""Making a view of a store, a replay buffer or another view."""

import os
import shutil
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

from imitate.datasets.episode_store import EpisodeStore
from imitate.datasets.mixture import Mixture
from imitate.datasets.opening import open_store
from imitate.datasets.views.merging import file_names
from imitate.datasets.views.operations import Operation
from imitate.datasets.views.view import View
from imitate.datasets.views.view_file import (
    SUFFIX,
    Entry,
    Merge,
    Source,
    ViewFile,
    require_new,
    write_view_file,
)
from imitate.errors import ConfigError, DataError


def derive(store: EpisodeStore, operations: Sequence[Operation], out: Path) -> View:
    """Write a view of `store` with `operations` to the new file `out`, and give it opened.

    What was done to `store`, if it is a view, becomes the beginning of the history. Raises DataError where
    `out` exists or no episode would be left, ConfigError where an operation does not fit.
    """
    require_new(out)
    return _written(base_of(store).followed_by(*operations), out)


def derive_parts(store: EpisodeStore, parts: Mapping[str, Operation], out: Path) -> dict[str, View]:
    """Write one view NAME.view.json for each of `parts` into the new folder `out`, all or none.

    Raises what `derive` raises.
    """
    if out.exists():
        raise DataError(f"{out}: already exists; choose another name with out=…")
    out.parent.mkdir(parents=True, exist_ok=True)
    unfinished = Path(tempfile.mkdtemp(prefix=f".{out.name}.", dir=out.parent))
    try:
        for name, operation in parts.items():
            # It lies as deep as `out`, so that relative paths hold.
            derive(store, [operation], unfinished / f"{name}{SUFFIX}")
        unfinished.chmod(0o755)
        os.replace(unfinished, out)  # noqa: PTH105
    except BaseException:
        shutil.rmtree(unfinished, ignore_errors=True)
        raise
    return {name: _opened(out / f"{name}{SUFFIX}") for name in parts}


def merge(paths: Sequence[Path], out: Path) -> View:
    """Write a view of all episodes of the stores at `paths`, whose specs are equal, to the new file `out`.

    Raises SpecError naming the store and the key that differs.
    """
    require_new(out)
    if len(paths) < 2:
        raise ConfigError(f"{len(paths)} stores to merge, expected at least two: sources=[a.zarr,b.zarr]")
    sources = tuple(_source(open_store(path)) for path in paths)
    return _written(ViewFile(sources, (Entry.now(Merge(file_names(paths))),)), out)


def undo(view: EpisodeStore, out: Path) -> View:
    """Write `view` without the last entry of its history to the new file `out`."""
    require_new(out)
    if not isinstance(view, View):
        raise DataError(f"{view.path} is no view: there is nothing to undo")
    history = view.file.history[:-1]
    if not history:
        raise DataError(f"{view.path} has a history of one operation; what was there before it is its source")
    return _written(ViewFile(view.file.sources, history), out)


def base_of(store: EpisodeStore) -> ViewFile:
    """What a view of `store` begins with."""
    return store.file if isinstance(store, View) else ViewFile((_source(store),), ())


def _source(store: EpisodeStore) -> Source:
    if isinstance(store, Mixture):
        raise DataError(
            f"{store.path} is a mixture: edit the stores that it names, then name the views in it"
        )
    state = store.files_state()  # before the hash: what is written meanwhile is then noticed
    return Source(store.path.resolve(), store.content_hash(), state)


def _written(file: ViewFile, out: Path) -> View:
    view = View.made(out, file, open_store)
    if not len(view):
        raise DataError(f"{out}: no episode would be left, so nothing was written")
    write_view_file(out, file)
    return view


def _opened(path: Path) -> View:
    return View.open(path, open_store)
