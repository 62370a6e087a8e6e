"""The charts of the data set report."""

from collections.abc import Callable
from itertools import zip_longest

import numpy as np
from matplotlib.axes import Axes

from imitate.curation.measurement import Measurement
from imitate.datasets.episode_store import ACTION
from imitate.datasets.quality.ranges import DimensionRange
from imitate.page import Html, chart, tag
from imitate.page.charts import BAD, SERIES, SOFT

SAMPLES = 6
MAX_TRACES = 6
MAX_COVERAGE = 4
STARTS_VARY = 0.1
MAX_VISITED = 800


def agreement_chart(measured: Measurement) -> Html | None:
    """Differences of actions between similar states, with and without forgiving two ways to act."""
    agreement = measured.agreement
    if agreement is None:
        return None
    names = {"up to 16": "divergence", "up to 16,\nthe nearer way": "mode_divergence"}
    values = [float(np.nanmean(measured.score(name))) for name in names.values()]
    labels = [f"{agreement.neighbours} most similar", *names, "random state"]

    def draw(ax: Axes) -> None:
        colors = [SERIES[0], SERIES[0], SERIES[0], SOFT]
        bars = ax.barh(labels, [agreement.ratio, *values, 1.0], color=colors, height=0.55)
        ax.bar_label(bars, [f"{value:.2f}" for value in (agreement.ratio, *values, 1.0)], padding=4)
        ax.set(xlabel="difference of actions (random state = 1)", xlim=(0, max(1.2, 1.2 * max(values))))
        ax.grid(visible=False, axis="y")
        ax.invert_yaxis()

    note = (
        f"Mean squared difference between an action and the mean of the {agreement.neighbours} most "
        "similar states of other episodes, of up to 16, and of those of the 16 that chose the nearer of two "
        f"ways. The most similar lie {agreement.near_distance:.2f} standard deviations apart, random ones "
        f"{agreement.random_distance:.2f}."
    )
    return chart(draw, "Do similar states get similar actions?", note)


def score_chart(measured: Measurement, name: str, title: str, label: str, note: str) -> Html | None:
    """A score of every episode in rising order; None where no episode has it."""
    values = measured.score(name)
    known = np.sort(values[np.isfinite(values)])
    if not len(known):
        return None

    def draw(ax: Axes) -> None:
        ax.plot(np.arange(1, len(known) + 1), known, marker=".", markersize=3)
        ax.set(xlabel="episodes, in rising order", ylabel=label, ylim=(0, None))

    return chart(draw, title, note)


def coverage_charts(measured: Measurement) -> list[Html]:
    """Where episodes start, against all states visited, in pairs of state dimensions whose start varies."""
    by_key = [_varied_pairs(measured, key) for key in measured.arrays if key != ACTION]
    # The first pair of every array before the second of any.
    pairs = [pair for rank in zip_longest(*by_key) for pair in rank if pair is not None]
    return [_coverage(measured, *pair) for pair in pairs[:MAX_COVERAGE]]


Column = tuple[DimensionRange, np.ndarray]


def _varied_pairs(measured: Measurement, key: str) -> list[tuple[Column, Column]]:
    """Neighbouring dimensions of an array whose start spreads over a good part of all that is visited."""
    flat = measured.arrays[key].reshape(measured.steps, -1)
    varied = [
        (one, flat[:, i])
        for i, one in enumerate(measured.ranges[key])
        if not one.is_constant and np.nanstd(flat[measured.starts, i]) > STARTS_VARY * one.std
    ]
    return list(zip(varied[::2], varied[1::2], strict=False))


def _coverage(measured: Measurement, x: Column, y: Column) -> Html:
    kept = np.array([episode.keep for episode in measured.episodes])
    every = np.linspace(0, measured.steps - 1, min(MAX_VISITED, measured.steps)).astype(int)

    def draw(ax: Axes) -> None:
        dots = {"linestyle": "none", "marker": "."}
        ax.plot(x[1][every], y[1][every], color=SOFT, alpha=0.35, markersize=3, label="visited", **dots)  # type: ignore[arg-type]
        starts = measured.starts
        ax.plot(x[1][starts[kept]], y[1][starts[kept]], color=SERIES[0], markersize=6, label="start", **dots)  # type: ignore[arg-type]
        left_out = starts[~kept]
        if len(left_out):
            ax.plot(
                x[1][left_out],
                y[1][left_out],
                color=BAD,
                linestyle="none",
                marker="x",
                label="start, not kept",
            )
        ax.set(xlabel=named(x[0]), ylabel=named(y[0]))
        ax.legend(loc="upper left", bbox_to_anchor=(0, 1.14), ncols=3, borderpad=0, columnspacing=1)

    return chart(draw, f"Starts: {x[0].name} and {y[0].name}")


def trace_charts(measured: Measurement) -> list[Html]:
    """The actions of a few sample episodes over time, one chart per dimension."""
    samples = sample_indices(measured)
    return [
        chart(_trace(measured, samples, i), named(one))
        for i, one in enumerate(measured.ranges[ACTION][:MAX_TRACES])
    ]


def sample_indices(measured: Measurement) -> list[int]:
    """A few episodes from the shortest to the longest, evenly by rank."""
    order = np.argsort(measured.score("steps"), kind="stable")
    chosen = np.linspace(0, len(order) - 1, min(SAMPLES, len(order))).round().astype(int)
    return [int(order[i]) for i in chosen]


def _trace(measured: Measurement, samples: list[int], dimension: int) -> Callable[[Axes], None]:
    def draw(ax: Axes) -> None:
        for color, index in zip(SERIES, samples, strict=False):
            record = measured.episodes[index].record
            rate_hz = record.rate_hz or measured.spec.rate_hz
            values = measured.arrays[ACTION][measured.slice_of(index), dimension]
            ax.plot(np.arange(len(values)) / (rate_hz or 1.0), values, color=color, linewidth=1.1)
        ax.set(xlabel="time [s]" if rate_hz else "step")

    return draw


def sample_legend(measured: Measurement) -> Html:
    """Which colour is which sample episode."""
    items = [
        tag("span", tag("i", style=f"background:var(--s{i + 1})"), measured.episodes[index].record.id)
        for i, index in enumerate(sample_indices(measured))
    ]
    return tag("p", *items, class_="legend")


def named(one: DimensionRange) -> str:
    """A dimension's name with its unit."""
    return f"{one.name} [{one.unit}]" if one.unit else one.name
