"""HTML that cannot be injected into: a str is text and is escaped, only `Html` is markup."""

import html
import math
from collections.abc import Iterable, Sequence
from typing import Any

VOID_TAGS = frozenset({"br", "hr", "img", "input", "meta"})


class Html(str):
    """Markup that is known to be well formed and escaped; every other str is plain text."""

    __slots__ = ()


def escape(content: object) -> Html:
    """`content` as markup: Html unchanged, anything else as escaped text."""
    return content if isinstance(content, Html) else Html(html.escape(str(content), quote=True))


def joined(parts: Iterable[object], separator: str = "") -> Html:
    """All `parts` one after another, with the (escaped) `separator` between them."""
    return Html(str(escape(separator)).join(escape(part) for part in parts))


def tag(name: str, /, *children: object, **attributes: object) -> Html:
    """One element: `class_` gives the attribute class, `aria_label` gives aria-label.

    Attributes that are None or False are left out.
    """
    written = "".join(
        f' {key.rstrip("_").replace("_", "-")}="{escape("" if value is True else value)}"'
        for key, value in attributes.items()
        if value is not None and value is not False
    )
    if name in VOID_TAGS:
        return Html(f"<{name}{written}>")
    return Html(f"<{name}{written}>{joined(children)}</{name}>")


def paragraph(*children: object, class_: str | None = None) -> Html:
    """One paragraph."""
    return tag("p", *children, class_=class_)


def table(head: Sequence[object], rows: Iterable[Sequence[object]], numeric: Sequence[int] = ()) -> Html:
    """A table that scrolls sideways on a narrow screen; columns in `numeric` are aligned right.

    A head cell sorts its column when clicked (numbers by value, the rest as text).
    """

    def cells(kind: str, row: Sequence[object]) -> list[Html]:
        return [tag(kind, cell, class_="num" if i in numeric else None) for i, cell in enumerate(row)]

    body = [tag("tr", *cells("td", row)) for row in rows]
    inner = tag("table", tag("thead", tag("tr", *cells("th", head))), tag("tbody", *body))
    return tag("div", inner, class_="scroll")


def amount(value: Any, digits: int = 3) -> str:
    """A number to `digits` significant digits without needless zeros; a dash for None and NaN."""
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return "–"
    if isinstance(value, int):
        return f"{value:,}"
    written = f"{value:.{digits}g}"
    if "e" in written and 1e-4 <= abs(value) < 1e7:
        written = f"{value:,.0f}" if abs(value) >= 1 else f"{value:.{digits + 3}f}".rstrip("0")
    return written.replace("-", "−")


def percent(fraction: float, digits: int = 0) -> str:
    """0.935 as "94 %"; never rounded to 0 % or 100 % unless it is exactly that."""
    written = f"{100 * fraction:.{digits}f}"
    if float(written) in (0.0, 100.0) and fraction not in (0.0, 1.0):
        return percent(fraction, digits + 1)
    return f"{written} %"
