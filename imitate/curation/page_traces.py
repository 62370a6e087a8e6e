"""The numbers behind the interactive parts of the page, once and small: traces as one byte per value."""

import base64
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np

from imitate.curation.measurement import Measurement
from imitate.curation.page_csv import score_names
from imitate.curation.page_map import HexMap
from imitate.curation.page_scores import score_label
from imitate.datasets.episode_store import ACTION

POINTS, FEWEST_POINTS = 120, 20
MAX_ACTIONS, MAX_CURVES = 10, 28
# All traces of a page together; more episodes get fewer points each.
BUDGET_BYTES = 1_600_000
# Byte values 0 to 254 are a range from low to high, 255 says that the value is not known.
STEPS, UNKNOWN = 254, 255
MAX_VISITS = 60


@dataclass(frozen=True)
class Curve:
    """One thing that is drawn over time: its values (N,) with the range that the bytes span."""

    label: str
    unit: str
    kind: str
    values: np.ndarray
    low: float
    high: float

    def quantised(self, values: np.ndarray) -> np.ndarray:
        """`values` as uint8: 0 is low, 254 is high, 255 unknown."""
        span = self.high - self.low
        share = np.clip((np.nan_to_num(values) - self.low) / (span if span > 0 else 1.0), 0, 1)
        return np.where(np.isfinite(values), np.round(STEPS * share), UNKNOWN).astype(np.uint8)

    def to_json(self) -> dict[str, Any]:
        """Everything but the values."""
        return {"label": self.label, "unit": self.unit, "kind": self.kind, "low": self.low, "high": self.high}


def page_data(measured: Measurement, hexes: HexMap) -> dict[str, Any]:
    """What the scripts read: curves, scores, episodes with traces, flags, and who was in which hexagon."""
    curves = [*signal_curves(measured), *score_curves(measured)]
    names = score_names(measured)
    points = _points(len(measured.episodes), len(curves))
    return {
        "curves": [curve.to_json() for curve in curves],
        "scores": [{"name": name, **vars(score_label(name))} for name in names],
        "episodes": [_episode(measured, i, curves, names, points) for i in range(len(measured.episodes))],
        "flags": [[f.episode, f.start, f.stop, f.fault, f.text] for f in measured.flags],
        "visits": _visits(hexes, measured.starts),
    }


def _points(episodes: int, curves: int) -> int:
    return max(FEWEST_POINTS, min(POINTS, BUDGET_BYTES // max(1, episodes * curves)))


def signal_curves(measured: Measurement) -> list[Curve]:
    """The action's dimensions and those of the state that move most within episodes; no constants."""
    actions = _columns(measured, ACTION)[:MAX_ACTIONS]
    states = [curve for key in measured.arrays if key != ACTION for curve in _columns(measured, key)]
    motion = [_motion(measured, curve.values) for curve in states]
    best = np.argsort(-np.array(motion), kind="stable")[: MAX_CURVES - len(actions)]
    return actions + [states[i] for i in sorted(best)]


def _columns(measured: Measurement, key: str) -> list[Curve]:
    flat = measured.arrays[key].reshape(measured.steps, -1)
    kind = "action" if key == ACTION else "state"
    return [
        Curve(one.name, one.unit, kind, flat[:, i], one.min, one.max)
        for i, one in enumerate(measured.ranges[key])
        if not one.is_constant and np.isfinite(one.min)
    ]


def _motion(measured: Measurement, values: np.ndarray) -> float:
    """The share of the variance of `values` (N,) that lies within episodes."""
    known = np.nan_to_num(values.astype(np.float64), posinf=0.0, neginf=0.0)
    counts = np.array([e.record.steps for e in measured.episodes])
    means = np.add.reduceat(known, measured.starts) / counts
    total = float(np.var(known))
    return 1 - float(np.average((means - known.mean()) ** 2, weights=counts)) / total if total > 0 else 0.0


def score_curves(measured: Measurement) -> list[Curve]:
    """The scores of single steps, from 0 (or less) to what 99 % of steps stay below."""
    curves = []
    for name, values in measured.steps_scores.items():
        known = values[np.isfinite(values)]
        if len(known):
            label = score_label(name)
            low, high = min(0.0, float(known.min())), float(np.quantile(known, 0.99))
            high = high if high > low else float(known.max())
            curves.append(Curve(label.label, label.unit, "score", values, low, high))
    return curves


def _episode(
    measured: Measurement, i: int, curves: Sequence[Curve], names: list[str], points: int
) -> dict[str, Any]:
    episode, record = measured.episodes[i], measured.episodes[i].record
    rows = measured.slice_of(i)
    at = np.unique(np.linspace(0, record.steps - 1, min(points, record.steps)).round().astype(int))
    traces = [curve.quantised(_sampled(curve, curve.values[rows], at)) for curve in curves]
    return {
        "id": record.id,
        "steps": record.steps,
        "rate": record.rate_hz or measured.spec.rate_hz,
        "points": len(at),
        "traces": base64.b64encode(np.concatenate([*traces, np.empty(0, np.uint8)])).decode(),
        "scores": [_short(episode.scores.get(name)) for name in names],
    }


def _sampled(curve: Curve, values: np.ndarray, at: np.ndarray) -> np.ndarray:
    """Signals at the steps `at`; scores at their highest from each of those to the next, as peaks matter."""
    return np.fmax.reduceat(values, at) if curve.kind == "score" else values[at]


def _short(value: float | None) -> float | None:
    return None if value is None or not np.isfinite(value) else float(f"{value:.4g}")


def _visits(hexes: HexMap, starts: np.ndarray) -> list[list[int]]:
    """For each hexagon episode, first step, step after the last, and so on: its longest stays, flat."""
    stays = hexes.visits(starts)
    bounds = np.searchsorted(stays[:, 0], np.arange(len(hexes.centres) + 1))
    chosen = []
    for low, high in pairwise(bounds):
        here = stays[low:high, 1:]
        longest = np.sort(np.argsort(here[:, 1] - here[:, 2], kind="stable")[:MAX_VISITS])
        chosen.append(here[longest].reshape(-1).tolist())
    return chosen
