"""Histograms: what is drawn, read back from the drawing."""

import re

import numpy as np
import pytest

from imitate.datasets.quality.ranges import dimension_ranges
from imitate.inspection.histograms import BASE, BINS, TOP, histogram, histogram_cards
from imitate.types import ArraySpec


def bars(svg: str) -> dict[float, float]:
    """{left end: height}, as they are drawn."""
    path = re.search(r'<path d="([^"]*)" class="bars"', svg)
    assert path
    return {float(x): float(h) for x, h in re.findall(r"M([\d.]+) \d+v-([\d.]+)h", path[1])}


def test_heights_are_shares_of_the_tallest() -> None:
    drawn = bars(histogram(np.array([0.0] * 10 + [1.0] * 5), None, None, "x"))
    assert list(drawn.values()) == [BASE - TOP, (BASE - TOP) / 2] and len(drawn) == 2


def test_every_filled_bin_is_seen() -> None:
    values = np.concatenate([np.zeros(100_000), np.linspace(0.001, 1, BINS * 3)])
    assert len(bars(histogram(values, None, None, "x"))) == BINS


@pytest.mark.parametrize(
    ("low", "high", "lines"), [(-1.0, 2.0, 2), (None, 2.0, 1), (None, None, 0), (-1000.0, 1000.0, 0)]
)
def test_a_declared_range_is_drawn_where_it_is_near(
    low: float | None, high: float | None, lines: int
) -> None:
    svg = histogram(np.linspace(0, 1, 50), low, high, "x")
    assert svg.count('class="bound"') == lines
    ends = re.findall(r">([^<>]+)</text>", svg)
    assert ends == ["−1" if low == -1 else "0", "2" if high == 2 else "1"]


def test_constant_values_and_none_at_all() -> None:
    assert len(bars(histogram(np.full(9, 5.0), None, None, "x"))) == 1
    assert "no finite value" in histogram(np.array([np.nan, np.inf]), None, None, "x")


def test_names_are_text_and_missing_values_are_counted() -> None:
    values = np.array([[0.0], [np.nan], [2.0]])
    spec = ArraySpec((1,), names=("<script>",), units=("m",))
    cards = histogram_cards(dimension_ranges(values, spec, "x"), values)
    assert "<script>" not in cards and "&lt;script&gt; [m]" in cards
    assert "1 values are not finite" in cards and "0 … 2, mean 1" in cards


def test_integers_and_switches_are_drawn() -> None:
    values = np.array([[0], [1], [1]], np.uint8)
    cards = histogram_cards(dimension_ranges(values, ArraySpec((1,), "uint8"), "grip"), values)
    assert "two values" in cards and "grip[0]" in cards
