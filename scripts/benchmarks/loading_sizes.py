"""Throughput against the size of the store, and the plot of it beside the limits of the machine."""

from collections.abc import Sequence
from pathlib import Path

import matplotlib
import numpy as np
from loading_episodes import Case, drawn_frames, walk
from loading_ours import loader, rate, window_bytes

from imitate.datasets.image_array import encode_all
from imitate.datasets.image_chunks import ImageCodec
from imitate.datasets.store import DemoStore
from imitate.types import Episode

matplotlib.use("Agg")
import matplotlib.pyplot as plt

LOWDIM, IMAGES = (10**3, 10**4, 10**5, 10**6, 10**7), (10**3, 10**4, 10**5)
DISTINCT = 500
"""Frames that are drawn; a store of images holds them again and again, as files of their own."""
STATES_GIB = 0.02
"""Room for the states of all of them, and for no camera."""

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
    store.close()
    return curves


def image_curve(folder: Path, side: int, sizes: Sequence[int], seconds: float) -> Curve:
    """The same of windows with two cameras of `side` px, from disk; sizes count frames of either."""
    case = Case("growing", side, 0, 0, 64)
    store = DemoStore.create(folder / f"{side}.zarr", case.spec, storage="jpeg")
    frames = drawn_frames(side)
    images = np.stack([next(frames) for _ in range(DISTINCT)])
    files = encode_all(images, ImageCodec((1, *images.shape[1:]), "jpeg"))
    rng, curve = np.random.default_rng(0), []
    for size in sizes:
        while store.steps < size:
            obs = {"state": walk(rng, DISTINCT, 39), "front": images, "wrist": images}
            episode = Episode(f"walk_{len(store)}", obs, walk(rng, DISTINCT, 4))
            store.append(episode, {"front": files, "wrist": files})
        source = loader(store.path, case.spec, case.batch_size, STATES_GIB)
        curve.append((size, rate(source.batch, seconds)))
    store.close()
    return curve


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
    axes.set(xscale="log", yscale="log", xlabel="frames in the store", ylabel="windows per second")
    axes.set_title(device, fontsize=8)
    axes.grid(alpha=0.3)
    axes.legend(fontsize=7, loc="center left", bbox_to_anchor=(1.0, 0.5))
    figure.savefig(file, dpi=100)
