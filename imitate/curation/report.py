"""The report of a data set: one HTML page for people, and beside it the same as JSON and CSV for programs."""

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from imitate import __version__
from imitate.curation.embedding import AUTO
from imitate.curation.measurement import MeasuredEpisode, Measurement
from imitate.curation.measuring import measure
from imitate.curation.page_comparison import comparison_page
from imitate.curation.page_csv import episodes_csv
from imitate.curation.report_page import report_page
from imitate.curation.verdict import Finding, advice, findings, summary
from imitate.datasets.episode_store import EpisodeStore
from imitate.datasets.quality.divergence import Agreement
from imitate.datasets.quality.neighbour_index import HERE, Place
from imitate.datasets.quality.ranges import DimensionRange
from imitate.errors import ConfigError
from imitate.page import require_page, write_whole
from imitate.progress import SILENT, Progress


@dataclass(frozen=True)
class Report:
    """A data set's verdict, and the three files that give its grounds."""

    page: Path
    json_file: Path
    csv_file: Path
    content: Mapping[str, Any]
    findings: list[Finding]


@dataclass(frozen=True)
class Comparison:
    """Two data sets side by side: what to call each, what was found in it, and the two files that say so.

    content: {"names": the two names, "sets": what report_json says of each}.
    """

    page: Path
    json_file: Path
    content: Mapping[str, Any]
    names: tuple[str, str]
    findings: tuple[list[Finding], list[Finding]]


def write_report(
    store: EpisodeStore, out: Path, progress: Progress = SILENT, images: str = AUTO, place: Place = HERE
) -> Report:
    """Measure `store` and write the page `out` (….html) and, beside it, the same name with .json and .csv.

    Raises ConfigError where `out` names no .html file or `images` is wrong (see measure), DataError for a
    store without episodes.
    """
    require_page(out)
    measured = measure(store, progress, images, place)
    found = findings(measured)
    content = report_json(store, measured, found)
    page = write_whole(out, report_page(store, measured, found, out))
    csv_file = write_whole(out.with_suffix(".csv"), episodes_csv(measured))
    return Report(page, _write_json(out, content), csv_file, content, found)


def write_comparison(
    a: EpisodeStore,
    b: EpisodeStore,
    out: Path,
    progress: Progress = SILENT,
    images: str = AUTO,
    place: Place = HERE,
) -> Comparison:
    """Measure both and write one page of both to `out` (….html), and beside it the same name with .json.

    Raises ConfigError where `out` names no .html file, `images` is wrong (see measure) or both are the same
    store, DataError for a store without episodes.
    """
    require_page(out)
    if a.path.resolve() == b.path.resolve():
        raise ConfigError(f"compare is {b.address!r}, the same data as data.path: give another store")
    first, second = (measure(store, progress, images, place) for store in (a, b))
    found = findings(first), findings(second)
    names = (a.path.name, b.path.name) if a.path.name != b.path.name else (a.address, b.address)
    sets = [report_json(a, first, found[0]), report_json(b, second, found[1])]
    content = {"names": list(names), "sets": sets}
    page = write_whole(out, comparison_page(first, second, names))
    return Comparison(page, _write_json(out, content), content, names, found)


def report_json(store: EpisodeStore, measured: Measurement, found: list[Finding]) -> dict[str, Any]:
    """Everything the page says, as plain JSON values; null where a number cannot be told."""
    return {
        "verdict": summary(measured),
        "advice": advice(measured),
        "findings": [{"level": finding.level, "text": finding.text} for finding in found],
        "data": {
            "path": store.address,
            "hash": store.content_hash(),
            "source": store.source,
            "episodes": len(measured.episodes),
            "steps": measured.steps,
            "rate_hz": store.spec.rate_hz,
        },
        "compared_by": measured.compared_by,
        "episodes": [
            {
                "id": episode.record.id,
                "success": episode.record.success,
                "scores": {name: _number(value) for name, value in episode.scores.items()},
                "quality": episode.quality,
                "fault": episode.fault,
                "keep": episode.keep,
                "reasons": episode.reasons,
                "segments": segments_json(episode),
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


def _write_json(out: Path, content: Mapping[str, Any]) -> Path:
    text = json.dumps(content, indent=1, ensure_ascii=False, allow_nan=False)
    return write_whole(out.with_suffix(".json"), text + "\n")


def _dimension(one: DimensionRange) -> dict[str, Any]:
    numbers = {
        name: _number(getattr(one, name)) for name in ("min", "max", "mean", "std", "at_min", "at_max")
    }
    flags = {
        name: getattr(one, name) for name in ("is_constant", "is_two_valued", "is_saturated", "leaves_range")
    }
    return {"name": one.name, "unit": one.unit, **numbers, **flags}


def _neighbours(agreement: Agreement | None) -> dict[str, Any] | None:
    if agreement is None:
        return None
    names = ("near", "random", "near_distance", "random_distance", "neighbours", "ratio")
    return {name: getattr(agreement, name) for name in names}


def _number(value: float | None) -> float | None:
    return None if value is None or not math.isfinite(value) else value
