"""How punctual a session was, beside the periods that it had to keep."""

from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import FuncFormatter, NullLocator

from imitate.deploy.page.recording import Recording
from imitate.deploy.page.timeline import tick_ms
from imitate.page import Html, chart, grid, paragraph, section, table
from imitate.page.charts import BAD, SERIES, SOFT

NAMES = {
    "latency_ms": ("Latency of inference", "from an observation to its chunk"),
    "age_ms": ("Age of observations", "of the oldest part, when the policy looked"),
    "late_ms": ("Lateness of ticks", "after the moment at which a command was due"),
    "busy_ms": ("Cost of a tick", "everything but inference"),
}
BINS = 60


def summaries(recording: Recording) -> dict[str, dict[str, float]]:
    """p50, p99 and max in ms by name: those of session.json, or of what was recorded where there is none."""
    told = recording.result.get("timings")
    if isinstance(told, dict):
        return {name: told[name] for name in NAMES if name in told}
    found = {}
    for name, values in recording.times_ms.items():
        p50, p99, worst = np.percentile(values, [50, 99, 100])
        found[name] = {"p50": float(p50), "p99": float(p99), "max": float(worst)}
    return found


def timing_section(recording: Recording) -> Html:
    """Distributions and their summary; of simulated time, which is always punctual, a sentence."""
    found = summaries(recording)
    if "late_ms" not in found:
        text = "This session ran in simulated time, where nothing is late."
        if found.get("latency_ms", {}).get("max"):
            text += f" Inference was said to take {found['latency_ms']['p50']:.0f} ms."
        return section("Times", paragraph(text if found else "No times were recorded."))
    rows = [
        [NAMES[name][0], *(f"{one[key]:.1f}" for key in ("p50", "p99", "max")), _allowed(name, recording)]
        for name, one in found.items()
    ]
    head = ["ms", "median", "99 %", "largest", "beside"]
    charts = [
        _chart(name, recording.times_ms[name], found[name], _period(name, recording))
        for name in found
        if name in recording.times_ms
    ]
    return section("Times", table(head, rows, numeric=(1, 2, 3)), grid(charts, columns=2))


def _period(name: str, recording: Recording) -> float | None:
    """The period in ms that this time has to be compared with."""
    if name in ("late_ms", "busy_ms"):
        return tick_ms(recording)
    return 1000.0 / recording.spec.rate_hz if recording.spec.rate_hz else None


def _allowed(name: str, recording: Recording) -> str:
    period = _period(name, recording)
    if period is None:
        return "–"
    return f"{period:.0f} ms, a " + ("tick" if name in ("late_ms", "busy_ms") else "control period")


def _chart(name: str, values: np.ndarray, summary: dict[str, Any], period_ms: float | None) -> Html:
    title, what = NAMES[name]
    shown = np.maximum(values, 0.01)
    top = max(float(shown.max()), period_ms or 0.0, 0.02) * 1.3
    edges = np.geomspace(0.01, top, BINS)

    def draw(ax: Axes) -> None:
        counts, _ = np.histogram(shown, edges)
        ax.stairs(counts, edges, fill=True, color=SERIES[0], alpha=0.85)
        ax.set_xscale("log")
        ax.set_yscale("symlog", linthresh=1)
        for axis in (ax.xaxis, ax.yaxis):
            axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
            axis.set_minor_locator(NullLocator())
        ax.set_ylim(0, None)
        ax.set_xlabel("ms")
        ax.set_ylabel("how often")
        heights = {"p50": 0.97, "p99": 0.86}
        for key, text in (("p50", "median"), ("p99", "99 %")):
            ax.axvline(max(summary[key], 0.01), color=SOFT, linestyle=":", linewidth=1.4)
            ax.annotate(text, (max(summary[key], 0.01), heights[key]), **_beside())
        if period_ms:
            ax.axvline(period_ms, color=BAD, linestyle="--", linewidth=1.4)
            ax.annotate("period", (period_ms, 0.75), **_beside())

    return chart(draw, title, f"{what}; {len(values):,} values, the largest {summary['max']:.1f} ms")


def _beside() -> dict[str, Any]:
    """Where words stand beside a line that crosses the whole height."""
    return {
        "xycoords": ("data", "axes fraction"),
        "textcoords": "offset points",
        "xytext": (3, 0),
        "fontsize": 8,
        "va": "top",
    }
