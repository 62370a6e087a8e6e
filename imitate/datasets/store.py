"""The demonstration store: a zarr folder that only grows, whole episode by whole episode.

    demos.zarr/.zattrs              spec, source and metadata of the store
    demos.zarr/data/<name>/…        (N, …) observations and "action", chunked along N
    demos.zarr/meta/episodes.jsonl  one JSON line per episode
    demos.zarr/meta/episode_ends/…  (E,) int64

This is Diffusion Policy's replay buffer (zarr format 2), so its own code reads it. An append writes arrays,
then the JSON line, then the chunk of episode_ends; none of that counts until episode_ends/.zarray, which
holds E, is replaced in one step. Whatever an interrupted append left lies behind the last end and is
overwritten by the next one.
"""

import json
import os
import re
import shutil
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Self

import numpy as np
import zarr
from zarr.storage import LocalStore

from imitate.datasets.array_files import append_images, append_rows, create_array, create_ends
from imitate.datasets.durable import WriterLock, sync_folder, write_durably
from imitate.datasets.episode_store import ACTION, EpisodeRecord, EpisodeStore, arrays_digest, canonical_json
from imitate.datasets.image_array import ImageArray, decode_all, encode_all
from imitate.datasets.image_chunks import ImageCodec, Storage, storage_of
from imitate.datasets.image_headers import JPEG_START
from imitate.datasets.store_files import ATTRIBUTE as ATTRIBUTE
from imitate.datasets.store_files import (
    FORMAT,
    bytes_of_records,
    committed_state,
    read_attributes,
    read_committed,
    require_rows,
)
from imitate.datasets.stored_array import StoredArray
from imitate.errors import DataError, SpecError
from imitate.types import DataSpec, Episode

NAME = re.compile(r"[A-Za-z0-9_][\w.\-]*")


