"""The report of a data set: one HTML page for people, and beside it the same as JSON for programs."""

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from imitate import __version__
from imitate.curation.measurement import MeasuredEpisode, Measurement, measure
from imitate.curation.report_page import report_page
from imitate.curation.verdict import Finding, advice, findings, summary
from imitate.datasets.episode_store import EpisodeStore
from imitate.datasets.quality.neighbours import NeighbourAgreement
from imitate.datasets.quality.ranges import DimensionRange
from imitate.errors import ConfigError
from imitate.page import write_whole
from imitate.progress import SILENT, Progress


@dataclass(frozen=True)
class Report:
    """A data set's verdict, and the two files that give its grounds."""

    page: Path
    json_file: Path
    content: Mapping[str, Any]
    findings: list[Finding]


def write_report(store: EpisodeStore, out: Path, progress: Progress = SILENT) -> Report:
    """Measure `store` and write the page `out` (….html) and, beside it, the same name with .json.

    Raises ConfigError where `out` names no .html file, DataError for a store without episodes.
    """
    if out.suffix.lower() not in (".html", ".htm"):
        raise ConfigError(f"out is {str(out)!r}, expected the name of an .html file such as report.html")
    measured = measure(store, progress)
    found = findings(measured)
    content = report_json(store, measured, found)
    page = write_whole(out, report_page(store, measured, found, out))
    text = json.dumps(content, indent=1, ensure_ascii=False, allow_nan=False)
    return Report(page, write_whole(out.with_suffix(".json"), text + "\n"), content, found)


def report_json(store: EpisodeStore, measured: Measurement, found: list[Finding]) -> dict[str, Any]:
    """Everything the page says, as plain JSON values; null where a number cannot be told."""
    return {
        "verdict": summary(measured),
        "advice": advice(measured),
        "findings": [{"level": finding.level, "text": finding.text} for finding in found],
        "data": {
            "path": str(store.path),
            "hash": store.content_hash(),
            "source": store.source,
            "episodes": len(measured.episodes),
            "steps": measured.steps,
            "rate_hz": store.spec.rate_hz,
        },
        "episodes": [
            {
                "id": episode.record.id,
                "success": episode.record.success,
                "scores": {name: _number(value) for name, value in episode.scores.items()},
                "quality": episode.quality,
                "fault": episode.fault,
                "keep": episode.keep,
                "reasons": episode.reasons,
                "segments": [
                    {"start": cut[0], "stop": cut[1], "weight": 0.0} for cut in [episode.cut] if cut
                ],
            }
            for episode in measured.episodes
        ],
        "dimensions": {key: [_dimension(one) for one in ranges] for key, ranges in measured.ranges.items()},
        "action_mean_squared_jerk": [_number(value) for value in measured.action_jerk.tolist()],
        "neighbours": _neighbours(measured.agreement),
        "near_duplicates": [
            {"ids": [measured.episodes[i].record.id for i in pair], "share": share}
            for *pair, share in measured.near_duplicates
        ],
        "versions": {"imitate": __version__},
    }


def segments_json(episode: MeasuredEpisode) -> list[dict[str, Any]]:
    """The parts of an episode that do not count, as a keep-list has them."""
    if episode.cut is None:
        return []
    start, stop = episode.cut
    return [{"start": start, "stop": stop, "weight": 0.0}]


def _dimension(one: DimensionRange) -> dict[str, Any]:
    numbers = {
        name: _number(getattr(one, name)) for name in ("min", "max", "mean", "std", "at_min", "at_max")
    }
    flags = {
        name: getattr(one, name) for name in ("is_constant", "is_two_valued", "is_saturated", "leaves_range")
    }
    return {"name": one.name, "unit": one.unit, **numbers, **flags}


def _neighbours(agreement: NeighbourAgreement | None) -> dict[str, Any] | None:
    if agreement is None:
        return None
    names = ("near", "random", "own", "near_distance", "random_distance", "neighbours", "ratio")
    return {name: getattr(agreement, name) for name in names}


def _number(value: float | None) -> float | None:
    return None if value is None or not math.isfinite(value) else value
