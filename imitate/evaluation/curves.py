"""The charts of an experiment, from the rows of its training log."""

import re
from collections.abc import Callable, Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.patches import Rectangle
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter, PercentFormatter

from imitate.datasets.quality.features import CONSTANT
from imitate.evaluation.statistics import wilson
from imitate.evaluation.traces import Trace
from imitate.page import Html, amount, chart
from imitate.page.charts import SERIES, SOFT

Rows = Sequence[Mapping[str, float]]
LOG_SCALE_FROM = 10.0
MAX_TRACES = 16
EXPERT = re.compile(r"experts/layer(?P<layer>\d+)/sigma(?P<sigma>[\d.e+-]+)/(?P<expert>\w+)$")


def series(rows: Rows, name: str) -> tuple[np.ndarray, np.ndarray]:
    """Steps and values of the rows that hold a finite `name`."""
    points = [(row["step"], row[name]) for row in rows if _is_number(row.get(name)) and "step" in row]
    points = [(step, value) for step, value in points if np.isfinite(value)]
    return np.array([step for step, _ in points]), np.array([value for _, value in points])


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def loss_chart(rows: Rows) -> Html | None:
    """Training and validation loss."""
    lines = {"training": series(rows, "train/loss"), "validation": series(rows, "validation/loss")}
    note = "Validation: on held-out episodes. The lowest validation loss need not be the best policy."
    return _lines(lines, "Loss", "loss", note)


def rate_chart(rows: Rows) -> Html | None:
    """The learning rate."""
    return _lines({"learning rate": series(rows, "train/learning_rate")}, "Learning rate", "rate", log=False)


def success_chart(rows: Rows, episodes: int | None, chosen_step: int | None) -> Html | None:
    """Success of the rollouts during training, with intervals where their number of `episodes` is known."""
    steps, rates = series(rows, "rollout/success_rate")
    if not len(steps):
        return None

    def draw(ax: Axes) -> None:
        if episodes:
            bounds = np.array([wilson(round(rate * episodes), episodes) for rate in rates])
            reach = np.abs(bounds.T - rates)
            ax.errorbar(steps, rates, reach, marker="o", markersize=4, capsize=3, elinewidth=1)
        else:
            ax.plot(steps, rates, marker="o", markersize=4)
        if chosen_step is not None:
            ax.axvline(chosen_step, color=SERIES[1], linestyle="--", linewidth=1)
        ax.set(xlabel="step", ylabel="success", ylim=(-0.03, 1.03))
        ax.yaxis.set_major_formatter(PercentFormatter(1.0))

    note = f"{episodes} episodes each, bars: 95 % intervals." if episodes else ""
    marked = " Dashed: the checkpoint evaluated here." if chosen_step is not None else ""
    return chart(draw, "Success of rollouts during training", note + marked)


def error_charts(rows: Rows) -> list[Html]:
    """Mean absolute action error on validation episodes over training, one chart per unit."""
    names = sorted({key for row in rows for key in row if key.startswith("action_error/")}, key=_place(rows))
    by_unit: dict[str, list[str]] = {}
    for name in names:
        unit = re.search(r"\[(.*)\]$", name)
        by_unit.setdefault(unit[1] if unit else "", []).append(name)
    charts = []
    for measure, group in by_unit.items():
        for part in (group[i : i + len(SERIES)] for i in range(0, len(group), len(SERIES))):
            lines = {name.partition("/")[2]: series(rows, name) for name in part}
            title = f"Action error in {measure}" if measure else "Action error"
            charts.append(_lines(lines, title, f"mean error [{measure}]" if measure else "mean error"))
    return [one for one in charts if one is not None]


def _place(rows: Rows) -> Callable[[str], int]:
    order = {key: i for row in rows for i, key in enumerate(row)}
    return lambda name: order[name]


def trace_charts(found: Trace) -> list[Html]:
    """Predicted against recorded actions of one validation episode, one chart per dimension."""
    times = np.arange(len(found.recorded)) / (found.rate_hz or 1.0)
    return [_trace(found, times, i) for i in range(min(len(found.names), MAX_TRACES))]