class DemoStore(EpisodeStore):
    """Our own store, for reading and appending. One process writes at a time; any number read."""

    _lock: WriterLock | None = None
    _state: tuple[int, int, bytes] | None = None

    def __init__(self, *args: Any, **keywords: Any) -> None:
        super().__init__(*args, **keywords)
        self.changed: set[str] = set()
        """Names of the arrays with images that were made JPEG here, and so are no longer exactly as given."""
        # Known from the moment the lock is taken, so that an append costs the same in a store of any size.
        self._ids: set[str] = set()
        self._record_bytes = 0
        self._codecs: dict[str, ImageCodec | None] = {}

    @classmethod
    def create(
        cls,
        path: str | Path,
        spec: DataSpec,
        source: str = "",
        metadata: Mapping[str, Any] | None = None,
        storage: Storage = "lossless",
    ) -> Self:
        """Make an empty store at `path`, whole or not at all.

        `storage` says how camera images of more than 64 px are kept. Raises DataError where `path` exists,
        SpecError for a spec whose names cannot name arrays.
        """
        path = Path(path)
        if path.exists():
            raise DataError(f"{path}: already exists; choose another name, or append to it")
        _require_storable(spec)
        path.parent.mkdir(parents=True, exist_ok=True)
        unfinished = Path(tempfile.mkdtemp(prefix=f".{path.name}.", dir=path.parent))
        try:
            _write_empty(unfinished, spec, source, dict(metadata or {}), storage)
            unfinished.chmod(0o755)
            os.replace(unfinished, path)  # noqa: PTH105
        except BaseException:
            shutil.rmtree(unfinished, ignore_errors=True)
            raise
        return cls.open(path)

    @classmethod
    def open(cls, path: str | Path) -> Self:
        """Open the store at `path`; raises DataError saying which file is missing or damaged."""
        path = Path(path)
        described, state = read_attributes(path), committed_state(path)
        try:
            spec = DataSpec.from_json(described["spec"])
            canonical_json(spec.to_json())  # Hashes need numbers that are some.
        except (KeyError, ValueError, TypeError, SpecError) as error:
            raise DataError(f"{path}/.zattrs: {error}; copy the store again") from error
        ends, records = read_committed(path)
        for name in _names(spec):
            require_rows(path / "data" / name, int(ends[-1]) if len(ends) else 0)
        store = cls(
            path,
            spec,
            ends,
            records,
            source=described.get("source", ""),
            metadata=described.get("metadata"),
        )
        store._state = state
        return store

    def array(self, name: str) -> StoredArray:
        """The array (N, …) of an observation or of "action"; raises DataError for an absent name."""
        array = super().array(name)
        if self._codec(name) is None:
            return array
        where, folder = f"{self.path}/data/{name}", self.path / "data" / name
        return ImageArray(self._raw_array(name), self.steps, self._array_spec(name), where, folder)

    def append(self, episode: Episode, encoded: Mapping[str, Sequence[bytes]] | None = None) -> None:
        """Add `episode`; when this returns it is on the disk, and until then the store is as before.

        Camera images are encoded here. Where they were decoded from the files `encoded`, JPEG among these is
        taken as it is: copying loses nothing. The first append takes the writer's lock, which
        `close` or the end of the process gives back. Raises SpecError where the arrays do not fit the
        spec, DataError for an id that is there already, for damaged images, or while another process
        writes.
        """
        arrays = self._fitting_arrays(episode)
        self._claim()
        images = self._encoded(arrays, encoded or {}, episode.id)
        delivered = {name: decode_all(files, self._array_spec(name).shape) for name, files in images.items()}
        record = self._new_record(episode, {**arrays, **delivered})
        for name, rows in arrays.items():
            if name in images:
                append_images(self.path / "data" / name, self.steps, images[name])
            else:
                append_rows(self.path / "data" / name, self.steps, rows)
        self._commit(record, self._write_record(record))

    def encoded(self, index: int) -> dict[str, list[bytes]]:
        """The encoded images of episode `index`, by array, for `append` to another store."""
        stop = int(self._ends[self._checked_index(index)])
        arrays = {name: self.array(name) for name in self.keys}
        images = {name: array for name, array in arrays.items() if isinstance(array, ImageArray)}
        return {name: array.encoded(stop - self.record(index).steps, stop) for name, array in images.items()}

    def close(self) -> None:
        """Give the writer's lock back; a later append takes it again."""
        super().close()
        if self._lock is not None:
            self._lock.release()
            self._lock = None

    def _claim(self) -> None:
        """Become the only writer, and take in what others have appended since this store was opened."""
        if self._lock is not None:
            return
        lock = WriterLock(self.path)
        if committed_state(self.path) != self._state:
            self._ends, self._records = read_committed(self.path)
        self._ids = {record.id for record in self._records}
        self._record_bytes = bytes_of_records(self.path, len(self._records))
        self._lock = lock

    def _codec(self, name: str) -> ImageCodec | None:
        if name not in self._codecs:
            codec = self._raw_array(name).metadata.compressor  # type: ignore[union-attr]
            self._codecs[name] = codec if isinstance(codec, ImageCodec) else None
        return self._codecs[name]

    def _encoded(
        self, arrays: Mapping[str, np.ndarray], given: Mapping[str, Sequence[bytes]], episode: str
    ) -> dict[str, list[bytes]]:
        codecs = {name: codec for name in arrays if (codec := self._codec(name))}
        for name in codecs.keys() & given.keys():
            if len(given[name]) != len(arrays[name]):
                raise DataError(
                    f"{self.path}: {name!r} of episode {episode!r} has {len(given[name])} encoded images, "
                    f"expected {len(arrays[name])}"
                )
        return {name: self._files(name, arrays[name], codec, given) for name, codec in codecs.items()}

    def _files(
        self, name: str, images: np.ndarray, codec: ImageCodec, given: Mapping[str, Sequence[bytes]]
    ) -> list[bytes]:
        """Each image encoded; a given JPEG is taken as it is, for what it lost cannot be had back."""
        files = [file if file[:2] == JPEG_START else b"" for file in given.get(name, [b""] * len(images))]
        missing = [index for index, file in enumerate(files) if not file]
        for index, file in zip(missing, encode_all(images[missing], codec), strict=True):
            files[index] = file
            if file[:2] == JPEG_START:
                self.changed.add(name)
        return files

    def _fitting_arrays(self, episode: Episode) -> dict[str, np.ndarray]:
        if set(episode.obs) != set(self.spec.obs):
            raise SpecError(
                f"{self.path}: episode {episode.id!r} has observations {sorted(episode.obs)}, "
                f"expected {sorted(self.spec.obs)}"
            )
        here, there = episode.rate_hz, self.spec.rate_hz
        if here and there and abs(here - there) > 0.01 * there:
            raise SpecError(f"{self.path}: episode {episode.id!r} runs at {here:g} Hz, expected {there:g} Hz")
        given = {**episode.obs, ACTION: episode.action}
        return {name: self._fitting(given[name], name, episode.id) for name in self.keys}

    def _fitting(self, array: np.ndarray, name: str, episode: str) -> np.ndarray:
        spec = self._array_spec(name)
        fits = array.shape[1:] == spec.shape and np.can_cast(array.dtype, spec.dtype, "same_kind")
        if not fits:
            raise SpecError(
                f"{self.path}: {name!r} of episode {episode!r} is {array.shape[1:]} {array.dtype} per step, "
                f"expected {spec.shape} {spec.dtype}"
            )
        return np.ascontiguousarray(array, dtype=spec.dtype)

    def _new_record(self, episode: Episode, arrays: dict[str, np.ndarray]) -> EpisodeRecord:
        if episode.id in self._ids:
            raise DataError(f"{self.path}: there is already an episode {episode.id!r}; give it another id")
        return EpisodeRecord(
            id=episode.id,
            steps=len(episode),
            success=episode.success,
            source=episode.source,
            operator=episode.operator,
            rate_hz=episode.rate_hz,
            metadata=dict(episode.metadata),
            digest=arrays_digest(arrays),
        )

    def _write_record(self, record: EpisodeRecord) -> int:
        """Write the line of the episode, which counts once it is committed; gives its size."""
        try:
            line = canonical_json(vars(record))
        except (TypeError, ValueError) as error:
            raise DataError(f"{self.path}: metadata of episode {record.id!r} is not JSON: {error}") from error
        with (self.path / "meta/episodes.jsonl").open("r+b") as file:
            file.truncate(self._record_bytes)
            file.seek(self._record_bytes)
            file.write(line + b"\n")
            file.flush()
            os.fsync(file.fileno())
        return len(line) + 1

    def _commit(self, record: EpisodeRecord, size: int) -> None:
        """Make the episode count, whose line is `size` bytes long."""
        end = self.steps + record.steps
        append_rows(self.path / "meta/episode_ends", len(self), np.array([end]))
        self._ends = np.append(self._ends, end)
        self._records.append(record)
        self._ids.add(record.id)
        self._record_bytes += size
        self._state = committed_state(self.path)

    def _open_array(self, name: str) -> zarr.Array:
        return zarr.open_array(LocalStore(self.path / "data" / name), mode="r", zarr_format=2)


