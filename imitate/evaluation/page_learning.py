"""Curves of several runs on one pair of axes; training seeds of one configuration as a mean with interval."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import PercentFormatter
from scipy import stats

from imitate.evaluation.curves import readable_log_axis, series
from imitate.evaluation.page_compared import group_label
from imitate.evaluation.page_settings import mapping
from imitate.evaluation.runs import SUCCESS, Entry, Training
from imitate.evaluation.statistics import wilson
from imitate.page import Html, chart, grid, section
from imitate.page.charts import SERIES

LOSSES = {"train/loss": "Training loss", "validation/loss": "Validation loss"}
LONGEST_LABEL = 30


@dataclass(frozen=True)
class Line:
    """A mean (N,) over `runs` runs of the `all_runs` there are, at steps (N,), and its interval (2, N).

    There is no interval of one run.
    """

    steps: np.ndarray
    mean: np.ndarray
    bounds: np.ndarray | None
    runs: int
    all_runs: int


def learning(groups: Sequence[Sequence[Entry]]) -> Html | None:
    """Losses, and success of the rollouts during training, of all runs whose logs are known."""
    trained = _trainings(groups)
    charts = []
    for start in range(0, len(trained), len(SERIES)):
        part = dict(list(trained.items())[start : start + len(SERIES)])
        charts += [_success(part), *(_loss(part, name, title) for name, title in LOSSES.items())]
    shown = [one for one in charts if one is not None]
    intro = (
        "Losses of different methods measure different things. Several training seeds of one configuration: "
        "their mean, and its 95 % interval (Student's t) over the seeds, where all of them were measured."
    )
    return section("How they learnt", grid(shown), intro=intro) if shown else None


def _trainings(groups: Sequence[Sequence[Entry]]) -> dict[str, list[Training]]:
    """The trainings behind each group, each shown once however often it was rolled out."""
    found, seen = dict[str, list[Training]](), set()
    for group in groups:
        runs = {entry.training.folder: entry.training for entry in group if entry.training}
        if runs and (folders := frozenset(runs)) not in seen:
            seen.add(folders)
            found[group_label(group)] = list(runs.values())
    return found


def mean_line(curves: Sequence[tuple[np.ndarray, np.ndarray]], all_runs: int) -> Line:
    """The mean of curves (steps, values), where all of them have begun and none has ended.

    Between its points a curve is straight. The interval is that of the mean over runs: Student's t.
    """
    if len(curves) == 1:
        return Line(*curves[0], None, 1, all_runs)
    first, last = max(steps[0] for steps, _ in curves), min(steps[-1] for steps, _ in curves)
    grid_steps = np.unique(np.concatenate([steps for steps, _ in curves]))
    grid_steps = grid_steps[(grid_steps >= first) & (grid_steps <= last)]
    values = np.array([np.interp(grid_steps, *curve) for curve in curves])
    mean, spread = values.mean(axis=0), values.std(axis=0, ddof=1)
    reach = stats.t.ppf(0.975, len(curves) - 1) * spread / np.sqrt(len(curves))
    return Line(grid_steps, mean, np.array([mean - reach, mean + reach]), len(curves), all_runs)


def _lines(trained: dict[str, list[Training]], name: str) -> dict[str, Line]:
    lines = {}
    for label, runs in trained.items():
        rows = [run.played or run.rows if name == SUCCESS else run.rows for run in runs]
        curves = [curve for one in rows if len((curve := series(one, name))[0])]
        if curves:
            lines[label] = mean_line(curves, len(runs))
    return {label: line for label, line in lines.items() if len(line.steps)}


def _loss(trained: dict[str, list[Training]], name: str, title: str) -> Html | None:
    lines = _lines(trained, name)
    if not lines:
        return None

    def draw(ax: Axes) -> None:
        for line, color in zip(lines.values(), SERIES, strict=False):
            marker = "o" if len(line.steps) < 30 else None
            ax.plot(line.steps, line.mean, color=color, marker=marker, markersize=3)
            if line.bounds is not None:
                lowest = line.mean.min() / 10 if line.mean.min() > 0 else -np.inf
                ax.fill_between(line.steps, *np.maximum(line.bounds, lowest), color=color, alpha=0.18, lw=0)
        ax.set(xlabel="step", ylabel="loss")
        means = np.concatenate([line.mean for line in lines.values()])
        readable_log_axis(ax, means)
        # The interval of two runs may be far wider than all there is to see.
        ax.set_ylim(top=min(ax.get_ylim()[1], means.max() + 0.5 * abs(means.max())))
        _legend(ax, lines)

    return chart(draw, title)


def _success(trained: dict[str, list[Training]]) -> Html | None:
    lines = _lines(trained, SUCCESS)
    if not lines:
        return None

    def draw(ax: Axes) -> None:
        for (label, line), color in zip(lines.items(), SERIES, strict=False):
            bounds = line.bounds
            episodes = _episodes(trained[label])
            if bounds is None and isinstance(episodes, int) and episodes > 0:
                bounds = np.array([wilson(round(rate * episodes), episodes) for rate in line.mean]).T
            ax.plot(line.steps, line.mean, color=color, marker="o", markersize=4)
            if bounds is not None:
                ax.fill_between(line.steps, *np.clip(bounds, 0, 1), color=color, alpha=0.18, lw=0)
        ax.set(xlabel="step", ylabel="success", ylim=(-0.03, 1.03))
        ax.yaxis.set_major_formatter(PercentFormatter(1.0))
        _legend(ax, lines)

    note = (
        "Of the kept checkpoints where they were rolled out, else on the seeds by which training chooses its "
        "best. Band of a single run: Wilson's interval."
    )
    return chart(draw, "Success over checkpoints", note)


def _episodes(runs: Sequence[Training]) -> object:
    """How many episodes a point of the curve stands for, where that is known."""
    if runs[0].played:
        return runs[0].played[0].get("episodes")
    return mapping(runs[0].config.get("train")).get("eval_episodes")


def _legend(ax: Axes, lines: dict[str, Line]) -> None:
    names = [f"{_cut(label)}{_how_many(line)}" for label, line in lines.items()]
    ax.legend(ax.get_lines(), names)


def _cut(label: str) -> str:
    return label if len(label) <= LONGEST_LABEL else "…" + label[-LONGEST_LABEL + 1 :]


def _how_many(line: Line) -> str:
    if line.all_runs == 1:
        return ""
    return (
        f" (mean of {line.runs})" if line.runs == line.all_runs else f" (only {line.runs} of {line.all_runs})"
    )
