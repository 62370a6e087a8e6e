"""The timeline: attempts, states, who acts, the gate and every curve over time, to be read at any moment."""

from collections import Counter
from typing import Any

import numpy as np

from imitate.deploy.page.recording import Group, Recording, attempts
from imitate.deploy.page.tracks import (
    MAX_POINTS,
    Run,
    Span,
    intervention_runs,
    labels,
    measured_as_commanded,
    proposals,
    state_spans,
    thinned,
    who_spans,
)
from imitate.page import Html, data_block, joined, paragraph, section, table, tag

MAX_MARKS = 2000
MAX_ROWS = 300
LEAST_POINTS = 60
RESTARTS = (
    "Nothing was sent in this session, so every control step was planned from a robot at rest, or moved by "
    "somebody else: limits of acceleration show more often than they would in mode=run."
)
KEYS = (
    "Drag or use the arrow keys to move, + and − to zoom, 0 for everything; "
    "n and p go to the next and the previous intervention."
)


def at(time_s: float, recording: Recording) -> Html:
    """A link to that moment of the timeline, in s since the recording began."""
    since = time_s - recording.start_s
    return tag("a", f"{since:.2f}", href=f"#t={since:.3f}")


def timeline_section(recording: Recording) -> Html:
    """What a script draws from `timeline_data`, and without one where the tables are."""
    names = ["the whole session", *(f"attempt {i + 1}" for i in range(len(attempts(recording))))]
    choices = [tag("option", name, value=i) for i, name in enumerate(names)]
    buttons = [
        tag("button", text, type="button", data_do=do, aria_label=label)
        for text, do, label in (
            ("←", "left", "earlier"),
            ("→", "right", "later"),
            ("+", "in", "zoom in"),
            ("−", "out", "zoom out"),
            ("next intervention", "next", None),
        )
    ]
    bar = tag("div", tag("select", *choices, aria_label="show"), *buttons, class_="bar")
    drawing = tag("div", tabindex=0, role="application", aria_label="timeline", class_="drawing")
    said = tag("p", KEYS, class_="note said", aria_live="polite")
    key = tag("p", *_key(), class_="legend")
    whole = tag("div", bar, said, drawing, key, id="timeline", hidden=True)
    without = tag(
        "noscript", paragraph("Drawn by a script, which is off here. The tables below say the same.")
    )
    intro = (
        "Lines are what was commanded and what was measured, in the units of the commands; crosses are what "
        "was proposed where the gate changed or refused it."
    )
    return section("Timeline", whole, without, intro=intro)


def _key() -> list[Html]:
    marks = [
        ("commanded", "commanded"),
        ("measured", "measured"),
        ("proposed", "× proposed, but changed"),
    ]
    return [tag("span", tag("i", class_=f"key {name}"), text) for name, text in marks]


def timeline_block(recording: Recording) -> Html:
    """The data that the script draws, all times in s since the recording began."""
    start_s = recording.start_s
    curves = [_curves(group, recording) for group in recording.groups]
    count = sum(values.size for group in curves for _, _, values in group) or 1
    share = min(1.0, MAX_POINTS / count)
    runs = intervention_runs(recording)
    content = {
        "end": _rounded(recording.end_s - start_s),
        "attempts": [[_rounded(a - start_s), _rounded(b - start_s)] for a, b in attempts(recording)],
        "states": [_span(span, start_s) for span in state_spans(recording)],
        "who": [_span(span, start_s) for span in who_spans(recording.sources)],
        "gate": [_run(run, start_s) for run in runs[:MAX_MARKS]],
        "odd": _moments(recording, "unfamiliar", start_s),
        "late": _late_moments(recording, start_s),
        "plots": [
            {
                "group": group.name,
                "name": name,
                "unit": unit,
                "lines": [_line(kind, times, values[:, i], share, start_s) for kind, times, values in found],
            }
            for group, found in zip(recording.groups, curves, strict=True)
            for i, (name, unit) in enumerate(labels(group.target))
        ],
    }
    return data_block("session", content)


def _curves(group: Group, recording: Recording) -> list[tuple[str, np.ndarray, np.ndarray]]:
    found = []
    size = len(labels(group.target))
    for kind, trace in (
        ("commanded", group.commanded),
        (
            "measured",
            measured_as_commanded(group, [time_s for span in attempts(recording) for time_s in span]),
        ),
        ("proposed", proposals(recording, group)),
    ):
        if len(trace.times_s) and trace.values.shape[1] == size:
            found.append((kind, trace.times_s, trace.values))
    return found