def _names(spec: DataSpec) -> tuple[str, ...]:
    return (*spec.obs, ACTION)


def _require_storable(spec: DataSpec) -> None:
    for key in spec.obs:
        if key == ACTION or not NAME.fullmatch(key):
            raise SpecError(
                f"observation {key!r} cannot name an array: use letters, digits, _ - and ., not 'action'"
            )
    for name in _names(spec):
        array = spec.action if name == ACTION else spec.obs[name]
        if np.dtype(array.dtype).kind not in "biuf":
            raise SpecError(f"{name!r} has dtype {array.dtype}, expected numbers")


def _write_empty(path: Path, spec: DataSpec, source: str, metadata: dict[str, Any], storage: Storage) -> None:
    described = {"format": FORMAT, "spec": spec.to_json(), "source": source, "metadata": metadata}
    for folder in (path, path / "data", path / "meta"):
        folder.mkdir(exist_ok=True)
        write_durably(folder / ".zgroup", b'{"zarr_format": 2}')
    write_durably(path / ".zattrs", json.dumps({ATTRIBUTE: described}, indent=4).encode())
    write_durably(path / "meta/episodes.jsonl", b"")
    for name in _names(spec):
        array = spec.action if name == ACTION else spec.obs[name]
        create_array(path / "data" / name, array, storage_of(name, array, storage))
    create_ends(path / "meta/episode_ends")
    for folder in (path, path / "data", path / "meta"):
        sync_folder(folder)
