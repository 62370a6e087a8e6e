"""Histograms of single dimensions, drawn small: bars, the ends of the axis, and the declared range."""

from collections.abc import Sequence

import numpy as np

from imitate.datasets.quality.ranges import DimensionRange
from imitate.inspection.facts import remarks_on
from imitate.page import Html, amount, grid, joined, tag

BINS = 40
WIDTH, TOP, BASE, LEFT = 240, 8, 70, 6
HEIGHT = 88
FAR = 2
"""A declared bound further away than so many widths of the data would squeeze it: it is told, not drawn."""

MAX_DRAWN = 64


def histogram_cards(ranges: Sequence[DimensionRange], values: np.ndarray) -> Html:
    """A card per dimension of `values` (N, …), of the first MAX_DRAWN."""
    flat = values.reshape(len(values), -1)
    cards = [_card(one, flat[:, i]) for i, one in enumerate(ranges[:MAX_DRAWN])]
    return grid(cards, columns=4)


def histogram(values: np.ndarray, low: float | None, high: float | None, label: str) -> Html:
    """The finite ones of `values` (N,) as bars; low and high, dashed, are the declared range."""
    known = values[np.isfinite(values)].astype(np.float64)
    if not len(known):
        return tag("p", "no finite value", class_="note")
    first, last = _span(known, low, high)
    counts, edges = np.histogram(known, BINS, (first, last))

    def across(value: float) -> float:
        return LEFT + (value - first) / (last - first) * (WIDTH - 2 * LEFT)

    tops = (BASE - TOP) * counts / counts.max()
    broad = (WIDTH - 2 * LEFT) / BINS - 0.6
    # A bin that holds anything is seen, however little.
    bars = "".join(
        f"M{across(float(edge)):.1f} {BASE}v-{max(float(top), 1.0):.1f}h{broad:.1f}V{BASE}z"
        for edge, top, count in zip(edges[:-1], tops, counts, strict=True)
        if count
    )
    bounds = [across(b) for b in (low, high) if b is not None and first <= b <= last]
    parts = [
        tag("path", d=bars, class_="bars"),
        tag("path", d=f"M{LEFT} {BASE}H{WIDTH - LEFT}", class_="axis"),
        *(tag("path", d=f"M{x:.1f} {TOP - 6}V{BASE + 3}", class_="bound") for x in bounds),
        tag("text", amount(first), x=LEFT, y=HEIGHT - 4),
        tag("text", amount(last), x=WIDTH - LEFT, y=HEIGHT - 4, text_anchor="end"),
    ]
    return tag(
        "svg", *parts, class_="histogram", viewBox=f"0 0 {WIDTH} {HEIGHT}", role="img", aria_label=label
    )


def _span(known: np.ndarray, low: float | None, high: float | None) -> tuple[float, float]:
    """The ends of the axis: the data, and the declared range where it is not far away."""
    first, last = float(known.min()), float(known.max())
    width = last - first
    near = [b for b in (low, high) if b is not None and first - FAR * width <= b <= last + FAR * width]
    first, last = min([first, *near]), max([last, *near])
    if last - first <= 1e-9 * max(abs(first), abs(last)):
        room = 0.5 * max(abs(first), 1.0)
        return first - room, last + room
    return first, last


def _card(one: DimensionRange, values: np.ndarray) -> Html:
    name = f"{one.name} [{one.unit}]" if one.unit else one.name
    words = f"{amount(one.min)} … {amount(one.max)}, mean {amount(one.mean)}, std {amount(one.std)}"
    drawn = histogram(values, one.low, one.high, f"Histogram of {name}: {words}")
    remarks = [tag("span", text, class_="bad" if text.startswith("✕") else None) for text in remarks_on(one)]
    missing = int((~np.isfinite(values)).sum())
    if missing:
        remarks.append(tag("span", f"✕ {amount(missing)} values are not finite", class_="bad"))
    said = joined([words, *remarks], " · ") if remarks else words
    return tag("figure", tag("figcaption", name), drawn, tag("p", said, class_="note"), class_="dimension")
