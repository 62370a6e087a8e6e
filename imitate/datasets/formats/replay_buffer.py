"""Diffusion Policy's replay buffers: read as they are (zarr format 2 and 3), written in format 2.

diffusion_policy/common/replay_buffer.py of https://github.com/real-stanford/diffusion_policy: data/<name>
(N, …) chunked along N, meta/episode_ends (E,) int64 without compression. It is used with zarr 2.12, so what
is written uses nothing newer.
"""

from pathlib import Path

import numpy as np
import zarr
from numcodecs import Blosc  # type: ignore[import-untyped]

from imitate.datasets.episode_store import EpisodeStore
from imitate.datasets.formats import Format, ReadOptions
from imitate.datasets.opening import is_replay_buffer, open_store
from imitate.datasets.stored_array import StoredArray
from imitate.progress import Progress

CHUNK_BYTES = 2_000_000
BLOCK_BYTES = 64 * 2**20


def read_replay_buffer(path: Path, options: ReadOptions) -> EpisodeStore:
    """Open the folder or zip; raises DataError saying which part is missing or damaged."""
    return open_store(path)


def write_replay_buffer(store: EpisodeStore, out: Path, progress: Progress) -> tuple[str, ...]:
    """Write all steps to the new folder `out`; gives in words what a replay buffer has no place for."""
    with zarr.config.set({"array.write_empty_chunks": True}):
        root = zarr.open_group(str(out), mode="w-", zarr_format=2)
        data = root.create_group("data")
        with progress.task("write", len(store.keys), "arrays") as task:
            for name in store.keys:
                _write_array(data, name, store.array(name))
                task.advance()
        ends = store.episode_ends
        kept = root.create_group("meta").create_array(
            "episode_ends", shape=ends.shape, chunks=(max(1, len(ends)),), dtype=np.int64, compressors=None
        )
        kept[:] = ends
    return _said(store)


def _write_array(data: zarr.Group, name: str, array: StoredArray) -> None:
    rows = max(1, min(len(array), CHUNK_BYTES // max(1, array.nbytes // max(1, len(array)))))
    written = data.create_array(
        name,
        shape=array.shape,
        chunks=(rows, *array.shape[1:]),
        dtype=array.dtype,
        compressors=Blosc("zstd", 5, Blosc.BITSHUFFLE),
    )
    block = rows * max(1, BLOCK_BYTES // CHUNK_BYTES)
    for start in range(0, len(array), block):
        written[start : start + block] = array[start : start + block]


def _said(store: EpisodeStore) -> tuple[str, ...]:
    records = [store.record(index) for index in range(len(store))]
    said = ["names, units and ranges of array elements"]
    if store.spec.rate_hz:
        said.append(f"the control rate of {store.spec.rate_hz:g} Hz")
    if store.metadata:
        said.append(f"what is known of the data set: {', '.join(sorted(store.metadata))}")
    said.append("ids of episodes")
    for label in ("success", "source", "operator", "metadata"):
        held = sum(getattr(record, label) not in (None, "", {}) for record in records)
        if held:
            said.append(f"{label} of {held} episodes")
    return tuple(said)


FORMAT = Format(
    "diffusion_policy", "zarr replay buffer", is_replay_buffer, read_replay_buffer, write_replay_buffer
)
