"""Every episode in a table, the worst first, with what it takes to find one."""

from collections.abc import Callable, Sequence

import numpy as np

from imitate.curation.measurement import MeasuredEpisode, Measurement
from imitate.curation.page_csv import score_names
from imitate.curation.page_scores import headed, score_label
from imitate.curation.tables import relative_jerk
from imitate.page import Html, amount, section, tag

Cell = Callable[[int, MeasuredEpisode], object]
# Jerk in physical units says little; against the median episode it does.
RELATIVE = "jerk, × median"
NEVER_HIDDEN = ("", "episode", "keep", "quality", "fault", "steps", "reasons")


def browser_section(measured: Measurement, pictures: Sequence[Html]) -> Html:
    """The filters, the table, and a line that says how many episodes are shown."""
    intro = (
        "Ranked by quality, the lowest first. An episode that is not kept stays in the data; training with "
        "the keep-list leaves it out. Choose one to see its traces and frames; choose a head to sort."
    )
    return section(
        "Every episode",
        _filters(measured.episodes),
        tag("div", episode_table(measured, pictures), class_="tall"),
        score_legend(measured),
        intro=intro,
    )


def _filters(episodes: Sequence[MeasuredEpisode]) -> Html:
    choices = {
        "keep": ("kept or not", ["yes", "no"]),
        "fault": ("fault", sorted({e.fault for e in episodes if e.fault})),
        "source": ("source", sorted({e.record.source for e in episodes if e.record.source})),
        "operator": ("operator", sorted({e.record.operator for e in episodes if e.record.operator})),
        "style": ("style", sorted({e.style for e in episodes if e.style})),
    }
    menus = [_menu(name, label, values) for name, (label, values) in choices.items() if len(values) > 1]
    if [name for name, (_, values) in choices.items() if name == "fault" and len(values) == 1]:
        menus.insert(1, _menu("fault", *choices["fault"]))
    search = tag("label", "name or reason ", tag("input", type="search", name="text", autocomplete="off"))
    count = tag("output", aria_live="polite")
    return tag("form", search, *menus, count, class_="filters", id="filters", hidden=True)


def _menu(name: str, label: str, values: Sequence[str]) -> Html:
    options = [tag("option", "all", value=""), *(tag("option", value, value=value) for value in values)]
    return tag("label", f"{label} ", tag("select", *options, name=name))


def episode_table(measured: Measurement, pictures: Sequence[Html]) -> Html:
    """One row per episode; columns in which no episode has anything are left out."""
    columns = _columns(measured, pictures)
    order = np.argsort([episode.quality for episode in measured.episodes], kind="stable")
    rows = [
        [(name, look, cell(int(i), measured.episodes[i])) for name, (look, cell) in columns.items()]
        for i in order
    ]
    shown = {name for row in rows for name, _, cell in row if cell != "–"} | set(NEVER_HIDDEN)
    head = [tag("th", name, class_=look, scope="col") for name, (look, _) in columns.items() if name in shown]
    body = [_row(int(i), measured.episodes[i], row, shown) for i, row in zip(order, rows, strict=True)]
    inner = tag(
        "table", tag("thead", tag("tr", *head)), tag("tbody", *body), class_="episodes", id="episodes"
    )
    return tag("div", inner, class_="scroll")


def _row(i: int, episode: MeasuredEpisode, row: list[tuple[str, str, object]], shown: set[str]) -> Html:
    cells = [tag("td", cell, class_=look or None) for name, look, cell in row if name in shown]
    return tag(
        "tr",
        *cells,
        data_i=i,
        data_keep="yes" if episode.keep else "no",
        data_fault=episode.fault or "",
        data_source=episode.record.source,
        data_operator=episode.record.operator,
        data_style=episode.style,
    )


def _columns(measured: Measurement, pictures: Sequence[Html]) -> dict[str, tuple[str, Cell]]:
    """What each head shows, with the class of its cells."""
    jerk = relative_jerk(measured)
    columns: dict[str, tuple[str, Cell]] = {
        "": ("thumb", lambda i, e: _thumbnail(e, pictures[i])),
        "episode": ("", lambda i, e: e.record.id),
        "keep": ("", lambda i, e: _kept(e)),
        "quality": ("num", lambda i, e: _quality(e)),
        "fault": ("", lambda i, e: tag("b", e.fault) if e.fault else "–"),
        "steps": ("num steps", lambda i, e: amount(e.record.steps)),
        "reasons": ("why", lambda i, e: "; ".join(e.reasons)),
        "success": ("more", lambda i, e: {True: "yes", False: "no", None: "–"}[e.record.success]),
        "source": ("more", lambda i, e: e.record.source or "–"),
        "operator": ("more", lambda i, e: e.record.operator or "–"),
        "style": ("more", lambda i, e: e.style or "–"),
    }
    for name in score_names(measured):
        if name == "jerk":
            columns[RELATIVE] = ("num more", lambda i, e: "–" if np.isnan(jerk[i]) else f"{jerk[i]:.2f}")
        elif name != "steps":
            columns[headed(name)] = ("num more", lambda i, e, name=name: amount(e.scores.get(name)))  # type: ignore[misc]
    return columns


def _thumbnail(episode: MeasuredEpisode, picture: Html) -> Html:
    return tag(
        "a",
        picture or "open",
        href="#",
        data_episode=episode.record.id,
        aria_label=f"open {episode.record.id}",
    )


def _kept(episode: MeasuredEpisode) -> Html:
    return tag("span", "✓ yes" if episode.keep else "✕ no", class_="good" if episode.keep else "bad")


def _quality(episode: MeasuredEpisode) -> Html:
    bar = tag("i", style=f"width:{100 * episode.quality:.0f}%", aria_hidden="true")
    return tag("span", f"{episode.quality:.2f}", tag("span", bar, class_="bar"))


def score_legend(measured: Measurement) -> Html:
    """What each score means and which way is better."""
    items = []
    for name in score_names(measured):
        one = score_label(name)
        better = f" {one.better.capitalize()} is better." if one.better else ""
        items += [
            tag("dt", headed(name)),
            tag("dd", f"{one.text.capitalize()}.{better}" if one.text else "–"),
        ]
    return tag("details", tag("summary", "What the scores mean"), tag("dl", *items))