def _trace(found: Trace, times: np.ndarray, i: int) -> Html:
    def draw(ax: Axes) -> None:
        ax.plot(times, found.recorded[:, i], color=SOFT, linewidth=2.4, alpha=0.6, label="recorded")
        ax.plot(times, found.predicted[:, i], color=SERIES[0], linewidth=1.2, label="predicted")
        ax.set(xlabel="time [s]" if found.rate_hz else "step")
        ax.legend(loc="upper left", bbox_to_anchor=(0, 1.16), ncols=2, borderpad=0)

    error, spread = float(found.mean_error[i]), float(found.recorded[:, i].std())
    still = spread <= CONSTANT * max(1.0, abs(float(found.recorded[:, i].mean())))
    context = (
        "the recorded action is constant" if still else f"spread (std) of the recording {amount(spread)}"
    )
    note = f"Mean error {amount(error)}; {context}."
    return chart(draw, found.names[i], note)


def expert_charts(rows: Rows) -> list[Html]:
    """For policies with routed experts, how likely each was at each noise level at the end, by layer."""
    last = next((row for row in reversed(rows) if any(EXPERT.match(key) for key in row)), {})
    tables: dict[str, dict[tuple[float, str], float]] = {}
    for key, share in last.items():
        if (found := EXPERT.match(key)) and _is_number(share):
            tables.setdefault(found["layer"], {})[float(found["sigma"]), found["expert"]] = share
    return [_expert_chart(f"experts/layer{layer}/", table, last) for layer, table in tables.items()]


def _expert_chart(prefix: str, table: Mapping[tuple[float, str], float], row: Mapping[str, float]) -> Html:
    sigmas = sorted({sigma for sigma, _ in table}, reverse=True)
    experts = list(dict.fromkeys(expert for _, expert in table))
    most = max(table.values())

    def draw(ax: Axes) -> None:
        for (sigma, expert), share in table.items():
            x, y = sigmas.index(sigma), experts.index(expert)
            ax.add_patch(Rectangle((x - 0.5, y - 0.5), 1, 1, color=SERIES[0], alpha=0.85 * share / most))
            ax.text(x, y, f"{100 * share:.0f}", ha="center", va="center", fontsize=7)
        ax.grid(visible=False)
        ax.set(xlim=(-0.5, len(sigmas) - 0.5), ylim=(-0.5, len(experts) - 0.5), xlabel="noise level σ")
        ax.set_xticks(range(len(sigmas)), [f"{sigma:.2g}" for sigma in sigmas], fontsize=8)
        ax.set_yticks(range(len(experts)), experts)

    used, information = row.get(f"{prefix}used"), row.get(f"{prefix}mutual_information")
    note = f"{amount(used)} experts used; level and expert share {amount(information)} nats of information."
    return chart(draw, f"Layer {int(prefix[13:-1]) + 1}: probability of each expert, %", note)


def _lines(
    lines: Mapping[str, tuple[np.ndarray, np.ndarray]],
    title: str,
    label: str,
    note: str = "",
    log: bool = True,
) -> Html | None:
    known = {name: points for name, points in lines.items() if len(points[0])}
    if not known:
        return None
    values = np.concatenate([points[1] for points in known.values()])

    def draw(ax: Axes) -> None:
        for name, (steps, y) in known.items():
            ax.plot(steps, y, label=name, marker="o" if len(steps) < 30 else None, markersize=3)
        ax.set(xlabel="step", ylabel=label)
        if log:
            readable_log_axis(ax, values)
        if len(lines) > 1:
            ax.legend()

    return chart(draw, title, note)


def readable_log_axis(ax: Axes, values: np.ndarray) -> None:
    """A logarithmic scale with plain numbers, where the `values` shown are positive and span it."""
    if values.min() > 0 and values.max() > LOG_SCALE_FROM * values.min():
        ax.set_yscale("log")
        ax.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        ax.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
        ax.yaxis.set_minor_formatter(NullFormatter())
