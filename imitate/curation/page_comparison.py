"""Two data sets side by side: the same figures for both, on the same axes and in the same shades."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from imitate import __version__
from imitate.curation.episode_viewer import asset
from imitate.curation.measurement import Measurement
from imitate.curation.page_csv import score_column, score_names
from imitate.curation.page_distributions import Spread, distributed, distribution, edges
from imitate.curation.page_map import HexMap, Window
from imitate.curation.page_map_drawing import Scale, axis_names, hexagon_shape, score_map
from imitate.curation.page_places import TITLES, hex_map
from imitate.curation.page_scores import headed, score_label
from imitate.curation.verdict import advice, summary
from imitate.datasets.quality.features import CONSTANT, state_features
from imitate.page import Html, amount, facts, grid, headline, paragraph, percent, render, section, table, tag


@dataclass(frozen=True)
class Side:
    """One of the two sets: what to call it, its measurement, and both sets' states on one plane, (N, 2)."""

    name: str
    measured: Measurement
    projection: np.ndarray


def comparison_page(a: Measurement, b: Measurement, names: tuple[str, str]) -> str:
    """The whole document for the sets `a` and `b`, called `names`.

    Maps are drawn where both have states of the same kind; everything else always.
    """
    planes = common_projection(a, b)
    sides = [Side(name, m, plane) for name, m, plane in zip(names, (a, b), planes, strict=True)]
    parts = [
        headline(f"{names[0]} and {names[1]}", "Two data sets side by side", _verdicts(sides)),
        section("In numbers", _numbers(sides)),
        _maps(sides),
        _distributions(sides),
        section("Where this comes from", facts({"imitate": __version__})),
    ]
    return render(f"{names[0]} and {names[1]}", *parts, style=asset("page_report.css"))


def common_projection(a: Measurement, b: Measurement) -> tuple[np.ndarray, np.ndarray]:
    """The states of both sets on their first two common principal components, (Na, 2) and (Nb, 2) float32.

    Both sets count the same, whatever their size. Empty (0, 2) where their states are not of the same kind;
    rows that are not finite stay NaN.
    """
    kinds = [{key: spec for key, spec in m.spec.obs.items() if key in m.arrays} for m in (a, b)]
    shapes = [{key: spec.shape for key, spec in kind.items()} for kind in kinds]
    if shapes[0] != shapes[1] or not shapes[0]:
        return np.empty((0, 2), np.float32), np.empty((0, 2), np.float32)
    states = [state_features(m.arrays, kinds[0]) for m in (a, b)]
    fine = [np.isfinite(state).all(axis=1) for state in states]
    for state, known in zip(states, fine, strict=True):
        state[~known] = 0.0
    moments = [(s[f].mean(axis=0), np.mean(s[f] ** 2, axis=0)) for s, f in zip(states, fine, strict=True)]
    mean, square = (np.mean([m[k] for m in moments], axis=0) for k in (0, 1))
    std = np.sqrt(np.maximum(square - mean**2, 0))
    moving = std > CONSTANT * np.maximum(1, np.abs(mean))
    scaled = [(state[:, moving] - mean[moving]) / std[moving] for state in states]
    covariance = np.mean([s[f].T @ s[f] / f.sum() for s, f in zip(scaled, fine, strict=True)], axis=0)
    directions = _two_directions(covariance)
    first, second = (np.where(f[:, None], s @ directions, np.nan) for s, f in zip(scaled, fine, strict=True))
    return first.astype(np.float32), second.astype(np.float32)


def _two_directions(covariance: np.ndarray) -> np.ndarray:
    """The two principal directions (F, 2), each signed so that its largest entry is positive."""
    _, vectors = np.linalg.eigh(covariance)
    chosen = vectors[:, ::-1][:, :2]
    if chosen.shape[1] < 2:
        chosen = np.concatenate([chosen, np.zeros((len(chosen), 2 - chosen.shape[1]))], axis=1)
    largest = chosen[np.abs(chosen).argmax(axis=0), [0, 1]] if len(chosen) else np.ones(2)
    return chosen * np.where(largest < 0, -1, 1)


