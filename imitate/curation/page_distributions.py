"""How a score is spread over the episodes, those that are kept apart from those that are not."""

from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from imitate.curation.measurement import Measurement
from imitate.curation.page_csv import score_column
from imitate.curation.page_scores import headed, score_label
from imitate.curation.tables import relative_jerk
from imitate.page import Html, amount, chart, grid, section
from imitate.page.charts import SERIES

BINS = 24
# The few values beyond this quantile are gathered in the last bar, so that one outlier does not flatten all.
TAIL = 0.99


@dataclass(frozen=True)
class Spread:
    """One score of every episode, `values` (E,), with what to write above, below and along it."""

    title: str
    label: str
    values: np.ndarray
    note: str = ""


def distribution_section(measured: Measurement) -> Html:
    """Length, smoothness and quality of the episodes."""
    kept = np.array([episode.keep for episode in measured.episodes])
    charts = [distribution(one, kept, edges(one.values)) for one in distributed(measured)]
    intro = "Episodes that the keep-list leaves out are drawn on top of the others, hatched."
    return section("Length, smoothness, quality", grid(charts), intro=intro)


def distributed(measured: Measurement) -> list[Spread]:
    """What is drawn: of length, jerk, spectral smoothness and quality those that can be told."""
    seconds = not np.isnan(measured.score("duration_s")).any()
    length = measured.score("duration_s" if seconds else "steps")
    quality = np.array([episode.quality for episode in measured.episodes])
    jerk = "mean squared jerk, × median episode"
    found = [
        Spread("Length of the demonstrations", f"length [{'s' if seconds else 'steps'}]", length),
        Spread("Jerk of the actions", jerk, relative_jerk(measured), "lower is smoother"),
    ]
    note = f"{score_label('sparc').text}; higher is smoother"
    found.append(Spread("Spectral smoothness", headed("sparc"), score_column(measured, "sparc"), note))
    found.append(Spread("Quality", "quality", quality, "1 is best"))
    return [one for one in found if np.isfinite(one.values).any()]


def edges(*columns: np.ndarray) -> np.ndarray:
    """The edges of common bars for all `columns` (E,), (BINS + 1,)."""
    known = np.concatenate([values[np.isfinite(values)] for values in columns])
    low, high = float(known.min()), float(np.quantile(known, TAIL))
    return np.linspace(low, high if high > low else low + 1, BINS + 1)


def distribution(one: Spread, kept: np.ndarray, bounds: np.ndarray) -> Html:
    """A histogram with what is not `kept` (E,) hatched; values beyond the `bounds` lie in the end bars."""
    values = one.values
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
        ax.set(xlabel=one.label, ylabel="episodes")
        ax.yaxis.set_major_locator(MaxNLocator(integer=True))

    low, middle, high = (amount(float(q)) for q in np.quantile(values[known], (0, 0.5, 1)))
    words = f"Lowest {low}, median {middle} (dashed), highest {high}"
    return chart(draw, one.title, f"{words}; {one.note}." if one.note else f"{words}.")
