"""Maps of the states drawn as hexagons whose colour is a score and whose size is the number of steps."""

from dataclasses import dataclass

import numpy as np

from imitate.curation.measurement import Measurement
from imitate.curation.page_map import HEIGHT, WIDTH, HexMap
from imitate.datasets.episode_store import ACTION
from imitate.datasets.quality.ranges import DimensionRange
from imitate.datasets.quality.room import covariance, in_blocks
from imitate.page import Html, amount, joined, paragraph, tag

SHADES = 7
# Hexagons with few steps are drawn smaller, down to this share of the full size.
SMALLEST = 0.45
EDGE = 8


@dataclass(frozen=True)
class Scale:
    """Which value gets the palest and which the strongest shade; values beyond get the same."""

    low: float
    high: float

    @classmethod
    def of(cls, values: np.ndarray) -> "Scale":
        """From the 5 % to the 95 % quantile of the known `values`."""
        known = values[np.isfinite(values)]
        low, high = np.quantile(known, (0.05, 0.95)) if len(known) else (0.0, 1.0)
        return cls(float(low), float(high))

    def shades(self, values: np.ndarray) -> np.ndarray:
        """A shade from 0 to SHADES - 1 for each value, -1 where it is unknown."""
        span = self.high - self.low
        share = np.clip((np.nan_to_num(values) - self.low) / (span if span > 0 else 1.0), 0, 1)
        return np.where(np.isfinite(values), np.minimum((share * SHADES).astype(int), SHADES - 1), -1)


def hexagon_shape() -> Html:
    """The shape all maps refer to; it must stand once on a page, before the first map."""
    angles = np.deg2rad(np.arange(30, 390, 60))
    points = " ".join(f"{np.cos(a):.3f},{np.sin(a):.3f}" for a in angles)
    shape = tag("polygon", id="hexagon", points=points)
    return tag("svg", tag("defs", shape), width=0, height=0, class_="shapes", aria_hidden="true")


def score_map(
    hexes: HexMap, values: np.ndarray, title: str, axes: tuple[str, str], scale: Scale, places: list[int]
) -> Html:
    """The mean of `values` (N,) in every hexagon, with `places` numbered from 1."""
    means = hexes.means(values)
    shades = scale.shades(means)
    sizes = hexes.radius * _sizes(hexes.counts)
    cells = [_cell(hexes, b, means[b], int(shades[b]), sizes[b]) for b in range(len(hexes.centres))]
    marks = [_mark(number, *hexes.centres[b]) for number, b in enumerate(places, 1)]
    drawing = tag(
        "svg",
        tag("g", *cells, class_="cells"),
        *marks,
        viewBox=f"{-EDGE} {-EDGE} {WIDTH + 2 * EDGE:g} {HEIGHT + 2 * EDGE:g}",
        role="img",
        aria_label=title,
        class_="hexes",
        tabindex=0,
    )
    under = paragraph(f"→ {axes[0]}", tag("br"), f"↑ {axes[1]}", class_="note")
    return tag("figure", tag("figcaption", title), drawing, _key(scale), under, class_="map")


def _sizes(counts: np.ndarray) -> np.ndarray:
    """Shares of the full size: the root of the count, full from the 90 % quantile on."""
    full = max(1.0, float(np.quantile(counts, 0.9))) if len(counts) else 1.0
    return np.clip(np.sqrt(counts / full), SMALLEST, 1.0)


def _cell(hexes: HexMap, b: int, mean: float, shade: int, size: float) -> Html:
    x, y = hexes.centres[b]
    words = f"mean {amount(float(mean))}, {_count(int(hexes.counts[b]), 'step')} of "
    said = tag("title", words + _count(int(hexes.episodes[b]), "episode"))
    look = f"q{shade}" if shade >= 0 else "unknown"
    place = f"translate({x:.1f} {y:.1f})scale({size:.1f})"
    return tag("use", said, href="#hexagon", transform=place, class_=look, data_b=b)


def _count(number: int, thing: str) -> str:
    return f"{amount(number)} {thing}" + ("" if number == 1 else "s")


def _mark(number: int, x: float, y: float) -> Html:
    word = tag("text", number, x=f"{x:.1f}", y=f"{y + 4.2:.1f}")
    return tag("g", tag("circle", cx=f"{x:.1f}", cy=f"{y:.1f}", r=8.5), word, class_="mark")


def _key(scale: Scale) -> Html:
    swatches = joined(tag("i", class_=f"q{shade}") for shade in range(SHADES))
    words = f"{amount(scale.high)} and more; larger hexagons hold more steps"
    return paragraph(f"{amount(scale.low)} ", swatches, f" {words}", class_="key")


def axis_names(measured: Measurement, projection: np.ndarray) -> tuple[str, str]:
    """What the two directions of `projection` (N, 2) mostly are: the state dimensions that go with them."""
    names = [one.name for one in state_ranges(measured)]
    both = in_blocks(
        measured.steps, lambda at: np.column_stack([state_columns(measured, at), projection[at]])
    )
    known = in_blocks(measured.steps, lambda at: np.isfinite(both[at]).all(axis=1))
    if not names or np.count_nonzero(known) < 3:
        return "first principal component", "second principal component"
    _, products = covariance(both, known)
    size = np.sqrt(np.diag(products))
    spread = size[:-2, None] * size[-2:]
    match = np.divide(products[:-2, -2:], spread, out=np.zeros_like(spread), where=spread > 0)
    first, second = (_mostly(names, match[:, i]) for i in range(2))
    return f"first principal component of the states, {first}", f"second principal component, {second}"


def _mostly(names: list[str], match: np.ndarray) -> str:
    best = [i for i in np.argsort(-np.abs(match), kind="stable")[:2] if match[i]]
    return "mostly " + " and ".join(f"{'−' if match[i] < 0 else ''}{names[i]}" for i in best)


def state_ranges(measured: Measurement) -> list[DimensionRange]:
    """All state dimensions that ever change."""
    return [one for _, _, one in _moving(measured)]


def state_columns(measured: Measurement, rows: slice | np.ndarray) -> np.ndarray:
    """The values of `state_ranges` in some rows, (n, F) float64."""
    picked = {key: array[rows] for key, array in measured.arrays.items()}
    flat = {key: values.reshape(len(values), -1) for key, values in picked.items()}
    columns = [flat[key][:, i].astype(np.float64) for key, i, _ in _moving(measured)]
    return np.stack(columns, axis=1) if columns else np.empty((len(picked[ACTION]), 0))


def _moving(measured: Measurement) -> list[tuple[str, int, DimensionRange]]:
    ranges = [(key, i, one) for key in measured.arrays for i, one in enumerate(measured.ranges[key])]
    return [(key, i, one) for key, i, one in ranges if key != ACTION and not one.is_constant]
