"""The tables of the data set report."""

from collections import defaultdict

import numpy as np

from imitate.curation.measurement import MeasuredEpisode, Measurement
from imitate.datasets.episode_store import ACTION
from imitate.datasets.quality.ranges import DimensionRange
from imitate.page import Html, amount, percent, sparkline, table, tag

MAX_DIMENSIONS = 64


def dimension_table(measured: Measurement, key: str) -> Html:
    """Every dimension of one array: range, spread, histogram and what is odd about it."""
    array = measured.arrays[key].reshape(measured.steps, -1)
    ranges = measured.ranges[key][:MAX_DIMENSIONS]
    head = ["dimension", "unit", "smallest", "mean", "largest", "std", "histogram", "remarks"]
    if key == ACTION:
        head.insert(6, "rms jerk [unit/s³]" if measured.spec.rate_hz else "rms jerk [unit/step³]")
    rows = []
    for i, one in enumerate(ranges):
        numbers = [amount(value) for value in (one.min, one.mean, one.max, one.std)]
        if key == ACTION:
            numbers.append(amount(float(np.sqrt(measured.action_jerk[i]))))
        rows.append([one.name, one.unit or "–", *numbers, sparkline(array[:, i]), _remarks(one)])
    return table(head, rows, numeric=range(2, len(head) - 2))


def _remarks(one: DimensionRange) -> Html:
    said = []
    if one.leaves_range:
        said.append(tag("span", f"✕ outside {amount(one.low)} … {amount(one.high)}", class_="bad"))
    if one.is_constant:
        said.append(tag("span", "● constant"))
    elif one.is_two_valued:
        said.append(tag("span", "two values"))
    if one.is_saturated:
        end, share = ("largest", one.at_max) if one.at_max >= one.at_min else ("smallest", one.at_min)
        said.append(tag("span", f"● at {end} value in {percent(share)} of steps"))
    return tag("span", *said)


def group_table(measured: Measurement) -> Html | None:
    """Sources, operators and styles beside each other; None where all episodes are of one kind."""
    groups: dict[tuple[str, str, str], list[int]] = defaultdict(list)
    for i, episode in enumerate(measured.episodes):
        groups[episode.record.source, episode.record.operator, episode.style].append(i)
    if len(groups) == 1:
        return None
    head = [
        "source",
        "operator",
        "style",
        "episodes",
        "succeeded",
        "median steps",
        "jerk, × median",
        "disagreement",
    ]
    rows = [
        [*(name or "–" for name in names), *_group(measured, rows)] for names, rows in sorted(groups.items())
    ]
    return table(head, rows, numeric=range(3, 8))


def _group(measured: Measurement, rows: list[int]) -> list[str]:
    judged = [e.record.success for e in (measured.episodes[i] for i in rows) if e.record.success is not None]
    jerk = relative_jerk(measured)[rows]
    return [
        str(len(rows)),
        f"{sum(judged)} of {len(judged)}" if judged else "–",
        f"{np.median(measured.score('steps')[rows]):.0f}",
        _median(jerk),
        _median(measured.score("disagreement")[rows]),
    ]


def _median(values: np.ndarray) -> str:
    known = values[np.isfinite(values)]
    return f"{np.median(known):.2f}" if len(known) else "–"


def episode_table(measured: Measurement) -> Html:
    """Every episode with its scores, whether to keep it, and why not; a click on a head sorts."""
    head = ["episode", "keep", "success", "operator", "style", "steps"]
    head += ["idle start", "idle end", "jerk, × median", "disagreement", "reasons"]
    jerk = relative_jerk(measured)
    rows = [_episode(episode, jerk[i]) for i, episode in enumerate(measured.episodes)]
    shown = [c for c in range(len(head)) if c < 3 or c == len(head) - 1 or any(row[c] != "–" for row in rows)]
    numeric = [i for i, c in enumerate(shown) if 5 <= c <= 9]
    return tag(
        "div",
        table([head[c] for c in shown], [[row[c] for c in shown] for row in rows], numeric),
        class_="tall",
    )


def _episode(episode: MeasuredEpisode, jerk: float) -> list[object]:
    record, scores = episode.record, episode.scores
    return [
        record.id,
        tag("span", "✓ yes" if episode.keep else "✕ no", class_="good" if episode.keep else "bad"),
        {True: "yes", False: "no", None: "–"}[record.success],
        record.operator or "–",
        episode.style or "–",
        amount(record.steps),
        *(amount(scores[name]) for name in ("idle_start", "idle_end")),
        "–" if np.isnan(jerk) else f"{jerk:.2f}",
        "–" if scores["disagreement"] is None else f"{scores['disagreement']:.3f}",
        "; ".join(episode.reasons),
    ]


def relative_jerk(measured: Measurement) -> np.ndarray:
    """Each episode's mean squared jerk over the median episode's, (E,); NaN where it cannot be taken."""
    jerk = measured.score("jerk")
    known = jerk[np.isfinite(jerk)]
    middle = float(np.median(known)) if len(known) else np.nan
    return jerk / (middle if middle > 0 else np.nan)
