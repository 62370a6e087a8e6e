"""Figures as inline SVG in the page's own colours: matplotlib for axes, by hand for tiny marks."""

import io
import re
from collections.abc import Callable, Sequence
from typing import Any

import matplotlib
import numpy as np
from cycler import cycler
from matplotlib.axes import Axes
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure

from imitate.page.markup import Html, escape, paragraph, percent, tag

# Stand-ins that no drawing uses for anything else; they become the page's CSS variables, so that a figure
# follows light, dark and print.
INK, SOFT, LINE = "#010203", "#010204", "#010205"
SERIES = ("#010301", "#010302", "#010303", "#010304", "#010305", "#010306")
GOOD, BAD = "#010401", "#010402"
VARIABLES = {INK: "ink", SOFT: "soft", LINE: "line", GOOD: "good", BAD: "bad"} | {
    color: f"s{i + 1}" for i, color in enumerate(SERIES)
}

THEME: Any = {
    "svg.fonttype": "none",
    "svg.hashsalt": "imitate",
    "text.parse_math": False,
    "font.size": 10,
    "text.color": INK,
    "axes.labelcolor": SOFT,
    "axes.edgecolor": LINE,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": LINE,
    "grid.linewidth": 0.6,
    "xtick.color": LINE,
    "ytick.color": LINE,
    "xtick.labelcolor": SOFT,
    "ytick.labelcolor": SOFT,
    "axes.prop_cycle": cycler(color=list(SERIES)),
    "lines.linewidth": 1.6,
    "legend.frameon": False,
    "legend.fontsize": 9,
    "path.simplify_threshold": 0.3,
}


def chart(
    draw: Callable[[Axes], None], title: str, note: object = "", size: tuple[float, float] = (4.6, 2.9)
) -> Html:
    """What `draw` puts on a fresh pair of axes, with a title above and a note below; `size` in inches."""
    with matplotlib.rc_context(THEME):
        figure = Figure(figsize=size, layout="constrained")
        FigureCanvasSVG(figure)
        draw(figure.add_subplot())
        buffer = io.StringIO()
        figure.savefig(buffer, format="svg", transparent=True, metadata={"Date": None})
    below = [paragraph(note, class_="note")] if note else []
    return tag("figure", tag("figcaption", title), _inline(buffer.getvalue(), title), *below, class_="chart")


def _inline(document: str, title: str) -> Html:
    """A matplotlib SVG document as an element of the page: no header, no identifiers that could clash."""
    svg = document[document.index("<svg") :]
    svg = re.sub(r"<metadata>.*?</metadata>\s*", "", svg, flags=re.DOTALL)
    svg = re.sub(r'<g id="[^"]*"', "<g", svg)
    svg = re.sub(r"font: [^;\"]*?([\d.]+px)[^;\"]*", r"font-size: \1", svg)
    svg = re.sub(r' (d|x|y)="([^"]*)"', lambda m: f' {m[1]}="{_shorter(m[2])}"', svg)
    for color, name in VARIABLES.items():
        svg = svg.replace(color, f"var(--{name})")
    for fixed in ("width", "height"):
        svg = re.sub(rf'(<svg[^>]*?) {fixed}="[^"]*"', r"\1", svg, count=1)
    return Html(svg.replace("<svg", f'<svg role="img" aria-label="{escape(title)}"', 1))


def _shorter(numbers: str) -> str:
    # A hundredth of a point is far below what a screen shows and halves the size of a curve.
    return re.sub(r"(\d+\.\d\d)\d+", r"\1", " ".join(numbers.split()))


def sparkline(values: np.ndarray, bins: int = 30) -> Html:
    """A tiny histogram of `values` (N,), from their smallest to their largest."""
    finite = values[np.isfinite(values)]
    if finite.size == 0 or finite.min() == finite.max():
        return Html("")
    counts, _ = np.histogram(finite, bins=bins)
    heights = 20 * counts / counts.max()
    bars = "".join(
        f"M{4 * i} 21v-{max(height, 0.6):.1f}h3.4V21z" for i, height in enumerate(heights) if counts[i]
    )
    path = tag("path", d=bars, fill="currentColor")
    return tag(
        "svg",
        path,
        class_="spark",
        viewBox=f"0 0 {4 * bins} 21",
        preserveAspectRatio="none",
        aria_hidden="true",
    )


def interval_bar(value: float, low: float, high: float) -> Html:
    """A fraction between 0 and 1 with its interval, drawn on a line from 0 % to 100 %."""
    x0, x1, xv = (20 + 360 * fraction for fraction in (low, high, value))
    ticks = [
        tag(
            "text",
            f"{p} %",
            x=20 + 3.6 * p,
            y=46,
            font_size=12,
            text_anchor="middle",
            style="fill:var(--soft)",
        )
        for p in (0, 25, 50, 75, 100)
    ]
    return tag(
        "svg",
        tag("path", d="M20 20H380", stroke="var(--line)", stroke_width=4, stroke_linecap="round"),
        tag(
            "path",
            d=f"M{x0:.1f} 20H{max(x1, x0 + 1):.1f}",
            stroke="var(--good)",
            stroke_width=10,
            opacity=0.45,
        ),
        tag("circle", cx=f"{xv:.1f}", cy=20, r=7, fill="var(--good)"),
        *ticks,
        class_="interval",
        viewBox="0 0 400 54",
        role="img",
        aria_label=f"{percent(value)}, interval {percent(low)} to {percent(high)}",
    )


def outcome_strip(outcomes: Sequence[tuple[bool | None, str]]) -> Html:
    """One small box per episode: filled for success, a framed cross for failure, else a question mark.

    Each pair is the outcome and the words that appear when the pointer rests on it.
    """
    look = {True: (None, "·"), False: ("no", "✕"), None: ("unknown", "?")}
    words = {True: "success", False: "failure", None: "not judged"}
    items = [
        tag("li", look[outcome][1], class_=look[outcome][0], title=f"{text}: {words[outcome]}")
        for outcome, text in outcomes
    ]
    return tag("ul", *items, class_="strip")
