"""A store whose episodes are steps of episodes of other stores."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import zarr

from imitate.datasets.episode_store import ACTION, EpisodeStore
from imitate.datasets.stored_array import StoredArray
from imitate.datasets.views.contents import CONSTANT, Piece
from imitate.datasets.views.piecewise import ConstantArray, PiecewiseArray, Runs
from imitate.errors import DataError
from imitate.types import DataSpec


class PiecewiseStore(EpisodeStore):
    """Read only; rows are read from `sources` when they are asked for, and closing closes those."""

    def __init__(
        self,
        path: Path,
        spec: DataSpec,
        sources: Sequence[EpisodeStore],
        pieces: Sequence[Piece],
        names: Sequence[Mapping[str, str]],
        *,
        action: Sequence[np.ndarray | None] | None = None,
        columns: Mapping[str, Sequence[int]] | None = None,
        source: str = "",
        metadata: Mapping[str, Any] | None = None,
    ) -> None:
        """`names`: of each source, how it calls our observations; `action`: the elements taken of its own.

        columns: of our observations that are part of theirs, the elements taken.
        """
        lengths = np.array([piece.record.steps for piece in pieces], np.int64)
        records = [piece.record for piece in pieces]
        super().__init__(path, spec, np.cumsum(lengths), records, source=source, metadata=metadata)
        self.sources, self.pieces, self.names = tuple(sources), tuple(pieces), tuple(names)
        self.action_elements = tuple(action or [None] * len(sources))
        self.columns = {key: np.array(found) for key, found in (columns or {}).items()}
        self._runs = _runs(sources, pieces, lengths)
        self._constants: dict[str, ConstantArray] = {}

    def array(self, name: str) -> StoredArray:
        """The array (N, …) of an observation or of "action"; raises DataError for an absent name."""
        if name not in self.keys:
            raise DataError(f"{self.path}: there is no array {name!r}; there are {', '.join(self.keys)}")
        theirs = [{**names, ACTION: ACTION}[name] for names in self.names]
        if theirs[0].startswith(CONSTANT):
            return self._constant(name, theirs[0])
        arrays = [source.array(key) for source, key in zip(self.sources, theirs, strict=True)]
        columns = self.action_elements if name == ACTION else [self.columns.get(name)] * len(arrays)
        return PiecewiseArray(arrays, self._runs, self._array_spec(name), f"{self.path}: {name}", columns)

    def _constant(self, name: str, key: str) -> ConstantArray:
        if name not in self._constants:
            spec, columns = self._array_spec(name), self.columns.get(name, slice(None))
            values = np.zeros((len(self), *spec.shape), spec.dtype)
            for row, piece in zip(values, self.pieces, strict=True):
                row[:] = piece.constant[key][columns]
            self._constants[name] = ConstantArray(values, self.episode_ends)
        return self._constants[name]

    def encoded(self, index: int) -> dict[str, list[bytes]]:
        """The images of episode `index` as its source has encoded them, by our names; {} where none is."""
        piece = self.pieces[self._checked_index(index)]
        files = self.sources[piece.source].encoded(piece.episode)
        part = slice(piece.start, piece.start + piece.record.steps)
        names = self.names[piece.source].items()
        return {ours: files[theirs][part] for ours, theirs in names if theirs in files}

    def close(self) -> None:
        """Give back files and locks of all sources."""
        for source in self.sources:
            source.close()

    def verify(self, index: int) -> None:
        """Check the episode that episode `index` is taken from; raises DataError where it was damaged."""
        piece = self.pieces[self._checked_index(index)]
        self.sources[piece.source].verify(piece.episode)

    def _open_array(self, name: str) -> zarr.Array:
        raise NotImplementedError("the arrays lie in the sources")


def _runs(sources: Sequence[EpisodeStore], pieces: Sequence[Piece], lengths: np.ndarray) -> Runs:
    begins = [np.concatenate([[0], source.episode_ends]) for source in sources]
    first = np.array([begins[piece.source][piece.episode] + piece.start for piece in pieces], np.int64)
    return Runs.of(np.array([piece.source for piece in pieces], np.int64), first, lengths)
