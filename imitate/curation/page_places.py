"""Where in the state space demonstrators disagree, and how much what follows an action varies."""

import numpy as np

from imitate.curation.measurement import Measurement
from imitate.curation.page_map import HexMap, Window
from imitate.curation.page_map_drawing import (
    Scale,
    axis_names,
    hexagon_shape,
    score_map,
    state_columns,
    state_ranges,
)
from imitate.curation.page_scores import score_label
from imitate.page import Html, amount, grid, paragraph, percent, section, tag

FIRST = ("divergence", "diversity")
EXAMPLES = 4
TITLES = {
    "divergence": "Action divergence: where demonstrators disagree",
    "diversity": "Transition diversity: where outcomes vary",
}


def hex_map(
    measured: Measurement, projection: np.ndarray | None = None, window: Window | None = None
) -> HexMap:
    """The steps of `measured` on a plane: its own, or `projection` (N, 2) as seen through `window`."""
    plane = measured.projection if projection is None else projection
    episode = np.repeat(np.arange(len(measured.episodes)), [e.record.steps for e in measured.episodes])
    return HexMap.of(plane, episode, window or Window.around([plane]))


def maps(measured: Measurement, hexes: HexMap) -> Html:
    """The maps of every score that steps have, the places of greatest divergence listed below."""
    known = {name: v for name, v in measured.steps_scores.items() if np.isfinite(v).any()}
    if not known or not len(hexes.centres):
        words = "No score of single steps can be told from this data, so there is no map."
        return section("Where demonstrators disagree", paragraph(words))
    places = hexes.places(known["divergence"]) if "divergence" in known else []
    axes = axis_names(measured, measured.projection)
    drawn = {name: _map(hexes, name, known[name], axes, places) for name in known}
    first = [drawn.pop(name) for name in FIRST if name in drawn]
    more = (
        [tag("details", tag("summary", "Maps of the other scores"), grid(drawn.values(), 2))] if drawn else []
    )
    intro = (
        "Every step of every episode, laid out so that similar states lie close together. Strong colour is a "
        "high mean. Choose a hexagon to see who was there (click, or arrow keys on the map)."
    )
    found = [_place_list(measured, hexes, known["divergence"], places)] if places else []
    shown = tag("div", class_="visits card", id="visits", aria_live="polite", hidden=True)
    return section(
        "Where demonstrators disagree", hexagon_shape(), grid(first, 2), shown, *found, *more, intro=intro
    )


def _map(hexes: HexMap, name: str, values: np.ndarray, axes: tuple[str, str], places: list[int]) -> Html:
    title = TITLES.get(name) or score_label(name).label.capitalize()
    scale = Scale.of(hexes.means(values))
    return score_map(hexes, values, title, axes, scale, places if name == "divergence" else [])


def _place_list(measured: Measurement, hexes: HexMap, values: np.ndarray, places: list[int]) -> Html:
    means = hexes.means(values)
    usual = float(np.nanmean(values))
    items = [
        tag(
            "li",
            tag("button", f"Place {number}", type="button", data_b=b),
            f" divergence {amount(float(means[b]))}, {_times(float(means[b]), usual)} the mean of all steps; "
            f"{amount(int(hexes.counts[b]))} steps of {amount(int(hexes.episodes[b]))} episodes, "
            f"{_when(measured, hexes, b)}. {_description(measured, hexes.bins == b)} ",
            _examples(measured, hexes, values, b),
        )
        for number, b in enumerate(places, 1)
    ]
    return tag("div", tag("h3", "The places of greatest divergence"), tag("ol", *items, class_="places"))


def _times(value: float, usual: float) -> str:
    return f"{amount(value / usual, 2)} ×" if usual > 0 else "above"


def _when(measured: Measurement, hexes: HexMap, b: int) -> str:
    rows = np.flatnonzero(hexes.bins == b)
    lengths = np.array([e.record.steps for e in measured.episodes])
    through = (rows - measured.starts[hexes.episode[rows]]) / lengths[hexes.episode[rows]]
    return f"typically {percent(float(np.median(through)))} of the way through"


def _description(measured: Measurement, inside: np.ndarray) -> str:
    """The state there, by the three dimensions that are least usual."""
    ranges = state_ranges(measured)
    if not ranges:
        return ""
    here = np.nanmean(state_columns(measured, inside), axis=0)
    apart = [-abs(there - one.mean) / one.std for there, one in zip(here, ranges, strict=True)]
    unusual = np.argsort(apart, kind="stable")[:3]
    return "There " + ", ".join(f"{ranges[i].name} ≈ {amount(float(here[i]), 2)}" for i in unusual) + "."


def _examples(measured: Measurement, hexes: HexMap, values: np.ndarray, b: int) -> Html:
    """The episodes that differ most from the others there."""
    rows = np.flatnonzero((hexes.bins == b) & np.isfinite(values))
    order = rows[np.argsort(-values[rows], kind="stable")]
    whose = list(dict.fromkeys(hexes.episode[order].tolist()))[:EXAMPLES]
    links = [episode_link(measured.episodes[i].record.id) for i in whose]
    said = [part for link in links for part in (link, ", ")][:-1]
    return tag("span", "Most unlike the others: ", *said, ".")


def episode_link(name: str) -> Html:
    """The name of an episode, which opens it where scripts run."""
    return tag("a", name, href="#", data_episode=name)
