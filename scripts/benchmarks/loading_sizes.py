"""Throughput against the size of the store, and the plot of it beside the limits of the machine."""

import json
import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path

import matplotlib
import numpy as np
from commands import say
from loading_episodes import CAMERAS, Case, walk
from loading_ours import loader, rate, window_bytes, write_store

from imitate.datasets.array_files import ENCODED_CHUNK_BYTES, append_rows
from imitate.datasets.store import DemoStore
from imitate.types import Episode

matplotlib.use("Agg")
import matplotlib.pyplot as plt

LOWDIM = (10**3, 10**4, 10**5, 10**6, 10**7)
IMAGES = {96: (10**3, 10**4, 10**5, 10**6), 224: (10**3, 10**4, 10**5)}
"""Frames of both cameras together, by their side in px."""

Curve = list[tuple[int, float]]


def lowdim_curves(folder: Path, sizes: Sequence[int], seconds: float) -> dict[str, Curve]:
    """Windows per second of one growing store of 39-d episodes, in memory and from disk."""
    case = Case("growing", 0, 0, 0, 256)
    store = DemoStore.create(folder / "lowdim.zarr", case.spec)
    rng, curves = np.random.default_rng(0), {"39-d, in memory": [], "39-d, from disk": []}
    for size in sizes:
        while store.steps < size:
            steps = min(size - store.steps, max(200, size // 100))
            obs = {"state": walk(rng, steps, 39)}
            store.append(Episode(f"walk_{len(store)}", obs, walk(rng, steps, 4)))
        for name, memory_gib in (("39-d, in memory", 4.0), ("39-d, from disk", 0.0)):
            source = loader(store.path, case.spec, case.batch_size, memory_gib)
            curves[name].append((size, rate(source.batch, seconds)))
            say(f"{name}: {size:,} steps")
    store.close()
    return curves


def image_curve(
    folder: Path, side: int, pictures: Iterator[np.ndarray], sizes: Sequence[int], seconds: float
) -> Curve:
    """The same of windows with two cameras of `side` px kept as JPEG, from disk."""
    case = Case("growing", side, 0, 0, 64)
    steps = ENCODED_CHUNK_BYTES // (3 * side * side)  # of one chunk, which is an episode
    images = np.stack([next(pictures) for _ in range(steps)])
    rng = np.random.default_rng(0)
    obs = {"state": walk(rng, steps, 39), "front": images, "wrist": np.ascontiguousarray(images[:, ::-1])}
    path = write_store(
        folder / f"{side}.zarr", case.spec, [Episode("walk_0", obs, walk(rng, steps, 4))], "jpeg"
    )
    curve, row_bytes = [], 4 * (39 + 4)
    for size in sizes:
        chunks = max(1, round(size / (2 * steps)))
        _enlarge(path, chunks, steps)
        source = loader(path, case.spec, case.batch_size, 1.01 * chunks * steps * row_bytes / 2**30)
        curve.append((2 * chunks * steps, rate(source.batch, seconds)))
        say(f"{side}×{side}: {curve[-1][0]:,} frames")
    return curve


def _enlarge(path: Path, chunks: int, steps: int) -> None:
    """Copy the episodes of a store of one chunk each until there are `chunks`, each a file of its own.

    Appending would decode every image once more, which takes minutes for a million.
    """
    store = DemoStore.open(path)
    there = len(store)
    for name in CAMERAS:
        array = path / "data" / name
        for number in range(there, chunks):
            shutil.copyfile(array / "0.0.0.0", array / f"{number}.0.0.0")
        header = json.loads((array / ".zarray").read_text())
        header["shape"][0] = chunks * steps
        (array / ".zarray").write_text(json.dumps(header))
    for name in ("state", "action"):
        rows = store.array(name)[:steps]
        append_rows(path / "data" / name, there * steps, np.tile(rows, (chunks - there, 1)))
    append_rows(path / "meta/episode_ends", there, steps * np.arange(there + 1, chunks + 1))
    records = path / "meta/episodes.jsonl"
    record = json.loads(records.read_bytes().splitlines()[0])
    lines = [json.dumps(record | {"id": f"walk_{number}"}) for number in range(chunks)]
    records.write_text("\n".join(lines) + "\n")


def bytes_of_a_window(folder: Path, side: int) -> float:
    """What a window of a store of `folder` delivers."""
    case = Case("growing", side, 0, 0, 8)
    path = folder / (f"{side}.zarr" if side else "lowdim.zarr")
    return window_bytes(loader(path, case.spec, 8, 0.0).batch(0))


def plot(file: Path, curves: dict[str, Curve], limits: dict[str, float], device: str) -> None:
    """Windows per second over frames, both logarithmic; limits are dashed lines."""
    figure, axes = plt.subplots(figsize=(6.4, 3.8), layout="constrained")
    for index, (name, curve) in enumerate(curves.items()):
        axes.plot(*zip(*curve, strict=True), marker="o", color=f"C{index}", label=name)
    for index, (name, value) in enumerate(limits.items()):
        axes.axhline(value, linestyle="--", linewidth=1, color=f"C{index + len(curves)}", label=name)
    axes.set(
        xscale="log",
        yscale="log",
        xlabel="steps (with cameras: frames) in the store",
        ylabel="windows per second",
    )
    axes.set_title(device, fontsize=8)
    axes.grid(alpha=0.3)
    axes.legend(fontsize=7, loc="center left", bbox_to_anchor=(1.0, 0.5))
    figure.savefig(file, dpi=100)
