"""The episodes of a report as a table for a spreadsheet."""

import csv
import io
import math

import numpy as np

from imitate.curation.measurement import Measurement

HEAD = ("id", "source", "operator", "style", "success", "keep", "weight", "quality", "fault")


def score_names(measured: Measurement) -> list[str]:
    """The scores any episode has, in the order in which they first appear."""
    return list(dict.fromkeys(name for episode in measured.episodes for name in episode.scores))


def score_column(measured: Measurement, name: str) -> np.ndarray:
    """One score of every episode, (E,) float64, NaN where an episode does not have it."""
    return np.array([episode.scores.get(name) for episode in measured.episodes], dtype=np.float64)


def episodes_csv(measured: Measurement) -> str:
    """One line per episode with every score: the numbers of the JSON, empty where it says null."""
    names = score_names(measured)
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow([*HEAD, *names, "reasons"])
    for episode in measured.episodes:
        record = episode.record
        said = [record.id, record.source, record.operator, episode.style, _word(record.success)]
        judged = [_word(episode.keep), _number(episode.weight), _number(episode.quality), episode.fault or ""]
        scores = [_number(episode.scores.get(name)) for name in names]
        writer.writerow([*said, *judged, *scores, "; ".join(episode.reasons)])
    return text.getvalue()


def _word(value: bool | None) -> str:
    return {True: "yes", False: "no", None: ""}[value]


def _number(value: float | None) -> str:
    return "" if value is None or not math.isfinite(value) else repr(float(value))
