"""The window that shows one episode; scripts fill it from the page's data."""

from collections.abc import Sequence
from importlib import resources

from imitate.curation.page_traces import Curve
from imitate.page import Html, drawing, tag

SCRIPTS = ("page_data.js", "page_browse.js", "page_viewer.js", "page_map.js")
# What is drawn before the reader chooses.
FIRST = {"action": 2, "state": 2, "score": 2}


def asset(name: str) -> str:
    """The text of a style sheet or script that lies beside this module."""
    return resources.files("imitate.curation").joinpath(name).read_text(encoding="utf-8")


def scripts() -> list[str]:
    """The scripts of the page in the order in which they run."""
    return [drawing(), *map(asset, SCRIPTS)]


def viewer(curves: Sequence[Curve]) -> Html:
    """The empty window with a choice of `curves`."""
    bar = tag(
        "div",
        tag("h2", id="viewer-title", tabindex=-1),
        tag("button", "← previous", type="button", id="viewer-previous"),
        tag("button", "next →", type="button", id="viewer-next"),
        tag("button", "✕ close", type="button", id="viewer-close"),
        class_="bar-of-buttons",
    )
    kinds = [_choices(kind, title, curves) for kind, title in _TITLES.items()]
    choices = tag("details", tag("summary", "What to draw"), *kinds, id="viewer-choices")
    said = tag("p", id="viewer-said")
    frames = tag("div", id="viewer-frames", class_="frames")
    plot = tag("div", id="viewer-plot", class_="plot")
    scores = tag("div", id="viewer-scores", class_="scroll")
    flags = tag("ul", id="viewer-flags")
    keys = tag("p", "Arrow keys: previous and next episode. Esc: close.", class_="note")
    parts = (bar, said, frames, choices, plot, flags, scores, keys)
    return tag("dialog", *parts, id="viewer", aria_labelledby="viewer-title")


_TITLES = {"action": "Actions", "state": "States", "score": "Scores of single steps"}


def _choices(kind: str, title: str, curves: Sequence[Curve]) -> Html:
    mine = [(i, curve) for i, curve in enumerate(curves) if curve.kind == kind]
    boxes = [
        tag("label", tag("input", type="checkbox", value=i, checked=rank < FIRST[kind]), f" {curve.label}")
        for rank, (i, curve) in enumerate(mine)
    ]
    return tag("fieldset", tag("legend", title), *boxes) if boxes else Html("")
