"""The part of the page that compares a policy with whoever drove."""

import numpy as np
from matplotlib.axes import Axes

from imitate.deploy.page.recording import Recording
from imitate.deploy.page.shadow import Quantity, compared
from imitate.deploy.page.timeline import at
from imitate.page import Html, amount, chart, grid, joined, paragraph, percent, section, table, tag
from imitate.page.charts import SERIES, SOFT

WORST = 5
INTRO = (
    "Of every control step: the action that the policy wanted, after the gate, and how the robot really "
    "moved until one control period later. Errors are distances between the two."
)
CHUNKS = (
    "An action may come from a chunk that was predicted some steps earlier, for a robot that would have "
    "followed it; session.control.strategy.action_steps=1 makes the policy look anew in every step."
)


def shadow_section(recording: Recording) -> Html | None:
    """The comparison of a shadow session; None in other modes."""
    if recording.header.get("mode") != "shadow":
        return None
    found = compared(recording)
    moving = [quantity for quantity in found if quantity.has_moved]
    if not found:
        return _nothing("No control step was recorded with the robot's state before and after it.")
    if not moving:
        return _nothing("The robot did not move in this session, so there is nothing to compare with.")
    still = [f"{quantity.group} {quantity.name}" for quantity in found if not quantity.has_moved]
    note = f" Not moved, and left out: {', '.join(still)}." if still else ""
    parts = [
        *(paragraph(tag("strong", sentence(quantity))) for quantity in moving),
        _table(moving),
        grid([one for quantity in moving for one in _charts(quantity)]),
        tag("h3", "The worst moments"),
        _worst(moving, recording),
        paragraph(CHUNKS + note, class_="note"),
    ]
    return section("What the policy would have done", joined(parts), intro=INTRO)


def _nothing(text: str) -> Html:
    return section("What the policy would have done", paragraph(text), intro=INTRO)


def sentence(quantity: Quantity) -> str:
    """What came out for one quantity."""
    better = "closer" if quantity.ratio < 1 else "no closer"
    text = f"{quantity.group}, {quantity.name}: {better} to what was done than standing still"
    text += f" (error {percent(quantity.ratio)} of its), and would have gone {quantity.pace:.2f} times as far"
    agreement = quantity.agreement()
    if agreement is None:
        return f"{text}."
    share, steps = agreement
    return f"{text}; the direction agrees within 45° in {percent(share)} of {steps} moving steps."


def _table(quantities: list[Quantity]) -> Html:
    head = [
        "quantity",
        "unit per step",
        "steps",
        "mean error",
        "median",
        "95 %",
        "largest",
        "standing still",
        "pace",
    ]
    rows = []
    for one in quantities:
        median, p95 = np.percentile(one.error, [50, 95])
        numbers = [one.error.mean(), median, p95, one.error.max(), one.still.mean()]
        shown = [*(amount(float(number)) for number in numbers), f"{one.pace:.2f}"]
        rows.append([f"{one.group}, {one.name}", one.unit, str(len(one.error)), *shown])
    return table(head, rows, numeric=(2, 3, 4, 5, 6, 7, 8))


def _charts(quantity: Quantity) -> list[Html]:
    name = f"{quantity.group}, {quantity.name}"

    def draw_errors(ax: Axes) -> None:
        top = max(float(quantity.error.max()), float(quantity.still.max())) or 1.0
        bins = np.linspace(0, top, 30).tolist()
        ax.hist(quantity.error, bins=bins, color=SERIES[0], alpha=0.8, label="the policy")
        ax.hist(
            quantity.still, bins=bins, histtype="step", color=SERIES[1], linewidth=1.8, label="standing still"
        )
        ax.set_xlabel(f"error in {quantity.unit}")
        ax.set_ylabel("steps")
        ax.legend()

    def draw_directions(ax: Axes) -> None:
        assert quantity.cosine is not None
        known = quantity.cosine[np.isfinite(quantity.cosine)]
        ax.hist(np.degrees(np.arccos(np.clip(known, -1, 1))), bins=list(range(0, 181, 10)), color=SERIES[2])
        ax.axvline(45, color=SOFT, linestyle="--", linewidth=1.2)
        ax.set_xticks(range(0, 181, 45))
        ax.set_xlabel("degrees between the directions")
        ax.set_ylabel("steps")

    charts = [chart(draw_errors, f"Error: {name}")]
    if quantity.agreement():
        charts.append(chart(draw_directions, f"Direction: {name}", "Right of the line they disagree."))
    return charts


def _worst(quantities: list[Quantity], recording: Recording) -> Html:
    rows = []
    for one in quantities:
        for index in np.argsort(-one.error)[:WORST]:
            rows.append(
                [
                    at(float(one.times_s[index]), recording),
                    f"{one.group}, {one.name}",
                    f"{amount(float(one.error[index]))} {one.unit}",
                    f"{amount(float(one.moved[index]))} {one.unit}",
                ]
            )
    return table(["time s", "quantity", "error", "the robot moved"], rows, numeric=(0, 2, 3))
