"""A session in plain words: what was done, what came of it, and what deserves a look first."""

import textwrap
from collections import Counter
from dataclasses import dataclass
from typing import Any, Literal

from imitate.deploy.page.recording import Recording, attempts
from imitate.deploy.page.timing_charts import summaries
from imitate.page import percent

OVER = "the attempt is over"
"""Why a session holds when nothing is wrong."""

MISSED = 0.03
"""More missed ticks than this share are a problem: the project's own requirement."""

OFTEN = 0.1
"""The gate is at work in more than this share of the commands: the policy wants more than is allowed."""

Level = Literal["good", "note", "problem"]


@dataclass(frozen=True)
class Finding:
    """One sentence, and how bad it is."""

    level: Level
    text: str


def headline_words(recording: Recording) -> str:
    """Mode, policy and robot."""
    mode = str(recording.header.get("mode", "unknown mode"))
    policy = recording.header.get("policy")
    name = policy.get("file") if isinstance(policy, dict) else None
    robot = _robot(recording.header)
    moved = {
        "run": "commands were sent",
        "shadow": "nothing was sent, somebody else drove",
        "dry-run": "nothing was sent",
    }
    what = moved.get(mode, "unknown whether anything was sent")
    return f"{name or 'A policy'} on {robot}, mode {mode}: {what}."


def outcome(recording: Recording) -> tuple[int, int] | None:
    """(successes, attempts) where somebody judged them."""
    told = recording.result.get("attempts")
    judged = [bool(one["success"]) for one in told if "success" in one] if isinstance(told, list) else []
    return (sum(judged), len(judged)) if judged else None


def findings(recording: Recording) -> list[Finding]:
    """Everything worth a sentence, the worst first."""
    found = [
        *_completeness(recording),
        *_stops(recording),
        *_punctuality(recording),
        *_gate(recording),
        *_outcomes(recording),
        *_unfamiliar(recording),
        *_people(recording),
    ]
    order: dict[Level, int] = {"problem": 0, "note": 1, "good": 2}
    return sorted(found, key=lambda finding: order[finding.level])


def _completeness(recording: Recording) -> list[Finding]:
    found = []
    if recording.is_truncated:
        found.append(
            Finding("problem", "The recording is cut off: what followed its last moment is missing.")
        )
    if not recording.result:
        text = "session.json is missing: the session did not come to its end, and nobody judged its attempts."
        found.append(Finding("problem", text))
    lost = sum(int(event.values.get("dropped", 0)) for event in recording.named("recording_overflow")[-1:])
    if lost:
        found.append(Finding("problem", f"{lost} calls were not recorded, because the disk was too slow."))
    refused = len(recording.named("not_recorded"))
    if refused:
        found.append(Finding("problem", f"The recorder refused {_counted(refused, 'message')}."))
    if not attempts(recording):
        found.append(Finding("note", "No attempt began in this session."))
    return found


def _stops(recording: Recording) -> list[Finding]:
    changes = recording.states()
    faults = _reasons(
        change.values for change in changes if change.values["after"] in ("fault", "disconnected")
    )
    holds = _reasons(change.values for change in changes if change.values["after"] == "hold")
    found = []
    if faults:
        found.append(Finding("problem", f"The robot was stopped {_times(faults)}: {_listed(faults)}."))
    if holds:
        found.append(Finding("problem", f"It held {_times(holds)}: {_listed(holds)}."))
    if not faults and not holds and changes:
        found.append(Finding("good", "Nothing stopped the robot but the end of an attempt."))
    return found


def _reasons(changes: Any) -> Counter[str]:
    return Counter(str(one.get("why", "")) for one in changes if one.get("why") != OVER)


def _times(counts: Counter[str]) -> str:
    total = counts.total()
    return "once" if total == 1 else f"{total} times"


def _listed(counts: Counter[str]) -> str:
    """The three most frequent reasons."""
    shown = [
        shortened(why) if n == 1 else f"{shortened(why)} ({n} times)" for why, n in counts.most_common(3)
    ]
    return "; ".join(shown) + ("; and others" if len(counts) > 3 else "")


