"""Is the data sound, what is there twice, and what does the recommended keep-list leave out."""

from collections import defaultdict

import numpy as np

from imitate.curation.measurement import Measurement
from imitate.curation.page_places import episode_link
from imitate.datasets.episode_store import ACTION
from imitate.page import Html, amount, joined, paragraph, percent, section, table, tag

SHOWN = 8
WELL, NOTE, BAD = ("✓ well", "good"), ("● note", None), ("✕ problem", "bad")
Check = tuple[str, tuple[str, str | None], str]


def health_section(measured: Measurement) -> Html:
    """Every check with its result, also those that found nothing."""
    rows = [[name, tag("span", mark[0], class_=mark[1]), words] for name, mark, words in _checks(measured)]
    return section("Health checks", table(["check", "result", "what was found"], rows))


def _checks(measured: Measurement) -> list[Check]:
    episodes = measured.episodes
    every = [one for ranges in measured.ranges.values() for one in ranges]
    broken = [e.record.id for e in episodes if e.not_finite]
    copies = [e.record.id for e in episodes if e.duplicate_of is not None]
    outside = [one.name for one in every if one.leaves_range]
    declared = any(one.low is not None for one in every)
    short = [e.record.id for e in episodes if e.record.steps < 4]
    unknown = sum(e.record.success is None for e in episodes)
    rates = {e.record.rate_hz or measured.spec.rate_hz for e in episodes}
    return [
        _found("values are finite", broken, BAD, "no NaN and no infinite value"),
        _found("every recording is there once", copies, BAD, "no exact copy"),
        _found("values stay in their declared range", outside, BAD, "all inside")
        if declared
        else ("values stay in their declared range", NOTE, "no range is declared"),
        _found("dimensions change", [o.name for o in every if o.is_constant], NOTE, "all of them do"),
        _found(
            "actions stay off their limits",
            [o.name for o in measured.ranges[ACTION] if o.is_saturated],
            NOTE,
            "none rests at a limit",
        ),
        _found("episodes are long enough to measure", short, NOTE, "all have at least four steps"),
        ("success is recorded", NOTE, f"unknown for {amount(unknown)} of {amount(len(episodes))} episodes")
        if unknown
        else ("success is recorded", WELL, "for every episode"),
        _rate(rates),
    ]


def _found(name: str, names: list[str], mark: tuple[str, str | None], otherwise: str) -> Check:
    return (name, mark, _listed(names)) if names else (name, WELL, otherwise)


def _rate(rates: set[float | None]) -> Check:
    name, known = "the rate is known and the same", sorted(rate for rate in rates if rate)
    if None in rates:
        return name, NOTE, "not recorded: time counts in steps"
    mark = WELL if len(known) == 1 else NOTE
    return name, mark, ", ".join(f"{rate:g} Hz" for rate in known)


def _listed(names: list[str]) -> str:
    more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    return ", ".join(names[:SHOWN]) + more


def duplicates_section(measured: Measurement) -> Html:
    """Exact copies and pairs that are nearly the same."""
    episodes = measured.episodes
    rows = [
        [episode_link(e.record.id), episode_link(e.duplicate_of), "exact copy", percent(1.0)]
        for e in episodes
        if e.duplicate_of is not None
    ]
    rows += [
        [
            episode_link(episodes[b].record.id),
            episode_link(episodes[a].record.id),
            "nearly the same",
            percent(s),
        ]
        for a, b, s in sorted(measured.near_duplicates, key=lambda pair: -pair[2])
    ]
    if not rows:
        return section("Duplicates", paragraph("No episode is a copy of another, neither exact nor nearly."))
    intro = "A copy counts an episode twice. The share is that of the shorter episode's steps."
    return section("Duplicates", table(["episode", "is", "how", "share"], rows, [3]), intro=intro)


def removal_section(measured: Measurement) -> Html:
    """What the recommended keep-list leaves out, by fault, and what remains."""
    groups: dict[str, list[int]] = defaultdict(list)
    for i, episode in enumerate(measured.episodes):
        if not episode.keep:
            groups[episode.fault or "other"].append(i)
    title = "What the recommended keep-list removes"
    if not groups:
        return section(title, paragraph("Nothing: every demonstration is kept."))
    rows = [
        _removed(measured, fault, groups[fault]) for fault in sorted(groups, key=lambda f: -len(groups[f]))
    ]
    gone = sum(map(len, groups.values()))
    steps = sum(measured.episodes[i].record.steps for group in groups.values() for i in group)
    words = (
        f"{amount(gone)} of {amount(len(measured.episodes))} episodes, {percent(steps / measured.steps)} of "
        "all steps. Nothing is deleted: training with the keep-list leaves them out."
    )
    head = ["fault", "episodes", "steps", "median quality", "why", "which"]
    return section(title, table(head, rows, [1, 2, 3]), intro=words)


def _removed(measured: Measurement, fault: str, rows: list[int]) -> list[object]:
    episodes = [measured.episodes[i] for i in rows]
    reasons = list(dict.fromkeys(reason for e in episodes for reason in e.reasons))
    why = "; ".join(reasons[:2]) + ("; …" if len(reasons) > 2 else "")
    links = joined([episode_link(e.record.id) for e in episodes[:SHOWN]], ", ")
    more = f" and {len(rows) - SHOWN} more" if len(rows) > SHOWN else ""
    return [
        fault,
        amount(len(rows)),
        amount(sum(e.record.steps for e in episodes)),
        f"{np.median([e.quality for e in episodes]):.2f}",
        why,
        tag("span", links, more),
    ]
