"""Escaping, numbers in words, and pages that refer to nothing outside."""

import html
from html.parser import HTMLParser

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from imitate.page import Html, amount, chart, joined, outcome_strip, percent, render, sparkline, table, tag

ATTACKS = [
    "<script>alert(1)</script>",
    '"><img src=x onerror=alert(1)>',
    "' onclick='x",
    "</style>",
    "&lt;",
    "$x_1$",
]


class Reader(HTMLParser):
    """Text and elements of a document, as a browser would see them."""

    def __init__(self, document: str) -> None:
        super().__init__()
        self.text, self.tags = "", []
        self.feed(document)

    def handle_starttag(self, name: str, attributes: list[tuple[str, str | None]]) -> None:
        self.tags.append((name, dict(attributes)))

    def handle_data(self, data: str) -> None:
        self.text += data


@given(st.text())
def test_text_comes_back_as_text_and_never_as_markup(text: str) -> None:
    seen = Reader(tag("p", text, title=text))
    assert [name for name, _ in seen.tags] == ["p"]
    assert html.unescape(str(tag("b", text))[3:-4]) == text


@pytest.mark.parametrize("attack", ATTACKS)
def test_no_way_in(attack: str) -> None:
    def draw(ax) -> None:
        ax.plot([0, 1], label=attack)
        ax.set(xlabel=attack)
        ax.legend()

    parts = [table([attack], [[attack]]), outcome_strip([(True, attack)]), chart(draw, attack, attack)]
    document = render(attack, *parts)
    names = [name for name, _ in Reader(document).tags]
    assert names.count("script") == 1 and "img" not in names
    assert not any(key.startswith("on") for _, attributes in Reader(document).tags for key in attributes)
    assert attack in Reader(document).text


def test_markup_is_not_escaped_twice() -> None:
    assert joined([tag("b", "<"), Html("<hr>"), "<"]) == "<b>&lt;</b><hr>&lt;"


def test_attributes() -> None:
    written = tag("a", class_="x", aria_label="y", hidden=True, title=None, download=False)
    assert written == '<a class="x" aria-label="y" hidden=""></a>'


@pytest.mark.parametrize(
    ("value", "shown"),
    [(None, "–"), (float("nan"), "–"), (0.0, "0"), (12345, "12,345"), (12345.6, "12,346"), (-0.25, "−0.25"),
     (0.000123, "0.000123"), (2.5e12, "2.5e+12"), (512.0, "512")],
)  # fmt: skip
def test_amounts(value: float | None, shown: str) -> None:
    assert amount(value) == shown


@given(st.floats(0, 1))
def test_percent_never_claims_all_or_nothing_wrongly(fraction: float) -> None:
    if fraction not in (0.0, 1.0) and 1e-12 < fraction < 1 - 1e-12:
        assert percent(fraction) not in ("0 %", "100 %")
    assert float(percent(fraction).split()[0]) == pytest.approx(100 * fraction, abs=0.51)


def test_the_same_figure_is_the_same_bytes() -> None:
    first, second = (chart(lambda ax: ax.plot(range(9), label="x"), "title") for _ in range(2))
    assert first == second


def test_colours_follow_the_page() -> None:
    assert "var(--s1)" in chart(lambda ax: ax.plot(range(9)), "title")
    assert "#0" not in chart(lambda ax: ax.plot(range(9)), "title").replace("url(#0", "").replace('"#0', "")


def test_a_sparkline_of_nothing_is_nothing() -> None:
    assert sparkline(np.full(9, 2.0)) == sparkline(np.array([])) == sparkline(np.full(3, np.nan)) == ""
    assert sparkline(np.arange(9.0)).startswith("<svg")
