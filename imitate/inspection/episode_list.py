"""The episodes on the page: how long they are, how they ended, and what else is known of each."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from imitate.datasets.episode_store import EpisodeRecord
from imitate.datasets.timing import KEY as TIMING
from imitate.inspection.survey import Survey
from imitate.page import Html, amount, chart, outcome_strip, paragraph, section, table, tag
from imitate.page.charts import SERIES

BINS = 24
MAX_ROWS = 500
MAX_METADATA = 20_000
MAX_CELL = 160
NUMERIC = (1, 2)


def episode_section(survey: Survey) -> Html:
    """Lengths, outcomes, and a list of all that are known."""
    records = [survey.records[index] for index in sorted(survey.records)]
    common, own = _shared_and_own([record.metadata for record in records])
    rows = [_row(survey, record, about) for record, about in zip(records[:MAX_ROWS], own, strict=False)]
    head = ["episode", "steps", "seconds", "outcome", "operator", "metadata"]
    used = [i for i, _ in enumerate(head) if i < 2 or any(str(row[i]) for row in rows)]
    numeric = [place for place, i in enumerate(used) if i in NUMERIC]
    listed = table([head[i] for i in used], [[row[i] for i in used] for row in rows], numeric)
    more = len(records) - MAX_ROWS
    note = [paragraph(f"{amount(more)} more episodes are not listed.", class_="note")] if more > 0 else []
    judged = any(record.success is not None for record in records) and len(records) <= MAX_ROWS
    strip = [outcome_strip([(record.success, record.id) for record in records])] if judged else []
    shared = folded("Metadata that all episodes share", common)
    return section(
        "Episodes", _lengths(survey, records), *strip, tag("div", listed, class_="tall"), *note, shared
    )


def _shared_and_own(
    metadata: Sequence[Mapping[str, Any]],
) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """What is the same of all episodes, and what is left of each; time stamps have been told."""
    common = {
        key: value
        for key, value in metadata[0].items()
        if len(metadata) > 1 and all(key in one and one[key] == value for one in metadata)
    }
    return common, [{k: v for k, v in one.items() if k not in common and k != TIMING} for one in metadata]


def _row(survey: Survey, record: EpisodeRecord, about: Mapping[str, Any]) -> list[object]:
    rate = survey.rate_of(record)
    outcome = {
        True: tag("span", "✓ success", class_="good"),
        False: tag("span", "✕ failure", class_="bad"),
        None: "",
    }
    text = ", ".join(
        f"{key}: {json.dumps(value, ensure_ascii=False, default=str)}" for key, value in about.items()
    )
    text = text if len(text) <= MAX_CELL else text[:MAX_CELL] + "…"
    seconds = f"{record.steps / rate:.1f}" if rate else ""
    return [record.id, amount(record.steps), seconds, outcome[record.success], record.operator, text]


def _lengths(survey: Survey, records: Sequence[EpisodeRecord]) -> Html:
    rates = [survey.rate_of(record) for record in records]
    steps = np.array([record.steps for record in records], np.float64)
    in_seconds = all(rates)
    values = steps / np.array(rates, np.float64) if in_seconds else steps
    unit = "s" if in_seconds else "steps"
    low, middle, high = (amount(float(q)) for q in np.quantile(values, (0, 0.5, 1)))

    def draw(ax: Axes) -> None:
        ax.hist(values, BINS, color=SERIES[0])
        ax.axvline(float(np.median(values)), color=SERIES[2], linestyle="--")
        ax.set(xlabel=f"length [{unit}]", ylabel="episodes")
        ax.yaxis.set_major_locator(MaxNLocator(integer=True))

    note = f"Shortest {low}, median {middle} (dashed), longest {high} {unit}."
    return chart(draw, "Length of the episodes", note)


def folded(title: str, values: Mapping[str, Any]) -> Html:
    """JSON values that open when asked for; nothing where there are none."""
    if not values:
        return Html("")
    text = json.dumps(values, indent=1, ensure_ascii=False, default=str)
    short = text if len(text) <= MAX_METADATA else text[:MAX_METADATA] + "\n… (cut)"
    return tag("details", tag("summary", title), tag("pre", short))
