"""The picture of docs/scaling.md: speed-up that was measured, bytes, and where the model's hours go."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
from matplotlib.axes import Axes
from scaling_model import Assumptions, Measured, estimate

Found = Mapping[tuple[str, int], Mapping[str, float]]
GPUS = (1, 4, 16, 64, 256, 1024)


def plot(file: Path, curves: Mapping[str, Found], measured: Measured, assumed: Assumptions) -> None:
    """Write the picture; `curves` has {(strong or weak, workers): figures per step} of each policy."""
    figure, axes = plt.subplots(1, 3, figsize=(12, 3.6), layout="constrained")
    for size, found in curves.items():
        _speeds(axes[0], size, found)
    _sent(axes[1], curves)
    _hours(axes[2], measured, assumed)
    figure.savefig(file, dpi=100)
    plt.close(figure)


def _speeds(axis: Axes, size: str, found: Found) -> None:
    for kind, style in (("strong", "o-"), ("weak", "s--")):
        counts = sorted(workers for name, workers in found if name == kind)
        alone = found[kind, 1]["cpu_s"]
        gains = [alone / found[kind, n]["cpu_s"] * (n if kind == "weak" else 1) for n in counts]
        axis.plot(counts, gains, style, label=f"{kind}, {size} weights")
    axis.plot(counts, counts, color="0.7", zorder=0)
    axis.set(xlabel="workers", ylabel="windows per busy second,\nratio to one worker", title="training")
    axis.set_xticks(counts)
    axis.legend(fontsize=8)


def _sent(axis: Axes, curves: Mapping[str, Found]) -> None:
    for size, found in curves.items():
        counts = sorted(workers for name, workers in found if name == "strong" and workers > 1)
        axis.plot(
            counts, [found["strong", n]["bytes"] / n / 1e6 for n in counts], "o", label=f"{size}, counted"
        )
        weights = found["strong", 1]["weights"]
        axis.plot(counts, [8 * (n - 1) / n * weights / 1e6 for n in counts], color="0.6", zorder=0)
    axis.set(
        xlabel="workers", ylabel="MB sent by each per step", title="gradient (grey: a ring)", yscale="log"
    )
    axis.set_xticks(counts)
    axis.legend(fontsize=8)


def _hours(axis: Axes, measured: Measured, assumed: Assumptions) -> None:
    found = [estimate(measured, replace(assumed, gpus=gpus)) for gpus in GPUS]
    for part in found[0].parts:
        hours = [each.parts[part] / 3600 for each in found]
        if part != "sending gradients":
            axis.plot(GPUS, hours, label=part)
        else:
            axis.plot(GPUS[1:], hours[1:], label=part)
    axis.plot(GPUS, [each.hours for each in found], "k--", label="all together")
    axis.set(
        xlabel="GPUs", ylabel="hours", xscale="log", yscale="log", title="model (assumptions in the text)"
    )
    axis.legend(fontsize=7)
