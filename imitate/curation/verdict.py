"""What the numbers of a data set mean, in plain words."""

from dataclasses import dataclass
from typing import Literal

import numpy as np

from imitate.curation.examination import JUDGED_EPISODES
from imitate.curation.faults import EXTRANEOUS, FAULTS, NOISY, SLOW, WRONG_STYLE
from imitate.curation.measurement import Measurement
from imitate.datasets.episode_store import ACTION
from imitate.datasets.quality.ranges import DimensionRange
from imitate.page import amount, percent

Level = Literal["good", "note", "problem"]
SIGNS: dict[Level, str] = {"good": "✓", "note": "●", "problem": "✕"}

# Where similar states explain this share of the action or more, one action per state is a fair summary.
CONSISTENT, MIXED = 0.2, 0.6
# Neighbours that are not clearly nearer than random states are no neighbours.
SPARSE = 0.6
IDLE_SHARE = 0.05
LONG = 2.5
FEW_EPISODES = 20
SHOWN = 6
MOST_ADVICE = 5

WHAT_IT_MEANS = {
    NOISY: "with shaking actions that the state does not call for",
    SLOW: "much slower than the others",
    EXTRANEOUS: "with a stretch that has nothing to do with the task",
    WRONG_STYLE: "done in another way than the others",
}
WHAT_TO_DO = {
    NOISY: "Leave out {episodes} with shaking actions, and look for the cause (operator, latency, scaling).",
    SLOW: "Leave out {episodes} that are much slower, or collect as many at that pace as at the other.",
    EXTRANEOUS: "Cut out of {episodes} the stretch that has nothing to do with the task.",
    WRONG_STYLE: "Leave out {episodes} done in another way, or collect enough of that way to be learnt, too.",
}


@dataclass(frozen=True)
class Finding:
    """One thing worth knowing: a problem to act on, a note to bear in mind, or something that is well."""

    level: Level
    text: str


def summary(measured: Measurement) -> str:
    """The data set in one sentence."""
    episodes = measured.episodes
    kept = sum(episode.keep for episode in episodes)
    cut = sum(episode.keep and episode.flag is not None for episode in episodes)
    parts = f" Of {_episodes(cut)} a part is best left out." if cut else ""
    if kept == len(episodes):
        return f"Nothing speaks against using all {kept} demonstrations.{parts}"
    return (
        f"{kept} of {len(episodes)} demonstrations can be used; "
        f"the others are named below with the reason.{parts}"
    )


def advice(measured: Measurement) -> list[str]:
    """What to do next, the most useful first; at most five things, one where nothing is wrong."""
    episodes = measured.episodes
    said = []
    broken = sum(bool(e.facts) for e in episodes)
    if broken:
        said.append(f"Leave out {_episodes(broken)} that failed, repeat another or hold broken numbers.")
    for fault in FAULTS:
        count = sum(episode.fault == fault for episode in episodes)
        if count:
            said.append(WHAT_TO_DO[fault].format(episodes=_episodes(count)))
    if not said:
        said.append(f"Train on all {len(episodes)}.")
    else:
        said.append("Write this down with  imitate curate data.path=…  and train with  data.keep=…")
    copies = sum(e.near_duplicate_of is not None for e in episodes)
    if copies:
        said.append(f"Look whether one was recorded twice: {_episodes(copies)} nearly the same as another.")
    if len(episodes) < FEW_EPISODES:
        said.append("Collect more: imitate curate next=true  says where.")
    return said[:MOST_ADVICE]


def findings(measured: Measurement) -> list[Finding]:
    """All findings, problems first."""
    found = [
        *_size(measured),
        *_facts(measured),
        *_outcomes(measured),
        *_faults(measured),
        *_repeated(measured),
        *_agreement(measured),
        *_idle(measured),
        *_lengths(measured),
        *_dimensions(measured),
    ]
    order = {"problem": 0, "note": 1, "good": 2}
    return sorted(found, key=lambda finding: order[finding.level])


def _size(measured: Measurement) -> list[Finding]:
    count = len(measured.episodes)
    if count >= FEW_EPISODES:
        return []
    return [Finding("note", f"{_episodes(count)} are few: most tasks want 50 or more.")]


def _facts(measured: Measurement) -> list[Finding]:
    broken = [e.record.id for e in measured.episodes if e.not_finite]
    copies = [e.record.id for e in measured.episodes if e.duplicate_of is not None]
    found = []
    if broken:
        found.append(
            Finding("problem", f"{_episodes(len(broken))} with NaN or infinite values: {_list(broken)}.")
        )
    if copies:
        found.append(
            Finding("problem", f"{_episodes(len(copies))} recorded twice, an exact copy: {_list(copies)}.")
        )
    if not found:
        found.append(
            Finding("good", "Every number is finite and no demonstration is an exact copy of another.")
        )
    return found