def _verdicts(sides: Sequence[Side]) -> Html:
    return grid([_verdict(side) for side in sides], 2)


def _verdict(side: Side) -> Html:
    kept = sum(episode.keep for episode in side.measured.episodes)
    things = advice(side.measured)
    to_do = [tag("ol", *(tag("li", text) for text in things))] if things else []
    return tag(
        "div",
        tag("h3", side.name),
        tag("p", tag("strong", f"{kept} of {len(side.measured.episodes)} kept. "), summary(side.measured)),
        *to_do,
        class_="card",
    )


def _numbers(sides: Sequence[Side]) -> Html:
    """Sizes and the median of every score, one column for each set."""
    rows: list[list[object]] = [
        ["episodes", *(amount(len(s.measured.episodes)) for s in sides)],
        ["steps", *(amount(s.measured.steps) for s in sides)],
        ["kept", *(percent(float(np.mean([e.keep for e in s.measured.episodes]))) for s in sides)],
        ["median quality", *(f"{np.median([e.quality for e in s.measured.episodes]):.2f}" for s in sides)],
    ]
    faults = sorted({e.fault for s in sides for e in s.measured.episodes if e.fault})
    for fault in faults:
        shares = (np.mean([e.fault == fault for e in s.measured.episodes]) for s in sides)
        rows.append([f"called {fault}", *(percent(float(share)) for share in shares)])
    for name in dict.fromkeys(name for s in sides for name in score_names(s.measured)):
        better = score_label(name).better
        words = f"median {headed(name)}" + (f" ({better} is better)" if better else "")
        rows.append([words, *(_median(s.measured, name) for s in sides)])
    return table(["", *(side.name for side in sides)], rows, [1, 2])


def _median(measured: Measurement, name: str) -> str:
    values = score_column(measured, name)
    known = values[np.isfinite(values)]
    return amount(float(np.median(known))) if len(known) else "–"


def _maps(sides: Sequence[Side]) -> Html:
    both = [name for name in sides[0].measured.steps_scores if name in sides[1].measured.steps_scores]
    if not both or not all(len(side.projection) for side in sides):
        words = "The sets have no states or no scores of single steps in common, so there is no common map."
        return section("Where demonstrators disagree", paragraph(words))
    window = Window.around([side.projection for side in sides])
    hexes = [hex_map(side.measured, side.projection, window) for side in sides]
    drawn = [figure for name in both for figure in _pair(sides, hexes, name)]
    intro = (
        "Both sets on the same plane: a state lies at the same place in both, and equal shades are equal "
        "means. What only one set covers is empty in the other. Each set's scores are relative to its own "
        "random states."
    )
    return section("Where demonstrators disagree", hexagon_shape(), grid(drawn, 2), intro=intro)


def _pair(sides: Sequence[Side], hexes: Sequence[HexMap], name: str) -> list[Html]:
    values = [side.measured.steps_scores[name] for side in sides]
    scale = Scale.of(np.concatenate([h.means(v) for h, v in zip(hexes, values, strict=True)]))
    axes = axis_names(sides[0].measured, sides[0].projection)
    title = (TITLES.get(name) or score_label(name).label.capitalize()).split(":")[0]
    return [
        score_map(h, v, f"{title}: {side.name}", axes, scale, h.places(v) if name == "divergence" else [])
        for side, h, v in zip(sides, hexes, values, strict=True)
    ]


def _distributions(sides: Sequence[Side]) -> Html:
    first, second = ({(one.title, one.label): one for one in distributed(side.measured)} for side in sides)
    charts = []
    for kind in [kind for kind in first if kind in second]:
        bounds = edges(first[kind].values, second[kind].values)
        charts += [
            _histogram(side, one[kind], bounds) for side, one in zip(sides, (first, second), strict=True)
        ]
    return section("Length, smoothness, quality", grid(charts, 2))


def _histogram(side: Side, one: Spread, bounds: np.ndarray) -> Html:
    kept = np.array([episode.keep for episode in side.measured.episodes])
    return distribution(replace(one, title=f"{one.title}: {side.name}"), kept, bounds)
