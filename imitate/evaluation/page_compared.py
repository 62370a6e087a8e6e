"""Side by side on the page of several runs: figures, paired differences, training seeds, and settings."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import FuncFormatter, PercentFormatter

from imitate.errors import DataError
from imitate.evaluation import aggregates
from imitate.evaluation.compare import Comparison, compare
from imitate.evaluation.page_settings import ABSENT, differing, method, short
from imitate.evaluation.runs import Entry
from imitate.evaluation.statistics import Interval
from imitate.page import Html, amount, chart, joined, paragraph, percent, section, table, tag
from imitate.page.charts import SERIES, SOFT

LONGEST_LABEL = 28


def side_by_side(entries: Sequence[Entry]) -> Html:
    """The figures of every rollout, one row each; columns about which nothing is known are left out."""
    columns: dict[str, Callable[[Entry], object]] = {
        "rollout": lambda e: tag("strong", e.label),
        "method": lambda e: method(e.result.provenance.get("policy")),
        "success": lambda e: percent(e.result.success_rate, 1),
        "95 %": lambda e: _range(e.result.interval),
        "episodes": lambda e: amount(len(e.result.episodes)),
        "score": lambda e: f"{e.result.mean_score:.3f}",
        "of score": lambda e: _range(e.result.score_interval, "{:.3f}"),
        "s to success": lambda e: _median(e.result.seconds_to_success),
        "steps to success": _steps_to_success,
        "smoothness": lambda e: _mean(e.result.smoothness),
        "out of range": lambda e: _steps(e.result.steps_with("violations")),
        "collisions": lambda e: _steps(e.result.steps_with("collisions")),
        "min trained": lambda e: _known(e.training.minutes if e.training else None),
        "parameters": lambda e: _known(e.training.parameters if e.training else None),
        "data": _data,
    }
    cells = {name: [cell(entry) for entry in entries] for name, cell in columns.items()}
    if all(entry.result.rate_hz for entry in entries):
        cells.pop("steps to success")
    if all(entry.result.score_name == "success" for entry in entries):
        del cells["score"], cells["of score"]
    shown = {name: found for name, found in cells.items() if any(one != ABSENT for one in found)}
    words = [i for i, name in enumerate(shown) if name not in ("rollout", "method", "data")]
    rows = [[shown[name][i] for name in shown] for i in range(len(entries))]
    notes = dict.fromkeys(
        f"{entry.label}: {entry.training.note}" for entry in entries if entry.training and entry.training.note
    )
    parts = [table(list(shown), rows, numeric=words), *(paragraph(note, class_="note") for note in notes)]
    parts.append(paragraph(_legend(shown), class_="note"))
    return section("Side by side", *parts, _success_chart(entries))


def _legend(shown: Mapping[str, object]) -> str:
    known = {
        "95 %": "Intervals of success are Wilson's, those of scores bootstrapped.",
        "s to success": "Time to success: the median of those that succeeded.",
        "smoothness": "Smoothness: spectral arc length of the actions, nearer to 0 where smoother.",
        "out of range": "Out of range, collisions: control steps, in brackets of how many episodes.",
        "parameters": "Parameters: numbers in the checkpoint, normalisers left out.",
    }
    return " ".join(text for name, text in known.items() if name in shown)


def _success_chart(entries: Sequence[Entry]) -> Html:
    values = [(entry.label, entry.result.success_rate, entry.result.interval) for entry in entries]
    return _forest(values, "Success, with 95 % intervals", None, percents=True)


def _forest(
    values: Sequence[tuple[str, float, Interval]], title: str, zero: float | None, percents: bool = False
) -> Html:
    """A dot with its interval for each of (label, value, interval), the first on top."""

    def draw(ax: Axes) -> None:
        for row, (_, value, (low, high)) in enumerate(values):
            reach = [[max(0.0, value - low)], [max(0.0, high - value)]]
            ax.errorbar([value], [-row], xerr=reach, fmt="o", color=SERIES[0], capsize=3, markersize=5)
        if zero is not None:
            ax.axvline(zero, color=SOFT, linewidth=1, linestyle="--")
        ax.set_yticks([-row for row in range(len(values))], [_cut(label) for label, *_ in values])
        ax.set_ylim(-len(values) + 0.4, 0.6)
        if percents:
            ax.set_xlim(-0.03, 1.03)
            ax.xaxis.set_major_formatter(PercentFormatter(1.0))
        else:
            ax.xaxis.set_major_formatter(FuncFormatter(lambda x, _: f"{100 * x:+.0f}".replace("-", "−")))
            ax.set_xlabel("percentage points")
        ax.grid(visible=False, axis="y")

    return chart(draw, title, size=(4.6, 0.9 + 0.32 * len(values)))


def _cut(label: str) -> str:
    return label if len(label) <= LONGEST_LABEL else "…" + label[-LONGEST_LABEL + 1 :]


def comparisons(entries: Sequence[Entry], same_env: bool) -> dict[str, Comparison | str]:
    """Each entry but the first against the first, by label; the reason where they cannot be paired."""
    found: dict[str, Comparison | str] = {}
    for entry in entries[1:]:
        try:
            found[entry.label] = compare(entries[0].result, entry.result, same_env=same_env)
        except DataError as error:
            found[entry.label] = str(error)
    return found


def paired(entries: Sequence[Entry], found: dict[str, Comparison | str]) -> Html | None:
    """The differences to the first entry, episode by episode."""
    known = {label: one for label, one in found.items() if isinstance(one, Comparison)}
    if not found:
        return None
    head = [
        "rollout",
        "seeds",
        "success",
        "95 % interval",
        "p",
        "only this",
        "only first",
        "score",
        "of score",
    ]
    rows = [[tag("strong", label), *_pair(one)] for label, one in known.items()]
    first = entries[0].label
    parts: list[object] = [table(head, rows, numeric=range(1, 9))] if rows else []
    for label, one in found.items():
        if isinstance(one, str):
            parts.append(paragraph(f"{label} is not compared: {one}", class_="note"))
        elif one.left_out_a or one.left_out_b:
            left = f"{one.left_out_a} episodes of {first} and {one.left_out_b} of {label}"
            parts.append(paragraph(f"{left} have no partner and are left out.", class_="note"))
    if known:
        values = [(label, one.rates.difference, one.rates.interval()) for label, one in known.items()]
        parts.append(_forest(values, f"Success minus that of {_cut(first)}", 0.0))
    intro = (
        f"Minus {first}, on the seeds that both played: points of success with Newcombe's paired interval, "
        "p of McNemar's exact test."
    )
    return section(f"Against {first}", *parts, intro=intro)


def _pair(one: Comparison) -> list[object]:
    rates, (low, high) = one.rates, one.rates.interval()
    return [
        str(rates.pairs),
        _points(rates.difference),
        f"{_points(low)} to {_points(high)}",
        f"{rates.p_value():.2g}",
        str(rates.only_b),
        str(rates.only_a),
        f"{one.score_difference:+.3f}".replace("-", "−"),
        _range(one.score_interval, "{:+.3f}"),
    ]


def _points(difference: float) -> str:
    return f"{100 * difference:+.1f}".replace("-", "−")


def over_seeds(groups: Sequence[Sequence[Entry]]) -> Html | None:
    """Success of configurations that were trained with several seeds: the mean and the interquartile mean."""
    several = [group for group in groups if len(group) > 1]
    if not several:
        return None
    rows = []
    for group in several:
        values = [entry.result.success_rate for entry in group]
        means = [
            f"{percent(aggregates.value_of(figure, [values]), 1)} {_interval(figure, values)}"
            for figure in (aggregates.mean, aggregates.interquartile_mean)
        ]
        lowest, highest = percent(min(values), 1), percent(max(values), 1)
        rows.append([tag("strong", group_label(group)), str(len(group)), *means, f"{lowest} to {highest}"])
    head = ["configuration", "training seeds", "mean success", "interquartile mean", "worst to best"]
    fewest = min(map(len, several))
    note = f"Intervals: bootstrap over training seeds; over {fewest} it is too narrow." if fewest < 5 else ""
    parts = [table(head, rows, numeric=(1,)), *([paragraph(note, class_="note")] if note else [])]
    intro = "The same settings but for the seed of training: how much of a difference is the luck of one run."
    return section("Over training seeds", *parts, intro=intro)


def _interval(figure: Any, values: list[float]) -> str:
    found = aggregates.interval_of(figure, [values])
    return f"[{_range(found)}]" if found else ""


def group_label(group: Sequence[Entry]) -> str:
    """The labels of a group of entries in a few words."""
    names = [entry.label for entry in group]
    if len(names) == 1:
        return names[0]
    if len(names) <= 3:
        return ", ".join(names)
    return f"{names[0]} … {names[-1]} ({len(names)} seeds)"


def settings(entries: Sequence[Entry]) -> Html | None:
    """The settings in which the entries differ; what they share is left out."""
    if len(entries) < 2:
        return None
    found = differing([entry.settings() for entry in entries])
    made = differing([entry.made_with() for entry in entries])
    head = ["setting", *(entry.label for entry in entries)]

    def rows(keys: dict[str, list[str]]) -> Html:
        return table(head, [[tag("code", key), *values] for key, values in keys.items()])

    parts: list[object] = [rows(found) if found else paragraph("They have the same settings.")]
    if made:
        summary = tag("summary", f"Made with other versions, commits or devices ({len(made)} differ)")
        parts.append(tag("details", summary, rows(made)))
    intro = "Settings of training, policy, environment and rollout that are not the same everywhere."
    return section("What differs", *parts, intro=intro)


def _data(entry: Entry) -> object:
    digest = entry.result.provenance.get("data_hash")
    path = (entry.training.config.get("data") or {}).get("path") if entry.training else None
    name = [f"{Path(str(path)).name} "] if path else []
    return joined([*name, short(digest)]) if digest else ABSENT


def _steps_to_success(entry: Entry) -> str:
    return _median([e.steps_to_success for e in entry.result.episodes if e.steps_to_success is not None])


def _median(values: Sequence[float]) -> str:
    return amount(float(np.median(values))) if values else ABSENT


def _mean(values: Sequence[float]) -> str:
    return f"{np.mean(values):.2f}".replace("-", "−") if values else ABSENT


def _steps(found: tuple[int, int] | None) -> str:
    return ABSENT if found is None else f"{found[0]:,} ({found[1]:,})"


def _known(value: float | None) -> str:
    return amount(value) if value is not None else ABSENT


def _range(interval: Interval, form: str = "") -> str:
    low, high = (form.format(end).replace("-", "−") if form else percent(end) for end in interval)
    return f"{low} to {high}"
