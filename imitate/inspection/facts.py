"""A survey in words, for the page and the terminal alike."""

from collections.abc import Sequence

from imitate.datasets.quality.ranges import DimensionRange
from imitate.inspection.survey import Survey
from imitate.page import amount, percent
from imitate.types import ArraySpec


def rate_words(survey: Survey) -> str:
    """The rate, or that nobody said."""
    rates = {record.rate_hz for record in survey.records.values() if record.rate_hz}
    if survey.spec.rate_hz or len(rates) == 1:
        return f"{survey.spec.rate_hz or rates.pop():g} Hz"
    return f"{min(rates):g} to {max(rates):g} Hz" if rates else "rate unknown"


def outcomes(survey: Survey) -> dict[str, int]:
    """How many of the known episodes were judged how."""
    judged = [record.success for record in survey.records.values()]
    return {
        "successes": judged.count(True),
        "failures": judged.count(False),
        "unjudged": judged.count(None),
    }


def outcome_words(survey: Survey) -> str:
    """In words, how many were judged how."""
    found = outcomes(survey)
    return f"{found['successes']} successes, {found['failures']} failures, {found['unjudged']} not judged"


def sample_words(survey: Survey) -> str:
    """Which episodes were read."""
    count = len(survey.read)
    which = "evenly spread" if survey.read[-1] >= count else "the first"
    return f"{count} of {survey.episodes} episodes were read, {which}"


def duration_s(survey: Survey) -> float | None:
    """Of all episodes, s; None where not all are known, or a rate is not."""
    if survey.steps is None:
        return None
    pairs = [(record.steps, survey.rate_of(record)) for record in survey.records.values()]
    return sum(steps / rate for steps, rate in pairs if rate) if all(rate for _, rate in pairs) else None


def timing_words(survey: Survey) -> str:
    """What the time stamps say of jitter and gaps; empty where there are none."""
    found = survey.timings()
    if not found:
        return ""
    rates = [one["rate_hz"] for one in found if one.get("rate_hz")]
    jitter = max(one.get("jitter_s") or 0.0 for one in found)
    gaps = sum(one.get("gap_count") or 0 for one in found)
    rate = f"{_range(rates)} Hz measured, " if rates else ""
    return f"{rate}jitter up to {round(1000 * jitter, 2):g} ms, {gaps} gap{'' if gaps == 1 else 's'}"


def _range(values: Sequence[float]) -> str:
    low, high = f"{min(values):.3g}", f"{max(values):.3g}"
    return low if low == high else f"{low} to {high}"


def unit_words(spec: ArraySpec) -> str:
    """The names and units of an array's elements, as far as they are known."""
    if not spec.units and not spec.names:
        return "units unknown"
    names = spec.names or tuple(str(index) for index in range(spec.size))
    if not spec.units:
        return f"units unknown: {', '.join(names)}"
    return ", ".join(
        f"{name} [{unit}]" if unit else name for name, unit in zip(names, spec.units, strict=True)
    )


def remarks_on(one: DimensionRange) -> list[str]:
    """What is worth a look, in words; what begins with ✕ contradicts the spec."""
    said = []
    if one.leaves_range:
        said.append(f"✕ leaves its declared range {amount(one.low)} … {amount(one.high)}")
    elif one.low is not None or one.high is not None:
        said.append(f"declared {amount(one.low)} … {amount(one.high)}")
    if one.is_constant:
        said.append("constant")
    elif one.is_two_valued:
        said.append("two values")
    if one.is_saturated:
        end, share = ("largest", one.at_max) if one.at_max >= one.at_min else ("smallest", one.at_min)
        said.append(f"at its {end} value in {percent(share)} of steps")
    return said
