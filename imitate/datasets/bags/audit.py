"""How well a log was recorded: rates, jitter, gaps, drops, delays, and how actions lead observations."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from imitate.datasets.bags.latency import motion_lag
from imitate.datasets.bags.planning import ACTION, Plan
from imitate.datasets.bags.scanning import TopicLog
from imitate.datasets.bags.streams import NS
from imitate.datasets.timing import GAP_PERIODS, timing


def topic_audit(log: TopicLog, clock: str = "receive") -> dict[str, Any]:
    """Facts about the messages of one topic, as JSON values.

    type, count, clock (what the times are: "header" or "receive"). rate_hz: of the median interval. jitter_s:
    root mean square of the intervals that are no gaps about the median. gap_count: intervals longer than
    GAP_PERIODS medians; longest_gap_s. drops: messages that are missing, drops_by: "header.seq" where ROS 1
    counts them, else "intervals" (how many would fit into the gaps). delay_s: median of receive time less
    stamp; None without stamps. out_of_order: messages that are older than the one before. Rates need three
    messages.
    """
    times = log.times_ns(clock)
    stamps, received = np.array(log.stamps_ns, np.int64), np.array(log.received_ns, np.int64)
    stamped = len(stamps) == len(received) and bool(stamps.any())
    facts: dict[str, Any] = {
        "type": log.type,
        "count": len(log),
        "clock": "header" if clock == "header" and stamped else "receive",
        "damaged": log.damaged,
        "delay_s": float(np.median((received - stamps)[stamps > 0])) / NS if stamped else None,
    }
    return facts | _rates(times[times > 0]) | _drops(log)


def _rates(times: np.ndarray) -> dict[str, Any]:
    ordered = np.sort(times)
    facts = timing((ordered - ordered[0]) / NS) if len(times) > 2 else {}
    return {
        "rate_hz": facts.get("rate_hz"),
        "jitter_s": facts.get("jitter_s"),
        "gap_count": facts.get("gap_count", 0),
        "longest_gap_s": facts["gaps"][0][1] if facts.get("gaps") else None,
        "out_of_order": int((np.diff(times) < 0).sum()),
        "drops": _fitting(ordered),
        "drops_by": "intervals",
    }


def _fitting(ordered: np.ndarray) -> int:
    """How many messages of the median interval would fit into the gaps."""
    intervals = np.diff(ordered) / NS
    if len(intervals) < 2 or not np.median(intervals) > 0:
        return 0
    periods = intervals / np.median(intervals)
    return int((np.rint(periods[periods > GAP_PERIODS]) - 1).sum())


def _drops(log: TopicLog) -> dict[str, Any]:
    """By header.seq, which each publisher of ROS 1 counts up; nothing where it does not rise."""
    sequences, publishers = np.array(log.sequences, np.int64), np.array(log.publishers, np.int64)
    missing = 0
    for publisher in np.unique(publishers):
        steps = np.diff(sequences[publishers == publisher])
        if not len(steps) or (steps <= 0).any() or sequences[publishers == publisher].min() < 0:
            return {}
        missing += int((steps - 1).sum())
    return {"drops": missing, "drops_by": "header.seq"} if len(sequences) else {}


def plan_audit(plan: Plan, clock: str) -> dict[str, Any]:
    """The audit of what an import uses, as JSON values.

    topics: see topic_audit. entries: by place in the topics file: how it is sampled, max_age_s, and age_s
    [median, largest] over all steps (negative: after the step). latency: by observation, action_after_s, how
    much later than what is seen the action of the same step was (median); motion_lag_s, how much later the
    observation moves as the action does, and the correlation there, by `motion_lag`; absent where unclear.
    """
    sources = [source for parts in plan.sources.values() for source in parts]
    used = {source.entry.topic: plan.found.logs[source.entry.topic] for source in sources}
    times = np.concatenate([steps.times_ns for steps in plan.episodes])
    entries = {}
    for source in sources:
        ages = source.ages_s(times)
        entries[source.entry.where] = {
            "topic": source.entry.topic,
            "sample": source.sample,
            "max_age_s": source.age_ns / NS,
            "age_s": [float(np.median(ages)), float(ages.max())],
        }
    topics = {name: topic_audit(log, clock) for name, log in used.items()}
    return {"topics": topics, "entries": entries, "latency": _latencies(plan, times)}


def _latencies(plan: Plan, times: np.ndarray) -> dict[str, Any]:
    action_ages = np.max([source.ages_s(times) for source in plan.sources[ACTION]], axis=0)
    actions = [_numbers(plan, ACTION, steps.times_ns) for steps in plan.episodes]
    found = {}
    for key in plan.spec.obs:
        ages = np.max([source.ages_s(times) for source in plan.sources[key]], axis=0)
        facts: dict[str, Any] = {"action_after_s": float(np.median(ages - action_ages))}
        if not plan.spec.obs[key].is_image:
            seen = [_numbers(plan, key, steps.times_ns) for steps in plan.episodes]
            lag = motion_lag(seen, actions, plan.spec.rate_hz or 1.0)
            if lag is not None:
                facts["motion_lag_s"], facts["correlation"] = lag
        found[key] = facts
    return found


def _numbers(plan: Plan, key: str, times: np.ndarray) -> np.ndarray:
    return np.concatenate([source.values(times) for source in plan.sources[key]], axis=1)


def audit_lines(audit: Mapping[str, Any]) -> list[str]:
    """The audit in words, a line each."""
    lines = [f"{name}: {_words(facts)}" for name, facts in audit["topics"].items()]
    for key, facts in audit["latency"].items():
        moves = ""
        if "motion_lag_s" in facts:
            lag, clear = facts["motion_lag_s"], facts["correlation"]
            moves = f"; moves {lag:+.3f} s after the action (correlation {clear:.2f})"
        lines.append(f"{key}: the action came {facts['action_after_s']:+.3f} s after it{moves}")
    return lines


def _words(facts: Mapping[str, Any]) -> str:
    words = [f"{facts['count']} messages"]
    if facts["rate_hz"]:
        words.append(
            f"{facts['rate_hz']:.2f} Hz by {facts['clock']} time, jitter {1e3 * facts['jitter_s']:.2f} ms"
        )
        longest = f" (longest {facts['longest_gap_s']:.3f} s)" if facts["gap_count"] else ""
        words.append(f"{facts['gap_count']} gaps{longest}")
        words.append(f"{facts['drops']} dropped by {facts['drops_by']}")
    for label, text in (("out_of_order", "out of order"), ("damaged", "damaged")):
        if facts[label]:
            words.append(f"{facts[label]} {text}")
    if facts["delay_s"] is not None:
        words.append(f"received {1e3 * facts['delay_s']:.1f} ms after its stamp")
    return ", ".join(words)


def merged_audits(audits: Sequence[Mapping[str, Any]], names: Sequence[str]) -> dict[str, Any]:
    """One audit for all logs: of a single one itself, else each under the log's name."""
    return dict(audits[0]) if len(audits) == 1 else {"logs": dict(zip(names, audits, strict=True))}
