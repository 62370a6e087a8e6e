"""Which scores say the same: Spearman's rank correlations as a small table."""

import numpy as np
from scipy.stats import rankdata

from imitate.curation.measurement import Measurement
from imitate.curation.page_csv import score_column, score_names
from imitate.curation.page_scores import score_label
from imitate.page import Html, section, tag

FEWEST = 4
SHADES = 3


def rank_correlations(columns: np.ndarray) -> np.ndarray:
    """Spearman's coefficient of every pair of `columns` (E, M), (M, M) float64.

    Each pair over the rows where both are known; NaN where those are fewer than four or one never changes.
    """
    count = columns.shape[1]
    found = np.full((count, count), np.nan)
    for i in range(count):
        for j in range(i + 1):
            both = np.isfinite(columns[:, i]) & np.isfinite(columns[:, j])
            found[i, j] = found[j, i] = _coefficient(columns[both, i], columns[both, j])
    return found


def _coefficient(a: np.ndarray, b: np.ndarray) -> float:
    if len(a) < FEWEST or np.ptp(a) == 0 or np.ptp(b) == 0:
        return float("nan")
    return float(np.corrcoef(rankdata(a), rankdata(b))[0, 1])


def correlation_section(measured: Measurement) -> Html | None:
    """The table; None where fewer than two scores vary."""
    names = [name for name in score_names(measured) if _varies(score_column(measured, name))]
    if len(names) < 2:
        return None
    quality = np.array([episode.quality for episode in measured.episodes])
    shown = [*(["quality"] if _varies(quality) else []), *names]
    columns = np.stack(
        [quality if name == "quality" else score_column(measured, name) for name in shown], axis=1
    )
    found = rank_correlations(columns)
    labels = [score_label(name).label for name in shown]
    head = tag("tr", tag("td"), *(tag("th", tag("span", label), scope="col") for label in labels))
    rows = [
        tag("tr", tag("th", label, scope="row"), *(_cell(value, labels[i], labels[j]) for j, value in row))
        for i, label in enumerate(labels)
        for row in [list(enumerate(found[i, : i + 1].tolist()))]
    ]
    body = tag("table", tag("tbody", head, *rows), class_="correlations")
    intro = (
        "Spearman's rank correlation over episodes: 1 where two scores put the episodes in the same order, "
        "−1 in the opposite one, 0 where they have nothing to do with each other."
    )
    return section("Which scores say the same", tag("div", body, class_="scroll"), intro=intro)


def _varies(values: np.ndarray) -> bool:
    known = values[np.isfinite(values)]
    return len(known) >= FEWEST and float(np.ptp(known)) > 0


def _cell(value: float, a: str, b: str) -> Html:
    if np.isnan(value):
        return tag("td", "–", title=f"{a} and {b}: cannot be told")
    shade = round(abs(value) * SHADES)
    look = f"{'above' if value > 0 else 'below'}{shade}" if shade else None
    return tag(
        "td", f"{value:.1f}".replace("-0.0", "0.0").replace("-", "−"), class_=look, title=f"{a} and {b}"
    )
