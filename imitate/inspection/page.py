"""A data set as a page: what it holds, how long, what it looks like, how it moves, how it is spread."""

import shlex
from collections.abc import Mapping
from importlib import resources
from pathlib import Path
from typing import Any

import numpy as np

from imitate import __version__
from imitate.inspection.curves import MAX_PANELS, curve_data, panels
from imitate.inspection.episode_list import episode_section, folded
from imitate.inspection.facts import (
    duration_s,
    outcome_words,
    rate_words,
    sample_words,
    timing_words,
    unit_words,
)
from imitate.inspection.gallery import Gallery
from imitate.inspection.histograms import MAX_DRAWN, histogram_cards
from imitate.inspection.reading import all_specs
from imitate.inspection.survey import Survey
from imitate.page import (
    Html,
    amount,
    card,
    data_block,
    drawing,
    facts,
    headline,
    paragraph,
    render,
    section,
    table,
    tag,
)


def inspection_page(survey: Survey, gallery: Gallery, out: Path) -> str:
    """The whole document."""
    parts = [
        _top(survey),
        _contents(survey),
        _not_read(survey),
        episode_section(survey),
        gallery.section(),
        _over_time(survey),
        *_distributions(survey),
        _provenance(survey, out),
        data_block("traces", curve_data(survey)),
    ]
    scripts = [drawing(), _asset("page_inspect.js")]
    shown = [part for part in parts if part is not None]
    return render(f"What is in {survey.name}", *shown, style=_asset("page_inspect.css"), scripts=scripts)


def _asset(name: str) -> str:
    return resources.files("imitate.inspection").joinpath(name).read_text(encoding="utf-8")


def _top(survey: Survey) -> Html:
    steps = f", {amount(survey.steps)} steps" if survey.steps is not None else ""
    seconds = duration_s(survey)
    lasting = f", {_lasting(seconds)}" if seconds else ""
    words = [paragraph(tag("strong", f"{amount(survey.episodes)} episodes{steps}{lasting}"))]
    words.append(
        paragraph(f"{rate_words(survey)[0].upper()}{rate_words(survey)[1:]}. {outcome_words(survey)}.")
    )
    if not survey.is_complete:
        words.append(paragraph(f"{sample_words(survey)}; all that follows is about those."))
    big = tag("div", amount(survey.episodes), class_="big")
    answer = tag("div", big, tag("div", *words, class_="words"), class_="answer")
    return headline(survey.name, survey.title, answer)


def _lasting(seconds: float) -> str:
    return f"{seconds / 60:.1f} minutes" if seconds >= 120 else f"{seconds:.1f} s"


def _contents(survey: Survey) -> Html:
    rows = [
        [
            key,
            f"{' × '.join(map(str, spec.shape)) or '1'} {spec.dtype}",
            "image" if spec.is_image else unit_words(spec),
        ]
        for key, spec in all_specs(survey.spec).items()
    ]
    whole: dict[str, object] = {
        "path": survey.address,
        "format": survey.title,
        "source": survey.source or "not said",
        "rate": rate_words(survey).removeprefix("rate "),
        "outcome": outcome_words(survey),
        "content hash": tag("code", survey.data_hash) if survey.data_hash else "none before it is imported",
    }
    if operators := _names({record.operator for record in survey.records.values()}):
        whole["operators"] = operators
    if timed := timing_words(survey):
        whole["time stamps"] = timed
    arrays = table(["array", "shape and type", "elements and units"], rows)
    return section(
        "What is in it",
        card("The data set", whole),
        tag("h3", "What is recorded at each step"),
        arrays,
        *_notes(survey),
        folded("Metadata of the whole", survey.metadata),
    )


def _notes(survey: Survey) -> list[Html]:
    items = (tag("li", text) for text in survey.notes)
    return [tag("h3", "How well it was recorded"), tag("ul", *items)] if survey.notes else []


def _names(names: set[str]) -> str:
    known = sorted(name for name in names if name)
    return ", ".join(known[:12]) + (f" and {len(known) - 12} more" if len(known) > 12 else "")


def _not_read(survey: Survey) -> Html | None:
    if not survey.left_out:
        return None
    items = tag("ul", *(tag("li", text) for text in survey.left_out))
    intro = "The files hold this, and an import would not carry it over."
    return section("Left out", items, intro=intro)


def _over_time(survey: Survey) -> Html:
    episodes = [
        tag("option", survey.record_at(place).id, value=number) for number, place in enumerate(survey.shown)
    ]
    bar = tag(
        "div",
        tag("label", "Episode ", tag("select", *episodes, id="course-episode")),
        tag("button", "← previous", type="button", id="course-previous"),
        tag("button", "next →", type="button", id="course-next"),
        class_="bar",
    )
    key = paragraph(
        tag("span", tag("i", class_="line action"), "action"),
        tag("span", tag("i", class_="line state"), "observation (dashed beside an action)"),
        class_="legend",
    )
    said = tag("p", id="course-said", class_="note")
    choice = tag("details", tag("summary", "What to draw"), tag("div", id="course-choice"))
    plot = tag("div", id="course-plot", class_="plot")
    inner = tag("div", bar, key, said, choice, plot, id="course", hidden=True)
    without = tag("noscript", paragraph("Curves are drawn by the page's own script, which is switched off."))
    found = panels(survey.spec)
    paired = sum(len(panel.elements) == 2 for panel in found)
    intro = "Move the pointer over the curves to read them."
    if paired:
        are = "1 element of the action is" if paired == 1 else f"{paired} elements of the action are"
        intro += f" {are} drawn with the observation of the same name."
    if len(found) > MAX_PANELS:
        intro += f" The first {MAX_PANELS} of {len(found)} are here."
    return section("Over time", without, inner, intro=intro)


def _distributions(survey: Survey) -> list[Html]:
    parts: list[object] = []
    for key, ranges in survey.dimensions.items():
        parts += [tag("h3", key), histogram_cards(ranges, survey.arrays[key])]
        if len(ranges) > MAX_DRAWN:
            parts.append(paragraph(f"The first {MAX_DRAWN} of {len(ranges)} dimensions.", class_="note"))
    for key, values in survey.wide.items():
        known = values[np.isfinite(values)]
        said = (
            f"{amount(float(known.min()))} … {amount(float(known.max()))}"
            if len(known)
            else "no finite value"
        )
        note = f"{key}: {said} in {amount(len(values))} numbers of a few steps; too wide to draw."
        parts.append(paragraph(note, class_="note"))
    intro = "Of every step that was read, in the units of the data; dashed lines are the declared range."
    return [section("How the numbers are spread", *parts, intro=intro)]


def _provenance(survey: Survey, out: Path) -> Html:
    command = shlex.join(["imitate", "inspect", f"data.path={survey.address}", f"out={out}"])
    said: Mapping[str, Any] = {"imitate": __version__}
    return section("Where this comes from", facts(said), paragraph("To make it again:"), tag("pre", command))
