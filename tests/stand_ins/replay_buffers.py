"""Small replay buffers as Diffusion Policy and newer versions of zarr write them."""

import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import zarr
from numcodecs import Blosc

from imitate.datasets.store import DemoStore
from imitate.types import ArraySpec, DataSpec, Episode

RNG = np.random.default_rng(0)
ENDS = np.array([7, 12, 30])
ARRAYS = {
    "img": RNG.integers(0, 256, (30, 6, 6, 3)).astype(np.float32),
    "state": RNG.normal(size=(30, 5)).astype(np.float32),
    "reward": RNG.normal(size=30).astype(np.float32),
    "action": RNG.normal(size=(30, 2)).astype(np.float32),
}


def write_buffer(
    path: Path,
    arrays: dict[str, np.ndarray] = ARRAYS,
    ends: np.ndarray = ENDS,
    zarr_format: Any = 2,
    **settings: Any,
) -> Path:
    """A replay buffer in chunks of 8 rows; `settings` are those of zarr's create_array.

    In format 2 chunks of zeros are written, as by zarr 2; in format 3 they are not, as by zarr 3.
    """
    root = zarr.open_group(str(path), mode="w", zarr_format=zarr_format)
    data, meta = root.create_group("data"), root.create_group("meta")
    if zarr_format == 2:
        settings = {"compressors": Blosc("zstd", 5, Blosc.BITSHUFFLE), **settings}
    with zarr.config.set({"array.write_empty_chunks": zarr_format == 2}):
        for name, array in arrays.items():
            shards = {"shards": (16, *array.shape[1:])} if settings.get("shards") else {}
            chosen = {**settings, **shards}
            stored = data.create_array(
                name, shape=array.shape, chunks=(8, *array.shape[1:]), dtype=array.dtype, **chosen
            )
            stored[:] = array
        stored = meta.create_array("episode_ends", shape=ends.shape, dtype=ends.dtype, compressors=None)
        stored[:] = ends
    return path


def zipped(folder: Path, prefix: str = "", packed: bool = False) -> Path:
    """The folder as a zip beside it, its files below `prefix`."""
    path = folder.with_suffix(".zarr.zip")
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED if packed else zipfile.ZIP_STORED) as archive:
        for file in sorted(folder.rglob("*")):
            if file.is_file():
                archive.write(file, prefix + str(file.relative_to(folder)))
    return path


def write_store(path: Path, episodes: int = 3) -> Path:
    """A store of our own."""
    spec = DataSpec({"state": ArraySpec((2,), units=("m", "m"))}, ArraySpec((1,), units=("N",)), 10.0)
    rng = np.random.default_rng(0)
    with DemoStore.create(path, spec, "test") as store:
        for number in range(episodes):
            state, action = (rng.normal(size=(4 + number, size)).astype(np.float32) for size in (2, 1))
            store.append(Episode(f"demo_{number}", {"state": state}, action, bool(number % 2), rate_hz=10.0))
    return path
