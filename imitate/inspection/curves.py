"""What is drawn over time: every element of action and observation, an action with the state it follows."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from imitate.datasets.episode_store import ACTION
from imitate.inspection.reading import is_narrow
from imitate.inspection.survey import Survey
from imitate.types import ArraySpec, DataSpec

MAX_PANELS = 96
POINTS, FEWEST_POINTS = 400, 40
MAX_VALUES = 120_000
"""Numbers of all curves of a page together, some 0.8 MB; longer episodes are thinned to fit."""


@dataclass(frozen=True)
class Element:
    """Element `index` of the flattened array `key`: a number per step. Name and unit are empty if unknown."""

    key: str
    index: int
    name: str
    unit: str

    @property
    def label(self) -> str:
        """What to call it where the array is not named beside it."""
        return self.name or f"{self.key}[{self.index}]"


@dataclass(frozen=True)
class Panel:
    """Elements that share one pair of axes: one, or an action with the observation of the same name."""

    elements: tuple[Element, ...]

    @property
    def title(self) -> str:
        """The name, and of which arrays."""
        first = self.elements[0]
        return (
            first.label if not first.name else f"{first.name} ({' and '.join(e.key for e in self.elements)})"
        )


def elements(key: str, spec: ArraySpec) -> list[Element]:
    """Every element of an array, in its flattened order."""
    names, units = spec.names or ("",) * spec.size, spec.units or ("",) * spec.size
    return [Element(key, i, name, unit) for i, (name, unit) in enumerate(zip(names, units, strict=True))]


def panels(spec: DataSpec) -> list[Panel]:
    """All that can be drawn: the action's elements first, each with what it follows, then all others.

    An action follows the observation of the same name and unit, where exactly one has them; a unit that
    nobody told fits any.
    """
    seen = [e for key, one in spec.obs.items() if is_narrow(one) for e in elements(key, one)]
    acted = elements(ACTION, spec.action) if is_narrow(spec.action) else []
    followed = {action: state for action in acted if (state := _followed(action, seen)) is not None}
    taken = set(followed.values())
    first = [Panel((action, followed[action]) if action in followed else (action,)) for action in acted]
    return first + [Panel((state,)) for state in seen if state not in taken]


def _followed(action: Element, seen: list[Element]) -> Element | None:
    alike = [state for state in seen if action.name and state.name == action.name]
    fitting = [state for state in alike if state.unit == action.unit]
    fitting = fitting or [state for state in alike if not state.unit or not action.unit]
    return fitting[0] if len(fitting) == 1 else None


def curve_data(survey: Survey) -> dict[str, Any]:
    """What the page's script draws, as JSON values: the panels, and the shown episodes with their values.

    panels: [{title, unit, group, kinds}], kinds "action" or "state" of each line. episodes: [{id, said, rate,
    at: steps (P,), lines: per panel per line values (P,), null where not finite}].
    """
    drawn = panels(survey.spec)[:MAX_PANELS]
    lines = sum(len(panel.elements) for panel in drawn)
    points = max(FEWEST_POINTS, min(POINTS, MAX_VALUES // max(1, lines * len(survey.shown))))
    return {
        "panels": [
            {
                "title": panel.title,
                "unit": panel.elements[0].unit or panel.elements[-1].unit,
                "group": panel.elements[0].key,
                "kinds": ["action" if e.key == ACTION else "state" for e in panel.elements],
            }
            for panel in drawn
        ],
        "episodes": [_episode(survey, place, drawn, points) for place in survey.shown],
    }


def _episode(survey: Survey, place: int, drawn: list[Panel], points: int) -> dict[str, Any]:
    record, rows = survey.record_at(place), survey.rows(place)
    at = np.unique(np.linspace(0, record.steps - 1, min(points, record.steps)).round().astype(int))
    flat = {key: array[rows].reshape(record.steps, -1) for key, array in survey.arrays.items()}
    return {
        "id": record.id,
        "rate": survey.rate_of(record),
        "outcome": {True: "success", False: "failure", None: ""}[record.success],
        "steps": record.steps,
        "at": at.tolist(),
        "lines": [[list(_short(flat[e.key][at, e.index])) for e in panel.elements] for panel in drawn],
    }


def _short(values: np.ndarray) -> Iterator[float | None]:
    return (float(f"{value:.4g}") if np.isfinite(value) else None for value in values)
