"""How a score is spread over the episodes, those that are kept apart from those that are not."""

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from imitate.curation.page_scores import headed, score_label
from imitate.curation.page_subject import JudgedMeasurement
from imitate.curation.tables import relative_jerk
from imitate.page import Html, amount, chart, grid, section
from imitate.page.charts import SERIES

BINS = 24
# The few values beyond this quantile are gathered in the last bar, so that one outlier does not flatten all.
TAIL = 0.99


def distribution_section(measured: JudgedMeasurement) -> Html:
    """Length, smoothness and quality of the episodes."""
    kept = np.array([episode.keep for episode in measured.episodes])
    charts = [
        distribution(values, kept, title, label, edges(values), note)
        for title, label, values, note in distributed(measured)
    ]
    intro = "Episodes that the keep-list leaves out are drawn on top of the others, hatched."
    return section("Length, smoothness, quality", grid(charts), intro=intro)


def distributed(measured: JudgedMeasurement) -> list[tuple[str, str, np.ndarray, str]]:
    """Title, axis label, values (E,) and note of every distribution that can be told."""
    seconds = not np.isnan(measured.score("duration_s")).any()
    length = "duration_s" if seconds else "steps"
    quality = np.array([episode.quality for episode in measured.episodes])
    found = [
        (
            "Length of the demonstrations",
            f"length [{'s' if seconds else 'steps'}]",
            measured.score(length),
            "",
        ),
        (
            "Jerk of the actions",
            "mean squared jerk, × median episode",
            relative_jerk(measured),
            "lower is smoother",
        ),
    ]
    if any("sparc" in episode.scores for episode in measured.episodes):
        text = score_label("sparc").text
        found.append(
            ("Spectral smoothness", headed("sparc"), measured.score("sparc"), f"{text}; higher is smoother")
        )
    found.append(("Quality", "quality", quality, "1 is best"))
    return [one for one in found if np.isfinite(one[2]).any()]


def edges(*columns: np.ndarray) -> np.ndarray:
    """The edges of common bars for all `columns` (E,), (BINS + 1,)."""
    known = np.concatenate([values[np.isfinite(values)] for values in columns])
    low, high = float(known.min()), float(np.quantile(known, TAIL))
    return np.linspace(low, high if high > low else low + 1, BINS + 1)


def distribution(
    values: np.ndarray, kept: np.ndarray, title: str, label: str, bounds: np.ndarray, note: str = ""
) -> Html:
    """A histogram of `values` (E,), what is not `kept` (E,) hatched; values beyond lie in the end bars."""
    known = np.isfinite(values)
    shown = np.clip(values, bounds[0], bounds[-1])
    counts = [np.histogram(shown[known & which], bounds)[0] for which in (kept, ~kept)]
    width = np.diff(bounds)

    def draw(ax: Axes) -> None:
        ax.bar(bounds[:-1], counts[0], width, align="edge", color=SERIES[0])
        left_out = ax.bar(bounds[:-1], counts[1], width, counts[0], align="edge", color=SERIES[1])
        for bar in left_out:
            bar.set(hatch="////", edgecolor=SERIES[0], linewidth=0)
        ax.axvline(float(np.median(values[known])), color=SERIES[2], linestyle="--")
        ax.set(xlabel=label, ylabel="episodes")
        ax.yaxis.set_major_locator(MaxNLocator(integer=True))

    low, middle, high = (amount(float(q)) for q in np.quantile(values[known], (0, 0.5, 1)))
    words = f"Lowest {low}, median {middle} (dashed), highest {high}"
    return chart(draw, title, f"{words}; {note}." if note else f"{words}.")
