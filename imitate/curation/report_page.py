"""The data set report as a page: the verdict first, then its grounds."""

import shlex
from pathlib import Path

import numpy as np

from imitate import __version__
from imitate.curation import figures
from imitate.curation.browse import browser_section
from imitate.curation.embedding import AUTO
from imitate.curation.episode_viewer import asset, scripts, viewer
from imitate.curation.measurement import Measurement
from imitate.curation.page_correlations import correlation_section
from imitate.curation.page_distributions import distribution_section
from imitate.curation.page_groups import group_section
from imitate.curation.page_health import duplicates_section, health_section, removal_section
from imitate.curation.page_pictures import episode_pictures
from imitate.curation.page_places import hex_map, maps
from imitate.curation.page_traces import page_data, score_curves, signal_curves
from imitate.curation.tables import dimension_table
from imitate.curation.verdict import SIGNS, Finding, advice, summary
from imitate.datasets.episode_store import ACTION, EpisodeStore
from imitate.page import (
    Html,
    amount,
    card,
    data_block,
    facts,
    grid,
    headline,
    paragraph,
    picture,
    render,
    section,
    table,
    tag,
)

CLASSES = {"good": "good", "note": None, "problem": "bad"}
MAX_CAMERAS = 3


def report_page(store: EpisodeStore, measured: Measurement, found: list[Finding], out: Path) -> str:
    """The whole document."""
    hexes = hex_map(measured)
    curves = [*signal_curves(measured), *score_curves(measured)]
    parts = [
        _verdict(store, measured, found),
        _advice(measured),
        removal_section(measured),
        browser_section(measured, episode_pictures(store, measured)),
        maps(measured, hexes),
        group_section(measured),
        distribution_section(measured),
        _consistency(measured),
        correlation_section(measured),
        duplicates_section(measured),
        health_section(measured),
        _contents(store, measured),
        _samples(store, measured),
        _dimensions(measured),
        _provenance(store, measured, out),
        viewer(curves),
        data_block("data", page_data(measured, hexes)),
    ]
    shown = [part for part in parts if part is not None]
    return render(f"Report of {store.path.name}", *shown, style=asset("page_report.css"), scripts=scripts())


def _advice(measured: Measurement) -> Html | None:
    things = advice(measured)
    if not things:
        return None
    return section("What to do", tag("ol", *(tag("li", text) for text in things), class_="advice"))


def _verdict(store: EpisodeStore, measured: Measurement, found: list[Finding]) -> Html:
    kept = sum(episode.keep for episode in measured.episodes)
    items = [
        tag("li", tag("span", SIGNS[finding.level], class_=CLASSES[finding.level]), finding.text)
        for finding in found
    ]
    words = tag(
        "div", paragraph(tag("strong", summary(measured))), paragraph(_size(measured)), class_="words"
    )
    answer = tag("div", tag("div", f"{kept}/{len(measured.episodes)}", class_="big"), words, class_="answer")
    return headline(store.path.name, "Report of a data set", answer, tag("ul", *items, class_="findings"))


def _size(measured: Measurement) -> str:
    durations = measured.score("duration_s")
    text = f"{amount(len(measured.episodes))} episodes, {amount(measured.steps)} steps"
    if np.isnan(durations).any():
        return f"{text}; the data does not say at which rate it was recorded."
    rate = f" at {measured.spec.rate_hz:g} Hz" if measured.spec.rate_hz else ""
    minutes = durations.sum() / 60
    return f"{text}, {minutes:.1f} minutes of demonstration{rate}."


def _contents(store: EpisodeStore, measured: Measurement) -> Html:
    specs = {**store.spec.obs, ACTION: store.spec.action}
    rows = [
        [
            key,
            "image" if spec.is_image else "action" if key == ACTION else "state",
            _shape(spec.shape),
            spec.dtype,
        ]
        for key, spec in specs.items()
    ]
    whole = {
        "path": store.address,
        "source": store.source or "not said",
        "rate": f"{store.spec.rate_hz:g} Hz" if store.spec.rate_hz else "not said",
        "judged": _judged(measured),
        "compared by": measured.compared_by,
        "operators": _names({episode.record.operator for episode in measured.episodes}),
        "styles": _names({episode.style for episode in measured.episodes}),
    }
    arrays = table(["array", "kind", "shape per step", "type"], rows)
    recorded = tag("div", tag("h3", "What is recorded"), arrays, class_="card")
    return section("What is in it", grid([card("The data set", whole), recorded]))


def _shape(shape: tuple[int, ...]) -> str:
    return " × ".join(map(str, shape)) or "1"


def _judged(measured: Measurement) -> str:
    outcomes = [episode.record.success for episode in measured.episodes]
    judged = [outcome for outcome in outcomes if outcome is not None]
    return f"{sum(judged)} of {len(judged)} succeeded" if judged else "success is not recorded"


def _names(names: set[str]) -> str:
    known = sorted(name for name in names if name)
    return ", ".join(known[:12]) + (f" and {len(known) - 12} more" if len(known) > 12 else "") or "not said"


def _samples(store: EpisodeStore, measured: Measurement) -> Html:
    cameras = [key for key, spec in store.spec.obs.items() if spec.is_image][:MAX_CAMERAS]
    samples = figures.sample_indices(measured)
    frames = [
        picture(store.array(key)[int(measured.starts[i])], f"{measured.episodes[i].record.id}: {key}")
        for key in cameras
        for i in samples
    ]
    shown = [tag("div", *frames, class_="pictures")] if frames else []
    intro = f"Actions of {len(samples)} episodes, from the shortest to the longest."
    if frames:
        intro += " The pictures show how each of them starts."
    charts = grid(figures.trace_charts(measured))
    return section("Samples", *shown, figures.sample_legend(measured), charts, intro=intro)


def _consistency(measured: Measurement) -> Html:
    charts = [figures.agreement_chart(measured), _disagreement(measured), *figures.coverage_charts(measured)]
    return section("Consistency and starts", grid(c for c in charts if c is not None))


def _disagreement(measured: Measurement) -> Html | None:
    return figures.score_chart(
        measured,
        "disagreement",
        "Episodes that act unlike the others",
        "disagreement (random state = 1)",
        "Each episode's part of the comparison beside. A high value may be a fault or the only good example "
        "of another strategy: look before removing it.",
    )


def _dimensions(measured: Measurement) -> Html:
    parts = []
    for key in sorted(measured.arrays, key=lambda name: name != ACTION):
        parts += [tag("h3", key), dimension_table(measured, key)]
    intro = "Over all steps, in the units of the data. Actions first."
    return section("Every dimension", *parts, intro=intro)


def _provenance(store: EpisodeStore, measured: Measurement, out: Path) -> Html:
    asked = [] if measured.images.asked == AUTO else [f"images={measured.images.asked}"]
    command = shlex.join(["imitate", "report", f"data.path={store.address}", f"out={out}", *asked])
    said = {"content hash": tag("code", store.content_hash()), "imitate": __version__}
    beside = [out.with_suffix(suffix).name for suffix in (".json", ".csv")]
    text = f"The same for programs, beside this page: {beside[0]}, and its episodes as a table, {beside[1]}. "
    text += "To make all three again:"
    return section("Where this comes from", facts(said), paragraph(text), tag("pre", command))
