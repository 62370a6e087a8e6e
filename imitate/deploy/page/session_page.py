"""The page of a session, written beside its recording and readable without anything else."""

import json
from datetime import UTC, datetime
from importlib import resources
from pathlib import Path
from typing import Any

from imitate.deploy.page.recording import Recording, attempts, read_recording
from imitate.deploy.page.shadow_section import shadow_section
from imitate.deploy.page.timeline import (
    at,
    interventions_section,
    states_section,
    timeline_block,
    timeline_section,
    unfamiliar_section,
)
from imitate.deploy.page.timing_charts import timing_section
from imitate.deploy.page.verdict import findings, first_look, headline_words, outcome, shortened
from imitate.deploy.page.videos import video_section
from imitate.page import (
    Html,
    drawing,
    facts,
    headline,
    outcome_strip,
    paragraph,
    render,
    section,
    tag,
    write_whole,
)

PAGE = "index.html"
SIGNS = {"good": "✓", "note": "·", "problem": "!"}
CLASSES = {"good": "good", "note": None, "problem": "bad"}


def write_session_page(folder: Path) -> Path:
    """Write index.html of the session recorded in `folder` and return its path.

    From session.mcap, and session.json and the videos where they are; a recording whose end is missing still
    has a page, which says so. Videos of the cameras are made beside it. Raises DataError where there is no
    recording, or the page cannot be written.
    """
    recording = read_recording(folder)
    parts = [
        _answer(recording),
        timeline_section(recording),
        shadow_section(recording),
        interventions_section(recording),
        states_section(recording),
        timing_section(recording),
        unfamiliar_section(recording),
        video_section(recording),
        _provenance(recording),
        timeline_block(recording),
    ]
    shown = [part for part in parts if part is not None]
    title = f"Session {recording.folder.resolve().name}"
    style, scripts = _asset("page_session.css"), [drawing(), _asset("page_timeline.js")]
    return write_whole(folder / PAGE, render(title, *shown, style=style, scripts=scripts))


def _asset(name: str) -> str:
    return resources.files("imitate.deploy.page").joinpath(name).read_text(encoding="utf-8")


def _answer(recording: Recording) -> Html:
    judged = outcome(recording) if recording.header.get("mode") == "run" else None
    big = f"{judged[0]}/{judged[1]}" if judged else str(recording.header.get("mode", "?"))
    count, duration_s = len(attempts(recording)), recording.end_s - recording.start_s
    size = f"{count} attempt{'' if count == 1 else 's'}, {_duration(duration_s)} recorded."
    words = tag(
        "div",
        paragraph(tag("strong", headline_words(recording))),
        paragraph(size + (" The large number: attempts that succeeded." if judged else "")),
        class_="words",
    )
    answer = tag("div", tag("div", big, class_="big"), words, class_="answer")
    items = [
        tag("li", tag("span", SIGNS[finding.level], class_=CLASSES[finding.level]), finding.text)
        for finding in findings(recording)
    ]
    name = recording.folder.resolve().name
    return headline(
        name, "Session of a policy on a robot", answer, tag("ul", *items, class_="findings"), _more(recording)
    )


def _more(recording: Recording) -> Html:
    told = recording.result.get("attempts")
    shown: list[object] = []
    if isinstance(told, list) and any("success" in one for one in told):
        shown.append(outcome_strip([(one.get("success"), f"seed {one.get('seed', '?')}") for one in told]))
    look = first_look(recording)
    if look:
        moment = at(look[0], recording)
        shown.append(paragraph("To look at first: ", shortened(look[1]), ", at ", moment, " s."))
    return tag("div", *shown)


def _duration(seconds: float) -> str:
    return f"{seconds / 60:.1f} minutes" if seconds >= 120 else f"{seconds:.1f} s"


def _provenance(recording: Recording) -> Html:
    header = recording.header
    policy: Any = header.get("policy")
    clock: Any = header.get("clock") or {}
    begun = datetime.fromtimestamp(clock.get("wall_ns", 0) / 1e9, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
    said: dict[str, object] = {"recorded": begun, "imitate": str(header.get("imitate_version", "unknown"))}
    for key, value in policy.items() if isinstance(policy, dict) else ():
        said[f"policy, {key.replace('_', ' ')}"] = tag("code", value)
    said["recording"] = tag("code", recording.folder.resolve().name + "/session.mcap")
    settings = {"Every setting of the session": header.get("settings"), "The data": header.get("spec")}
    more = [
        tag("details", tag("summary", name), tag("pre", json.dumps(value, indent=1)))
        for name, value in settings.items()
        if value
    ]
    text = "Open session.mcap in Foxglove, or make demonstrations of it:"
    command = f"imitate import src={recording.folder.resolve().name}/session.mcap out=demos.zarr"
    return section("Where this comes from", facts(said), *more, paragraph(text), tag("pre", command))
