"""Our side of scripts/benchmarks/loading: windows per second of a store, in memory and from disk."""

import statistics
import time
from collections.abc import Callable, Iterable
from pathlib import Path

import torch

from imitate.datasets.image_chunks import Storage
from imitate.datasets.loader import DataConfig, prepare
from imitate.datasets.store import DemoStore
from imitate.datasets.window_loader import WindowLoader
from imitate.policy import Horizons
from imitate.types import Batch, DataSpec, Episode

HORIZONS, RUNS = Horizons(2, 16, 8), 5


def write_store(path: Path, spec: DataSpec, episodes: Iterable[Episode], storage: Storage = "auto") -> Path:
    with DemoStore.create(path, spec, "benchmark", storage=storage) as store:
        for episode in episodes:
            store.append(episode)
    return path


def loader(path: Path, spec: DataSpec, batch_size: int, memory_gib: float) -> WindowLoader:
    config = DataConfig(str(path), val_fraction=0.0, memory_gib=memory_gib)
    return prepare(config, HORIZONS, spec, batch_size, 0).train


def rate(batch: Callable[[int], Batch], seconds: float) -> float:
    """Windows per second, the median of five runs after one to warm up."""
    rates, step = [], 0
    for _ in range(RUNS + 1):
        began, windows = time.perf_counter(), 0
        while windows == 0 or time.perf_counter() - began < seconds / RUNS:
            windows += len(batch(step))
            step += 1
        rates.append(windows / (time.perf_counter() - began))
    return statistics.median(rates[1:])


def stream_rate(source: WindowLoader, seconds: float) -> float:
    """The same as training gets it: prepared ahead by a thread."""
    stream = source.stream()
    try:
        return rate(lambda _: next(stream), seconds)
    finally:
        stream.close()


class Steps(torch.utils.data.Dataset[Batch]):
    """Batches by number, for worker processes."""

    def __init__(self, source: WindowLoader) -> None:
        self.source = source

    def __len__(self) -> int:
        return 10**9

    def __getitem__(self, step: int) -> Batch:
        return self.source.batch(step)


def process_rate(source: WindowLoader, seconds: float, workers: int = 2) -> float:
    """The same by worker processes, which hand batches over in shared memory: what threads save."""
    steps = torch.utils.data.DataLoader(
        Steps(source), batch_size=None, shuffle=False, num_workers=workers, prefetch_factor=2
    )
    batches = iter(steps)
    return rate(lambda _: next(batches), seconds)


def stored_share(path: Path, spec: DataSpec) -> float:
    """Bytes of the images on disk, of those of their pixels."""
    cameras = [name for name, array in spec.obs.items() if array.is_image]
    files = sum(f.stat().st_size for name in cameras for f in (path / "data" / name).iterdir())
    store = DemoStore.open(path)
    return files / sum(store.array(name).nbytes for name in cameras)


def delivered_gib(path: Path) -> float:
    """Memory that all of the store takes, images decoded."""
    store = DemoStore.open(path)
    return sum(store.array(name).nbytes for name in store.keys) / 2**30


def window_bytes(batch: Batch) -> float:
    """Bytes that a window delivers."""
    arrays = [*batch.obs.values(), batch.action]
    return sum(array.numel() * array.element_size() for array in arrays) / len(batch)
