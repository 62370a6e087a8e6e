"""Sources, operators and styles beside each other."""

from collections import defaultdict

import numpy as np
from matplotlib.axes import Axes

from imitate.curation.measurement import Measurement
from imitate.curation.page_csv import score_column
from imitate.curation.tables import relative_jerk
from imitate.page import Html, chart, section, table
from imitate.page.charts import INK, SERIES

Names = tuple[str, str, str]
MAX_DRAWN = 12


def groups(measured: Measurement) -> dict[Names, list[int]]:
    """The episodes of each source, operator and style that occur together, sorted by name."""
    found: dict[Names, list[int]] = defaultdict(list)
    for i, episode in enumerate(measured.episodes):
        found[episode.record.source, episode.record.operator, episode.style].append(i)
    return dict(sorted(found.items()))


def group_section(measured: Measurement) -> Html | None:
    """Table and chart; None where all episodes are of one kind."""
    found = groups(measured)
    if len(found) == 1:
        return None
    intro = "The same scores for each source, operator and style. Few episodes make a median uncertain."
    return section("Who demonstrated", _table(measured, found), _quality_chart(measured, found), intro=intro)


def _table(measured: Measurement, found: dict[Names, list[int]]) -> Html:
    head = [
        "source",
        "operator",
        "style",
        "episodes",
        "kept",
        "succeeded",
        "quality",
        "steps",
        "jerk, × median",
    ]
    measures = [name for name in ("disagreement", "divergence", "progress") if _any(measured, name)]
    rows = [
        [*(n or "–" for n in names), *_numbers(measured, rows, measures)] for names, rows in found.items()
    ]
    return table([*head, *measures], rows, numeric=range(3, len(head) + len(measures)))


def _any(measured: Measurement, name: str) -> bool:
    return any(episode.scores.get(name) is not None for episode in measured.episodes)


def _numbers(measured: Measurement, rows: list[int], measures: list[str]) -> list[str]:
    episodes = [measured.episodes[i] for i in rows]
    judged = [e.record.success for e in episodes if e.record.success is not None]
    return [
        str(len(rows)),
        str(sum(e.keep for e in episodes)),
        f"{sum(judged)} of {len(judged)}" if judged else "–",
        _median(np.array([e.quality for e in episodes])),
        f"{np.median(measured.score('steps')[rows]):.0f}",
        _median(relative_jerk(measured)[rows]),
        *(_median(score_column(measured, name)[rows]) for name in measures),
    ]


def _median(values: np.ndarray) -> str:
    known = values[np.isfinite(values)]
    return f"{np.median(known):.2f}" if len(known) else "–"


def _quality_chart(measured: Measurement, found: dict[Names, list[int]]) -> Html:
    quality = np.array([e.quality for e in measured.episodes])
    largest = sorted(found.items(), key=lambda group: -len(group[1]))[:MAX_DRAWN]
    varied = [k for k in range(3) if len({names[k] for names, _ in largest}) > 1]
    labels = [", ".join(names[k] or "–" for k in varied)[:28] for names, _ in largest]

    def draw(ax: Axes) -> None:
        generator = np.random.default_rng(0)
        for place, (_, rows) in enumerate(largest):
            spread = generator.uniform(-0.22, 0.22, len(rows))
            ax.plot(quality[rows], place + spread, ".", color=SERIES[0], alpha=0.5, markersize=5)
            ax.plot(np.median(quality[rows]), place, "|", color=INK, markersize=16, markeredgewidth=2)
        ax.set(xlabel="quality", xlim=(-0.03, 1.03), yticks=range(len(labels)), yticklabels=labels)
        ax.invert_yaxis()

    size = (6.4, 1.1 + 0.42 * len(labels))
    return chart(draw, "Quality of every episode", "One dot per episode, the bar is the median.", size)
