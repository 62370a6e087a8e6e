"""The page of several runs: figures side by side, how they learnt, the same seeds, how they failed."""

from collections.abc import Sequence
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any

from imitate.evaluation import page_compared
from imitate.evaluation.compare import Comparison
from imitate.evaluation.failures import counts
from imitate.evaluation.page_failures import Arena, failures, worst
from imitate.evaluation.page_learning import learning
from imitate.evaluation.page_robustness import robustness, sweeps
from imitate.evaluation.page_settings import task
from imitate.evaluation.page_watch import Shown, choose, videos
from imitate.evaluation.runs import Entry, arenas, seed_groups
from imitate.page import Html, headline, paragraph, percent, render, tag, write_whole
from imitate.progress import Progress


@dataclass(frozen=True)
class RunsPage:
    """What was found out about `entries`, the first of which the others are set against."""

    entries: Sequence[Entry]
    compared: dict[str, Comparison | str]
    arenas: Sequence[Arena]
    shown: Shown

    @classmethod
    def of(cls, entries: Sequence[Entry], same_env: bool, megabytes: float, progress: Progress) -> "RunsPage":
        """Compare, group failures, and choose videos of at most `megabytes` as they stand in the page."""
        found = []
        parts = arenas(entries, same_env)
        with progress.task("group failures", len(parts), "environments") as bar:
            for part in parts:
                found.append(Arena.of(part))
                bar.advance()
        wanted = [seed for arena in found for seed in arena.examples()]
        shown = choose(entries, megabytes, wanted)
        return cls(entries, page_compared.comparisons(entries, same_env), found, shown)

    def write(self, path: Path) -> Path:
        """Write the page to `path`, whole or not at all; raises DataError where that cannot be done."""
        groups = seed_groups(self.entries)
        parts = [
            self._answer(),
            page_compared.side_by_side(self.entries),
            page_compared.paired(self.entries, self.compared),
            page_compared.over_seeds(groups),
            worst(self.arenas, self.shown),
            videos(self.entries, self.shown),
            failures(self.arenas, self.shown),
            robustness(sweeps(self.entries)),
            learning(groups),
            page_compared.settings(self.entries),
        ]
        content = [part for part in parts if part is not None]
        style, script = (_asset(f"page_runs.{kind}") for kind in ("css", "js"))
        return write_whole(path, render(self._title(), *content, style=style, scripts=[script]))

    def _title(self) -> str:
        tasks = dict.fromkeys(task(entry.result.provenance.get("env")) for entry in self.entries)
        count = len(self.entries)
        return f"{count} rollout{'s' if count > 1 else ''} on {', '.join(tasks)}"

    def _answer(self) -> Html:
        best = max(self.entries, key=lambda entry: entry.result.success_rate)
        low, high = best.result.interval
        words = [
            paragraph(
                tag("strong", f"{_most(self.entries)} most often: {percent(best.result.success_rate, 1)}"),
                f" of {len(best.result.episodes)} episodes; true rates from {percent(low)} to "
                f"{percent(high)} fit this result.",
            ),
            *(paragraph(self._against(entry)) for entry in [best] if entry is not self.entries[0]),
        ]
        if len(self.entries) > 2:
            text = "The best of several looks better than it is: roll it out once more on fresh seeds."
            words.append(paragraph(text, class_="note"))
        definitions = dict.fromkeys(e.result.success_definition for e in self.entries)
        means = [paragraph(f"Success means: {text}.", class_="note") for text in definitions if text]
        return headline(self._title(), "Runs side by side", *words, *means)

    def _against(self, entry: Entry) -> str:
        one, first = self.compared.get(entry.label), self.entries[0].label
        if not isinstance(one, Comparison):
            return f"It cannot be paired with {first}."
        low, high = one.rates.interval()
        p = one.rates.p_value()
        sure = f"{'more than chance explains' if p < 0.05 else 'which may be chance'} (p = {p:.2g})"
        points = f"{100 * one.rates.difference:+.1f} points [{100 * low:+.1f}, {100 * high:+.1f}]"
        return f"Against {first}: {points.replace('-', '−')} on {one.rates.pairs} shared seeds, {sure}."

    def to_json(self) -> dict[str, Any]:
        """Plain JSON values for programs."""
        return {
            "rollouts": [
                {
                    "label": entry.label,
                    "file": str(entry.file),
                    "success_rate": entry.result.success_rate,
                    "interval": list(entry.result.interval),
                    "mean_score": entry.result.mean_score,
                    "parameters": entry.training.parameters if entry.training else None,
                    "training_minutes": entry.training.minutes if entry.training else None,
                }
                for entry in self.entries
            ],
            "comparisons": {
                label: one.to_json() if isinstance(one, Comparison) else {"not_compared": one}
                for label, one in self.compared.items()
            },
            "failure_groups": [
                {"size": len(group.members), "by_rollout": dict(counts(group.members, arena.owners))}
                for arena in self.arenas
                for group in arena.failures.groups
            ],
            "videos": len(self.shown.files),
            "seeds_left_out": list(self.shown.left_out),
        }


def _most(entries: Sequence[Entry]) -> str:
    """Who has the highest rate of success, as the beginning of a sentence."""
    highest = max(entry.result.success_rate for entry in entries)
    names = [entry.label for entry in entries if entry.result.success_rate == highest]
    return f"{names[0]} succeeds" if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]} succeed"


def _asset(name: str) -> str:
    return resources.files("imitate.evaluation").joinpath(name).read_text(encoding="utf-8")
