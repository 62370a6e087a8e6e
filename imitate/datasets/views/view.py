"""Reading a view as a store."""

import hashlib
from collections.abc import Callable, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

from imitate.datasets.episode_store import EpisodeStore, canonical_json
from imitate.datasets.views.contents import Contents
from imitate.datasets.views.merging import joined
from imitate.datasets.views.piecewise_store import PiecewiseStore
from imitate.datasets.views.view_file import Merge, Source, ViewFile, read_view_file, to_plain
from imitate.errors import ConfigError, DataError, SpecError

Open = Callable[[Path], EpisodeStore]

VIEW = "view"
"""Of a view's metadata, and that of a store made of it: its sources and history."""


class View(PiecewiseStore):
    """What is left of its sources after the operations of its history. Nothing is ever written to those."""

    def __init__(
        self, path: Path, file: ViewFile, sources: Sequence[EpisodeStore], contents: Contents
    ) -> None:
        super().__init__(
            path,
            contents.spec,
            sources,
            contents.pieces,
            [contents.names] * len(sources),
            columns=contents.columns,
            source=" + ".join(dict.fromkeys(s.source for s in sources if s.source)),
            metadata=_shared_metadata(sources) | {VIEW: to_plain(file, path.parent)},
        )
        self.file = file

    @classmethod
    def open(cls, path: Path, open_source: Open) -> "View":
        """Open the view at `path`, and its sources with `open_source`.

        Raises DataError naming a source that is gone or has changed, or the operation that does not fit.
        """
        return cls.made(path, read_view_file(path), open_source)

    @classmethod
    def made(cls, path: Path, file: ViewFile, open_source: Open) -> "View":
        """The view that `file` describes, which need not lie at `path` yet."""
        sources = [_opened(source, path, open_source) for source in file.sources]
        return cls(path, file, sources, _contents(file, sources, path))

    @property
    def left_out(self) -> tuple[str, ...]:
        """What is left out by the sources, and metadata in which they differ."""
        said = [item for source in self.sources for item in source.left_out]
        shared = _shared_metadata(self.sources)
        lost = sorted({key for source in self.sources for key in source.metadata} - {*shared, VIEW})
        return (*dict.fromkeys(said), *(f"metadata {key!r} of the merged stores: it differs" for key in lost))

    @cached_property
    def _hash(self) -> str:
        done = [{"operation": e.operation, **e.arguments()} for e in self.file.history]
        covered = {"sources": [source.hash for source in self.file.sources], "history": done}
        return hashlib.sha256(canonical_json(covered)).hexdigest()

    def content_hash(self) -> str:
        """sha256 over the hashes of the sources and what was done, not when or where the files lie."""
        return self._hash


def _opened(source: Source, path: Path, open_source: Open) -> EpisodeStore:
    try:
        store = open_source(source.path)
    except (DataError, OSError) as error:
        raise DataError(f"{path}: its source cannot be read: {error}") from error
    if source.files and source.files == store.files_state():
        return store
    found = store.content_hash()
    if found != source.hash:
        raise DataError(
            f"{path}: its source {source.path} has changed: its content hash is {found}, "
            f"expected {source.hash}; make the view again, or, where the change is meant, put the new hash "
            "into the view"
        )
    return store


def _contents(file: ViewFile, sources: Sequence[EpisodeStore], path: Path) -> Contents:
    parts = [Contents.of(source, number) for number, source in enumerate(sources)]
    contents = parts[0]
    for number, entry in enumerate(file.history):
        try:
            if isinstance(entry.done, Merge):
                contents = joined(parts, entry.done.names)
            else:
                contents = entry.done.apply(contents)
        except (ConfigError, SpecError) as error:
            raise type(error)(f"{path}: history[{number}]: {error}") from error
    return contents


def _shared_metadata(sources: Sequence[EpisodeStore]) -> dict[str, Any]:
    first, *others = (source.metadata for source in sources)
    return {
        key: value
        for key, value in first.items()
        if all(key in other and other[key] == value for other in others)
    }