def _line(kind: str, times_s: np.ndarray, values: np.ndarray, share: float, start_s: float) -> dict[str, Any]:
    finite = np.isfinite(values)
    most = max(LEAST_POINTS, int(share * finite.sum()))
    t, v = thinned(times_s[finite], values[finite], most)
    return {"kind": kind, "t": [_rounded(x - start_s) for x in t], "v": [float(f"{x:.4g}") for x in v]}


def _rounded(time_s: float) -> float:
    return round(float(time_s), 3)


def _span(span: Span, start_s: float) -> list[Any]:
    return [_rounded(span.start_s - start_s), _rounded(span.end_s - start_s), span.name, span.why]


def _run(run: Run, start_s: float) -> list[Any]:
    times = (_rounded(run.start_s - start_s), _rounded(run.end_s - start_s))
    return [*times, run.group, run.rule, run.count, run.detail]


def _moments(recording: Recording, name: str, start_s: float) -> list[float]:
    return [_rounded(event.time_s - start_s) for event in recording.named(name)][:MAX_MARKS]


def _late_moments(recording: Recording, start_s: float) -> list[list[float]]:
    """[time, ms]: of the second before, the latest tick, where it was a whole tick late."""
    period_ms = tick_ms(recording)
    worst = [
        (event.time_s, max(event.values.get("late_ms") or [0.0])) for event in recording.named("timings")
    ]
    return [[_rounded(time_s - start_s), late] for time_s, late in worst if period_ms and late >= period_ms]


def tick_ms(recording: Recording) -> float | None:
    """The length of a tick of the command rate, None where the recording does not say."""
    found: Any = recording.header.get("settings")
    for key in ("session", "control", "command_rate_hz"):
        found = found.get(key) if isinstance(found, dict) else None
    return 1000.0 / found if isinstance(found, int | float) and found > 0 else None


def interventions_section(recording: Recording) -> Html:
    """How often the gate intervened by rule, and every run of interventions."""
    told = recording.named("intervention")
    if not told and not recording.result.get("interventions"):
        return section("The safety gate", paragraph("Every command was inside of all limits."))
    counted = Counter((str(e.values.get("rule")), str(e.values.get("group"))) for e in told)
    rows = [[rule, group, str(count)] for (rule, group), count in counted.most_common()]
    runs = intervention_runs(recording)
    lines = [
        [at(run.start_s, recording), run.rule, run.group, str(run.count), run.detail]
        for run in runs[:MAX_ROWS]
    ]
    head = ["time s", "rule", "group", "times", "what it did first"]
    left = len(runs) - len(lines)
    more = [paragraph(f"{left} later ones are not listed.", class_="note")] if left else []
    intro = "A rule of the gate changed a command, or refused it and the robot held."
    if recording.header.get("mode") != "run":
        intro += f" {RESTARTS}"
    by_rule = tag("div", table(["rule", "group", "times"], rows, numeric=(2,)), class_="narrow")
    whole = tag("div", table(head, lines, numeric=(0, 3)), class_="tall")
    return section("The safety gate", by_rule, whole, *more, intro=intro)


def states_section(recording: Recording) -> Html:
    """Every change of state."""
    rows = [
        [
            at(change.time_s, recording),
            f"{change.values.get('before', '?')} → {change.values['after']}",
            str(change.values.get("why", "")),
        ]
        for change in recording.states()[:MAX_ROWS]
    ]
    if not rows:
        return section("States", paragraph("No change of state was recorded."))
    whole = tag("div", table(["time s", "state", "why"], rows, numeric=(0,)), class_="tall")
    return section("States", whole, intro="What the robot was allowed to do, and why that changed.")


def unfamiliar_section(recording: Recording) -> Html | None:
    """When the policy saw what its training did not."""
    found = recording.named("unfamiliar")
    if not found:
        return None
    far = sorted(found, key=lambda event: -float(event.values.get("distance", 0)))[:10]
    rows = [
        [
            at(event.time_s, recording),
            f"{float(event.values['distance']):.2f}",
            f"{float(event.values['threshold']):.2f}",
            str(event.values.get("action", "")),
        ]
        for event in far
    ]
    text = f"{len(found)} observations were further from the training data than the threshold; the furthest:"
    head = ["time s", "distance", "threshold", "what followed"]
    return section(
        "Unfamiliar observations",
        joined([paragraph(text), table(head, rows, numeric=(0, 1, 2))]),
        intro="Distances to the nearest observation of the training, in its standard deviations.",
    )
