"""Whether steps came evenly, at the declared rate, and in order: what the importer saw of the time stamps."""

from collections.abc import Callable, Mapping
from typing import Any

from imitate.datasets.health.finding import Finding, Severity
from imitate.datasets.health.recording import Group, Recording

CHECK = "time stamps are even"
JITTER_SHARE = 0.1
"""Of the period: with so much jitter, differences of successive states are off by a tenth."""
RATE_SHARE = 0.03
SKEWED = "Record against one clock and write each step when it is due, or resample at import."


def check(group: Group) -> list[Finding]:
    """Gaps, jitter, stamps that run backwards, and a measured rate that is not the declared one."""
    known = [one for one in group.recordings if one.timing]
    return [
        *_finding(known, _backwards, "error", "Sort or cut the recording where its clock was set back."),
        *_finding(known, _gaps, "warning", "Split the episode at the gaps, or leave it out."),
        *_finding(known, _jitter, "warning", SKEWED),
        *_finding(
            known, _other_rate, "warning", "Declare the rate that was measured, or resample at import."
        ),
    ]


def _finding(
    known: list[Recording], words: Callable[[Recording], str], severity: Severity, fix: str
) -> list[Finding]:
    faulty = [one for one in known if words(one)]
    if not faulty:
        return []
    first = f"{words(faulty[0])} in {faulty[0].id}"
    more = f", and so in {len(faulty) - 1} more" if len(faulty) > 1 else ""
    return [Finding(CHECK, severity, tuple(one.id for one in faulty), first + more, fix)]


def _backwards(one: Recording) -> str:
    count = one.timing.get("backwards", 0)
    return f"{count} time stamps are not after the one before" if count else ""


def _gaps(one: Recording) -> str:
    gaps = one.timing.get("gaps") or []
    if not gaps:
        return ""
    step, seconds = gaps[0]
    return f"{one.timing.get('gap_count', len(gaps))} gaps, the longest of {seconds:.3g} s after step {step}"


def _jitter(one: Recording) -> str:
    period = _period(one.timing)
    jitter = one.timing.get("jitter_s") or 0.0
    # Gaps and jumps are told apart from it: they enter the same mean square.
    if not period or _gaps(one) or _backwards(one) or _other_rate(one) or jitter <= JITTER_SHARE * period:
        return ""
    return f"steps come {1e3 * jitter:.3g} ms early or late (root mean square), of {1e3 * period:.3g} ms"


def _other_rate(one: Recording) -> str:
    measured = one.timing.get("rate_hz")
    if not measured or not one.rate_hz or abs(measured - one.rate_hz) <= RATE_SHARE * one.rate_hz:
        return ""
    return f"steps come at {measured:.4g} Hz, declared are {one.rate_hz:g} Hz"


def _period(timing: Mapping[str, Any]) -> float | None:
    rate = timing.get("rate_hz")
    return 1.0 / rate if rate else None
