"""The page of a sweep: what weakens the policy most, the curves, an episode of each, and every figure."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import PercentFormatter

from imitate.evaluation.page_parts import answer, repeat, success_means, title
from imitate.evaluation.page_settings import method, short
from imitate.evaluation.stress.halving import Halving
from imitate.evaluation.stress.kinds import KINDS, PLAIN
from imitate.evaluation.stress.result import Cell, StressResult
from imitate.page import (
    Html,
    amount,
    chart,
    facts,
    grid,
    interval_bar,
    paragraph,
    percent,
    render,
    section,
    table,
    tag,
    video,
    write_whole,
)
from imitate.page.charts import SERIES, SOFT

OWN, OTHER = "this policy", "against"


def write_stress_page(
    path: Path, result: StressResult, folder: Path, against: StressResult | None = None
) -> Path:
    """Write the page of `result` to `path`; its films lie in `folder`, `against` adds another sweep's curves.

    Raises DataError where a film cannot be read or the page not be written.
    """
    parts = [
        _answer(result),
        _halvings(result, against),
        _curves(result, against),
        _films(result, folder),
        _every_cell(result),
        _provenance(result, against),
    ]
    return write_whole(path, render(title(result.plain), *(part for part in parts if part is not None)))


def _answer(result: StressResult) -> Html:
    plain = result.plain
    told = f"Undisturbed, {plain.successes} of {len(plain.episodes)} episodes succeed."
    return answer(
        plain,
        "Robustness of a policy",
        paragraph(tag("strong", told), success_means(plain)),
        interval_bar(plain.success_rate, *plain.interval),
        paragraph(
            "Each curve below plays the same starts again and lets one thing go wrong, more and more. "
            "Intervals are 95 % (Wilson); a level is where success is half of the undisturbed rate."
        ),
    )


def _halvings(result: StressResult, against: StressResult | None) -> Html:
    head = ["perturbation", "success halves at", "95 % interval", "played up to"]
    rows = []
    for kind in result.kinds:
        found, unit = result.halving(kind), result.unit(kind)
        row = [KINDS[kind].title, level_text(found, unit), interval_text(found), f"{found.largest:g} {unit}"]
        if against is not None:
            row.append(_others_level(against, kind, unit))
        rows.append(row)
    if against is not None:
        head.append("of the policy compared with")
    intro = (
        "Interpolated on the monotone curve. The interval is a bootstrap over seeds: it says what chance "
        "does, not how the curve runs between two sizes."
    )
    left = [tag("ul", *(tag("li", line) for line in result.left_out))] if result.left_out else []
    said = [paragraph("Left out, because it cannot be done here:")] if left else []
    return section("Where success halves", table(head, rows), *said, *left, intro=intro)


def level_text(found: Halving, unit: str) -> str:
    """The level in words: "0.12 × spread", or that it was never reached."""
    if not found.is_defined:
        return "nothing to halve: no undisturbed episode succeeds"
    return "never halves within the range" if found.level is None else f"{found.level:.3g} {unit}"


def interval_text(found: Halving) -> str:
    """The interval in words, whose ends may lie beyond the range."""
    if not found.is_defined:
        return "–"
    if found.low is None:
        return f"above {found.largest:g}"
    return f"{found.low:.3g} to " + (
        f"above {found.largest:g}" if found.high is None else f"{found.high:.3g}"
    )


def _others_level(against: StressResult, kind: str, unit: str) -> str:
    if kind not in against.kinds:
        return "not played"
    return level_text(against.halving(kind), against.unit(kind))


def _curves(result: StressResult, against: StressResult | None) -> Html:
    charts = [_curve(kind, result, against) for kind in result.kinds]
    intro = "Dashed: half of the undisturbed rate. The mark on it is the level at which success halves."
    if against is not None:
        origin = against.plain.provenance
        name = f"{method(origin.get('policy'))}, {origin.get('checkpoint', '')}"
        intro += f" Squares: the policy compared with ({name})."
    return section("Success against the size of what goes wrong", grid(charts), intro=intro)


def _curve(kind: str, result: StressResult, against: StressResult | None) -> Html:
    unit = result.unit(kind)

    def draw(ax: Axes) -> None:
        draw_rates(ax, result.of_kind(kind), SERIES[0], "o", OWN)
        if against is not None and kind in against.kinds and against.unit(kind) == unit:
            draw_rates(ax, against.of_kind(kind), SERIES[1], "s", OTHER)
            ax.legend(loc="lower left")
        _draw_level(ax, result.halving(kind), result.plain.success_rate)
        show_shares(ax, unit)

    return chart(draw, KINDS[kind].title, _note(kind, result))


def show_shares(ax: Axes, unit: str) -> None:
    """Axes of success in percent against sizes in `unit`."""
    ax.set(xlabel=unit, ylabel="success", ylim=(-0.03, 1.03))
    ax.yaxis.set_major_formatter(PercentFormatter(1.0))


def draw_rates(ax: Axes, cells: Sequence[Cell], color: str, marker: str, label: str) -> None:
    """Success against size, with its interval as bars and a band."""
    sizes, rates = [cell.size for cell in cells], np.array([cell.result.success_rate for cell in cells])
    bounds = np.array([cell.result.interval for cell in cells]).T
    ax.fill_between(sizes, *bounds, color=color, alpha=0.15, linewidth=0)
    reach = np.maximum(0.0, [rates - bounds[0], bounds[1] - rates])
    ax.errorbar(sizes, rates, reach, color=color, marker=marker, markersize=4, elinewidth=1, label=label)


def _draw_level(ax: Axes, found: Halving, plain_rate: float) -> None:
    if not found.is_defined:
        return
    half = plain_rate / 2
    ax.axhline(half, color=SOFT, linestyle="--", linewidth=1)
    if found.low is not None:
        high = found.largest if found.high is None else found.high
        ax.plot([found.low, high], [half, half], color=SOFT, linewidth=4, alpha=0.5, solid_capstyle="butt")
    if found.level is not None:
        ax.plot([found.level], [half], color=SOFT, marker="D", markersize=6)


def _note(kind: str, result: StressResult) -> str:
    meaning = KINDS[kind].meaning
    if kind == "noise":
        meaning += f" (spread: {result.noise['words']})"
    rate = result.plain.rate_hz
    if "control step" in meaning and rate and kind != "drop":
        meaning += f"; a step is {1 / rate:g} s"
    return f"Size: {meaning}."


def _films(result: StressResult, folder: Path) -> Html | None:
    if not result.films:
        return None
    shown = [_film(result, kind, made, folder) for kind, made in result.films.items()]
    intro = (
        "One episode of each, at the first size played at which success has halved, else at the largest: a "
        "start that succeeds undisturbed and fails here, if there is one, so no typical sample. The video "
        "shows what happens, not what the policy sees."
    )
    return section("Episodes to watch", grid(shown, columns=4), intro=intro)


def _film(result: StressResult, kind: str, made: Mapping[str, object], folder: Path) -> Html:
    caption = f"{KINDS[kind].title}, {made['size']:g} {result.unit(kind)}, seed {made['seed']}"
    return video(folder / str(made["file"]), caption, not made["success"])


def _every_cell(result: StressResult) -> Html:
    head = ["perturbation", "size", "unit", "success", "95 % interval", "change", "95 % interval of change"]
    head += [f"mean {result.plain.score_name}"] if result.plain.score_name != "success" else []
    cells = [Cell(PLAIN, 0.0, result.plain), *(c for kind in result.kinds for c in result.of_kind(kind)[1:])]
    whole = tag("div", table(head, [_row(result, cell) for cell in cells], numeric=(1, 3, 5)), class_="tall")
    intro = "Changes are against the undisturbed episodes, seed by seed (Newcombe 1998, paired)."
    return section("Every size", whole, intro=intro)


def _row(result: StressResult, cell: Cell) -> list[object]:
    low, high = cell.result.interval
    row: list[object] = ["undisturbed", "0", "", percent(cell.result.success_rate), _range(low, high), "", ""]
    if cell.kind != PLAIN:
        pair = result.against_plain(cell)
        row[:3] = [KINDS[cell.kind].title, f"{cell.size:g}", result.unit(cell.kind)]
        row[5:] = [f"{100 * pair.difference:+.0f}".replace("-", "−"), _range(*pair.interval())]
    return [*row, f"{cell.result.mean_score:.3f}"] if result.plain.score_name != "success" else row


def _range(low: float, high: float) -> str:
    return f"{100 * low:.0f} to {100 * high:.0f} %".replace("-", "−")


def _provenance(result: StressResult, against: StressResult | None) -> Html:
    origin, episodes = result.plain.provenance, result.plain.episodes
    keys = ("date", "device", "commit", "checkpoint")
    said: dict[str, object] = {key: tag("code", origin[key]) for key in keys if origin.get(key)}
    said["checkpoint hash"] = short(origin.get("checkpoint_hash"))
    said["seeds"] = (
        f"{min(e.seed for e in episodes)} to {max(e.seed for e in episodes)}, the same for every size"
    )
    if against is not None:
        said["compared with"] = tag("code", against.plain.provenance.get("checkpoint", "unknown"))
    return section("Where this comes from", facts(said), *repeat(origin), *_noise(result))


def _noise(result: StressResult) -> list[Html]:
    values = {key: ", ".join(map(amount, value)) for key, value in result.noise["values"].items()}
    if "noise" not in result.kinds or not values:
        return []
    name = tag("summary", f"Noise of size 1 in physical units ({result.noise['words']})")
    return [tag("details", name, facts(values))]
