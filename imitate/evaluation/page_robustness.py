"""Sweeps of several runs on one page: where success halves, and the curves over each other."""

from collections.abc import Mapping, Sequence

from matplotlib.axes import Axes

from imitate.evaluation.runs import Entry, labels
from imitate.evaluation.stress.kinds import KINDS
from imitate.evaluation.stress.page import draw_rates, interval_text, level_text, show_shares
from imitate.evaluation.stress.result import FILE_NAME, StressResult, load
from imitate.page import Html, chart, grid, section, table
from imitate.page.charts import SERIES

MARKS = "os^Dvx"
"""Shapes of the points beside SERIES' colours, for those who cannot tell these apart."""

Sweeps = Mapping[str, StressResult]


def sweeps(entries: Sequence[Entry]) -> dict[str, StressResult]:
    """Sweeps in the run folders of `entries`, by a short name; raises DataError for a damaged one."""
    folders = dict.fromkeys(entry.training.folder for entry in entries if entry.training)
    files = [file for folder in folders for file in sorted(folder.glob(f"*/{FILE_NAME}"))]
    names = labels([file.parent for file in files]) if files else []
    return dict(zip(names, map(load, files), strict=True))


def robustness(found: Sweeps) -> Html | None:
    """The section of the page; None where no run was swept."""
    if not found:
        return None
    kinds = [kind for kind in KINDS if any(kind in sweep.kinds for sweep in found.values())]
    rows = [[KINDS[kind].title, *(_level(sweep, kind) for sweep in found.values())] for kind in kinds]
    charts = []
    for start in range(0, len(found), len(SERIES)):
        part = dict(list(found.items())[start : start + len(SERIES)])
        charts += [_curves(part, kind) for kind in kinds if any(kind in one.kinds for one in part.values())]
    intro = (
        "Where success falls to half of the undisturbed, with its 95 % interval (a bootstrap over seeds), of "
        "every sweep in the folders of these runs; below, success against the size of what goes wrong."
    )
    return section("What they withstand", table(["", *found], rows), grid(charts), intro=intro)


def _level(sweep: StressResult, kind: str) -> str:
    if kind not in sweep.kinds:
        return "not played"
    halving = sweep.halving(kind)
    interval = f" ({interval_text(halving)})" if halving.level is not None else ""
    return level_text(halving, sweep.unit(kind)) + interval


def _curves(found: Sweeps, kind: str) -> Html:
    played = {label: sweep for label, sweep in found.items() if kind in sweep.kinds}
    unit = next(iter(played.values())).unit(kind)
    alike = {label: sweep for label, sweep in played.items() if sweep.unit(kind) == unit}

    def draw(ax: Axes) -> None:
        for (label, sweep), color, mark in zip(alike.items(), SERIES, MARKS, strict=False):
            draw_rates(ax, sweep.of_kind(kind), color, mark, label)
        show_shares(ax, unit)
        ax.legend(loc="best")

    others = ", ".join(label for label in played if label not in alike)
    note = f"Size: {KINDS[kind].meaning}." + (f" In another unit, so not here: {others}." if others else "")
    return chart(draw, KINDS[kind].title, note)