def _punctuality(recording: Recording) -> list[Finding]:
    told = recording.result.get("timings")
    counts = told.get("counts", {}) if isinstance(told, dict) else {}
    ticks, missed = counts.get("ticks", 0), counts.get("missed ticks", 0)
    found = []
    if ticks:
        text = f"{percent(missed / ticks, 1)} of {ticks:,} ticks came a whole period late."
        found.append(Finding("problem" if missed / ticks > MISSED else "good", text))
    empty, sent = counts.get("ticks without an action", 0), counts.get("commands sent", 0)
    latency = summaries(recording).get("latency_ms", {})
    if latency.get("max"):
        rate_hz = recording.spec.rate_hz
        period = f" (a control period is {1000 / rate_hz:.0f} ms)" if rate_hz else ""
        median, most = latency["p50"], latency["p99"]
        text = f"Inference took {median:.0f} ms in the median and {most:.0f} ms at 99 %{period}."
        found.append(Finding("note", text))
    if empty:
        text = f"In {empty:,} ticks no action was there yet, and the robot held"
        found.append(Finding("note", f"{text} ({sent:,} commands were sent)." if sent else f"{text}."))
    return found


def _gate(recording: Recording) -> list[Finding]:
    told = recording.result.get("interventions")
    by_rule = Counter(told) if isinstance(told, dict) else Counter()
    if not told:
        by_rule.update(str(event.values.get("rule")) for event in recording.named("intervention"))
    if not by_rule:
        return [Finding("good", "The safety gate let every command through unchanged.")]
    commands = len(recording.sources)
    rules = ", ".join(f"{rule} {count}" for rule, count in by_rule.most_common(4))
    text = f"The safety gate intervened {_times(by_rule)} in {commands:,} commands: {rules}."
    return [Finding("problem" if by_rule.total() > OFTEN * commands else "note", text)]


def _outcomes(recording: Recording) -> list[Finding]:
    judged = outcome(recording)
    if judged is None or recording.header.get("mode") != "run":
        return []
    successes, count = judged
    level: Level = "good" if successes == count else "note"
    return [Finding(level, f"{successes} of {_counted(count, 'attempt')} succeeded.")]


def _unfamiliar(recording: Recording) -> list[Finding]:
    count = len(recording.named("unfamiliar"))
    text = (
        f"{_counted(count, 'observation')} unlike those of the training: look at what the cameras saw then."
    )
    return [Finding("problem" if count > 5 else "note", text)] if count else []


def _counted(count: int, what: str) -> str:
    return f"{count:,} {what}{'' if count == 1 else 's'}"


def _people(recording: Recording) -> list[Finding]:
    count = len(recording.named("takeover"))
    if not count:
        return []
    text = f"A person took over {_times(Counter({'': count}))}; what they did is marked as a correction."
    return [Finding("note", text)]


def first_look(recording: Recording) -> tuple[float, str] | None:
    """The moment to look at first, in the session's s, and why: a stop, a failure, then the gate."""
    for after in ("fault", "disconnected", "hold"):
        for change in recording.states():
            if change.values["after"] == after and change.values.get("why") != OVER:
                return change.time_s, str(change.values.get("why", ""))
    told = recording.result.get("attempts")
    for number, ((start_s, _), one) in enumerate(zip(attempts(recording), told or (), strict=False), 1):
        if recording.header.get("mode") == "run" and one.get("success") is False:
            return start_s, f"attempt {number}, which did not succeed"
    for event in recording.named("intervention"):
        return event.time_s, f"the first intervention of the gate, {event.values.get('rule')}"
    return None


def shortened(text: str) -> str:
    """At most some eighty characters of a reason."""
    return textwrap.shorten(text, 80, placeholder=" and more").replace(", and more", " and more")


def _robot(header: Any) -> str:
    settings = header.get("settings")
    robot = settings.get("robot") if isinstance(settings, dict) else None
    target = str(robot.get("_target_", "")) if isinstance(robot, dict) else ""
    name = target.rpartition(".")[2].removesuffix("Config")
    groups = sorted((header.get("robot") or {}).get("targets") or {})
    described = f"a robot with {' and '.join(groups)}" if groups else "a robot"
    return f"{described} ({name})" if name else described