def _outcomes(measured: Measurement) -> list[Finding]:
    judged = [e for e in measured.episodes if e.record.success is not None]
    failed = [e.record.id for e in judged if not e.record.success]
    unknown = len(measured.episodes) - len(judged)
    found = []
    if failed:
        found.append(Finding("problem", f"{_episodes(len(failed))} failed at the task: {_list(failed)}."))
    elif judged:
        found.append(Finding("good", f"All {len(judged)} judged demonstrations succeeded."))
    if unknown:
        whom = "any demonstration" if not judged else _episodes(unknown)
        found.append(Finding("note", f"The data does not say whether {whom} succeeded."))
    return found


def _faults(measured: Measurement) -> list[Finding]:
    if len(measured.episodes) < JUDGED_EPISODES:
        return [Finding("note", f"Whether one differs from the rest is told from {JUDGED_EPISODES} on.")]
    found = []
    for fault in FAULTS:
        ids = [episode.record.id for episode in measured.episodes if episode.fault == fault]
        if ids:
            found.append(Finding("problem", f"{_episodes(len(ids))} {WHAT_IT_MEANS[fault]}: {_list(ids)}."))
    return found or [Finding("good", "No demonstration differs from the rest beyond chance.")]


def _repeated(measured: Measurement) -> list[Finding]:
    ids = [e.record.id for e in measured.episodes if e.near_duplicate_of is not None]
    return (
        [Finding("note", f"{_episodes(len(ids))} nearly the same as another: {_list(ids)}.")] if ids else []
    )


def _agreement(measured: Measurement) -> list[Finding]:
    agreement = measured.agreement
    if agreement is None:
        return [Finding("note", "Whether similar states get similar actions cannot be told from this data.")]
    share = percent(agreement.ratio)
    text = f"In similar states, actions differ {share} as much as between random states"
    if agreement.near_distance > SPARSE * agreement.random_distance:
        return [Finding("note", f"{text}, but the states lie so far apart that they are hardly similar.")]
    if agreement.ratio < CONSISTENT:
        return [Finding("good", f"{text}: the demonstrations are consistent.")]
    if agreement.ratio < MIXED:
        return [Finding("note", f"{text}: there is noise, or more than one way to act.")]
    cause = "inconsistent operators, several strategies, or something the observations do not show"
    return [Finding("problem", f"{text}: the state says little about the action ({cause}).")]


def _idle(measured: Measurement) -> list[Finding]:
    start, end = np.nansum(measured.score("idle_start")), np.nansum(measured.score("idle_end"))
    share = (start + end) / measured.steps
    if share == 0:
        return [Finding("good", "No demonstration starts or ends with waiting.")]
    if share < IDLE_SHARE:
        return [
            Finding("good", f"Little waiting: {percent(share, 1)} of all steps are idle starts and ends.")
        ]
    where = f"{amount(int(start))} steps at starts, {amount(int(end))} at ends"
    return [
        Finding(
            "note", f"{percent(share)} of all steps are waiting ({where}): a policy may learn to stand still."
        )
    ]


def _lengths(measured: Measurement) -> list[Finding]:
    steps = measured.score("steps")
    long = np.flatnonzero(steps > LONG * np.median(steps))
    if not len(long):
        return []
    names = _list([measured.episodes[i].record.id for i in long])
    longer = f"more than {LONG:g} times as long as the median ({np.median(steps):.0f} steps)"
    return [Finding("note", f"{_episodes(len(long))} {longer}: {names}.")]


def _dimensions(measured: Measurement) -> list[Finding]:
    found = []
    every = [one for ranges in measured.ranges.values() for one in ranges]
    constant = [one.name for one in every if one.is_constant]
    outside = [one.name for one in every if one.leaves_range]
    saturated = [one for one in measured.ranges[ACTION] if one.is_saturated]
    if outside:
        found.append(Finding("problem", f"Values outside their declared range: {_list(outside)}."))
    if constant:
        found.append(Finding("note", f"Never change, so nothing can be learnt from them: {_list(constant)}."))
    if saturated:
        found.append(
            Finding("note", f"Actions often at their limit: {_list([_share(one) for one in saturated])}.")
        )
    return found


def _share(one: DimensionRange) -> str:
    return f"{one.name} ({percent(max(one.at_min, one.at_max))} of steps)"


def _episodes(count: int) -> str:
    return "1 episode" if count == 1 else f"{count} episodes"


def _list(names: list[str]) -> str:
    more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    return ", ".join(names[:SHOWN]) + more
