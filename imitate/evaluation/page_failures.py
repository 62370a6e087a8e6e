"""Failures in groups, and the worst episodes first, on the page of several runs."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from imitate.evaluation.failures import Difference, Failures, Group, counts, group_failures
from imitate.evaluation.page_settings import task
from imitate.evaluation.page_watch import Shown, played
from imitate.evaluation.runs import Entry
from imitate.page import Html, amount, joined, paragraph, section, table, tag
from imitate.rollout import EpisodeResult

TOLD, EXAMPLES = 3, 5
"""How many dimensions and how many episodes of a group are named."""
WORTH_TELLING = 0.5
"""Further dimensions are named where the group is so many spreads away."""


@dataclass(frozen=True)
class Arena:
    """The entries that played in one environment, their episodes, and the failures among these."""

    entries: Sequence[Entry]
    episodes: Sequence[EpisodeResult]
    owners: Sequence[str]
    failures: Failures

    @classmethod
    def of(cls, entries: Sequence[Entry]) -> "Arena":
        """Group the failures of all `entries` together."""
        episodes = [episode for entry in entries for episode in entry.result.episodes]
        owners = [entry.label for entry in entries for _ in entry.result.episodes]
        infos = [entry.training.info for entry in entries if entry.training and entry.training.info]
        spec = infos[0].spec if infos else None
        return cls(entries, episodes, owners, group_failures(episodes, spec))

    @property
    def name(self) -> str:
        """The task, and who played it."""
        players = ", ".join(entry.label for entry in self.entries)
        return f"{task(self.entries[0].result.provenance.get('env'))} ({players})"

    def examples(self) -> list[int]:
        """The seeds of the most typical failures of every group, the first of each group first."""
        chosen = [group.members[:EXAMPLES] for group in self.failures.groups]
        ranks = [group[rank] for rank in range(EXAMPLES) for group in chosen if rank < len(group)]
        return [self.episodes[member].seed for member in ranks]


def failures(arenas: Sequence[Arena], shown: Shown) -> Html:
    """What kinds of failure there are, in words, with their episodes."""
    parts: list[object] = []
    for arena in arenas:
        if len(arenas) > 1:
            parts.append(tag("h3", arena.name))
        parts += _arena(arena, shown)
    intro = "Failures that ended alike, grouped over all runs. Values are means at the end of the episode."
    return section("How they failed", *parts, intro=intro)


def _arena(arena: Arena, shown: Shown) -> list[Html]:
    found = arena.failures
    if not found.groups:
        return [paragraph(f"All {len(arena.episodes)} episodes succeeded.")]
    cards = [_group(n, group, arena, shown) for n, group in enumerate(found.groups, start=1)]
    return [*cards, paragraph(_how(found), class_="note")]


def _how(found: Failures) -> str:
    source = ""
    if found.by != "final observations":
        source = (
            "Not all of these results say, in the same way, what was seen last: "
            "length and score are compared. "
        )
    if found.silhouette is None or found.without_groups is None:
        return f"{source}Too few failures, or too much alike, to look for groups."
    sides = f"silhouette {found.silhouette:.2f}, in clouds without groups at most {found.without_groups:.2f}"
    if len(found.groups) == 1:
        return (
            f"{source}No groups: the best split stands apart no more clearly than chance makes it ({sides})."
        )
    return f"{source}Bisecting k-means on {found.by}; first split: {sides}."


def _group(number: int, group: Group, arena: Arena, shown: Shown) -> Html:
    total = sum(not episode.success for episode in arena.episodes)
    by_run = counts(group.members, arena.owners)
    shares = ", ".join(f"{label}: {count}" for label, count in by_run.items())
    one = len(group.members) == total
    title = f"All {total} failures" if one else f"Group {number}: {len(group.members)} of {total} failures"
    heading = tag("h3", title)
    lines = [heading, paragraph(shares)] if len(arena.entries) > 1 else [heading]
    if group.differences:
        told = [d for i, d in enumerate(group.differences) if not i or abs(d.spreads) >= WORTH_TELLING]
        lines.append(tag("ul", *(tag("li", _difference(d, arena.failures.against)) for d in told[:TOLD])))
    elif len(arena.failures.groups) > 1:
        lines.append(paragraph("What was seen last is not finite: the simulation may have broken down."))
    return tag("div", *lines, _examples(group, arena, shown), class_="card failure")


def _difference(found: Difference, against: str) -> Html:
    unit = f" {found.unit}" if found.unit else ""
    gap = amount(found.failed - found.compared)
    sign = "+" if found.failed > found.compared else ""
    where = "in successes" if against == "successes" else "in the other failures"
    return joined(
        [
            tag("code", found.name),
            f" {amount(found.failed)}{unit}, {where} {amount(found.compared)}{unit}: "
            f"{sign}{gap}{unit}, {amount(abs(found.spreads), 2)} spreads",
        ]
    )


def _examples(group: Group, arena: Arena, shown: Shown) -> Html:
    """The most typical episodes, those with a video first, since a look says most."""
    by_label = {entry.label: entry for entry in arena.entries}
    known = [(by_label[arena.owners[m]], arena.episodes[m].seed) for m in group.members]
    filmed = [pair for pair in known if (pair[0].label, pair[1]) in shown.files]
    chosen = (filmed + [pair for pair in known if pair not in filmed])[:EXAMPLES]
    several = len(arena.entries) > 1
    links = [
        shown.link(e, seed, f"seed {seed}" + (f" of {e.label}" if several else "")) for e, seed in chosen
    ]
    return paragraph("For example: ", joined(links, ", "))


def worst(arenas: Sequence[Arena], shown: Shown) -> Html:
    """Every seed: those that fail everywhere first, then by score."""
    several = len(arenas) > 1
    tables = [part for arena in arenas for part in _table(arena, shown, several)]
    controls = tag(
        "div",
        tag("label", "Seed ", tag("input", type="search", id="seed-filter", inputmode="numeric", size=10)),
        tag("output", "", id="seed-count", aria_live="polite"),
        class_="picker",
        id="filter",
        hidden=True,
    )
    intro = "One row per seed, those that fail everywhere first. A linked outcome opens its video."
    return section("The worst episodes first", controls, *tables, intro=intro)


def _table(arena: Arena, shown: Shown, several: bool) -> list[Html]:
    seeds = sorted({episode.seed for episode in arena.episodes}, key=lambda seed: _badness(arena, seed))
    head = ["seed", "failed", "mean score", *(entry.label for entry in arena.entries)]
    rows = [_row(arena, seed, shown) for seed in seeds]
    whole = tag("div", table(head, rows, numeric=(0, 1, 2)), class_="tall seeds")
    return [tag("h3", arena.name), whole] if several else [whole]


def _badness(arena: Arena, seed: int) -> tuple[float, float, int]:
    episodes = _episodes(arena, seed)
    won = float(np.mean([episode.success for episode in episodes]))
    return won, float(np.mean([episode.score for episode in episodes])), seed


def _episodes(arena: Arena, seed: int) -> list[EpisodeResult]:
    return [one for entry in arena.entries if (one := played(entry, seed))]


def _row(arena: Arena, seed: int, shown: Shown) -> list[object]:
    episodes = _episodes(arena, seed)
    failed = sum(not episode.success for episode in episodes)
    score = float(np.mean([episode.score for episode in episodes]))
    cells = [_cell(entry, played(entry, seed), shown) for entry in arena.entries]
    return [str(seed), f"{failed} of {len(episodes)}", f"{score:.3f}", *cells]


def _cell(entry: Entry, episode: EpisodeResult | None, shown: Shown) -> object:
    if episode is None:
        return "not played"
    sign, look = ("✓", "good") if episode.success else ("✕", "bad")
    mark = tag("span", f"{sign} {episode.score:.2f}", class_=look)
    return joined([shown.link(entry, episode.seed, mark), f" {episode.length} steps"])
