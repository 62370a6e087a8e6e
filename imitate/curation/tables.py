"""The tables of the data set report."""

import numpy as np

from imitate.curation.measurement import Measurement
from imitate.datasets.episode_store import ACTION
from imitate.datasets.quality.ranges import DimensionRange
from imitate.page import Html, amount, percent, sparkline, table, tag

MAX_DIMENSIONS = 64


def dimension_table(measured: Measurement, key: str) -> Html:
    """Every dimension of one array: range, spread, histogram and what is odd about it."""
    array = measured.arrays[key].reshape(measured.steps, -1)
    ranges = measured.ranges[key][:MAX_DIMENSIONS]
    head = ["dimension", "unit", "smallest", "mean", "largest", "std", "histogram", "remarks"]
    if key == ACTION:
        head.insert(6, "rms jerk [unit/s³]" if measured.spec.rate_hz else "rms jerk [unit/step³]")
    rows = []
    for i, one in enumerate(ranges):
        numbers = [amount(value) for value in (one.min, one.mean, one.max, one.std)]
        if key == ACTION:
            numbers.append(amount(float(np.sqrt(measured.action_jerk[i]))))
        rows.append([one.name, one.unit or "–", *numbers, sparkline(array[:, i]), _remarks(one)])
    return table(head, rows, numeric=range(2, len(head) - 2))


def _remarks(one: DimensionRange) -> Html:
    said = []
    if one.leaves_range:
        said.append(tag("span", f"✕ outside {amount(one.low)} … {amount(one.high)}", class_="bad"))
    if one.is_constant:
        said.append(tag("span", "● constant"))
    elif one.is_two_valued:
        said.append(tag("span", "two values"))
    if one.is_saturated:
        end, share = ("largest", one.at_max) if one.at_max >= one.at_min else ("smallest", one.at_min)
        said.append(tag("span", f"● at {end} value in {percent(share)} of steps"))
    return tag("span", *said)


def relative_jerk(measured: Measurement) -> np.ndarray:
    """Each episode's mean squared jerk over the median episode's, (E,); NaN where it cannot be taken."""
    jerk = measured.score("jerk")
    known = jerk[np.isfinite(jerk)]
    middle = float(np.median(known)) if len(known) else np.nan
    return jerk / (middle if middle > 0 else np.nan)
