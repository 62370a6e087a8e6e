"""imitate summary: several training runs, on one task or several, as one figure with its interval.

    imitate summary runs/a/rollout runs/b/rollout runs/c/rollout

prints the interquartile mean over all runs and tasks with its 95 % interval from resampled runs (stratified
bootstrap, Agarwal et al. 2021), and a table of the tasks. A result is one training run on one task, so make
one per training seed. With another group

    imitate summary results=[runs/a/rollout,runs/b/rollout] against=[runs/c/rollout,runs/d/rollout]

also how likely a run of the first group is to beat one of the second on a task drawn at random. Few runs of
one task give intervals that are too narrow: take five or more, or several tasks.

Keys:
    results     rollout.json files, or the folders that hold them
    against     those of another method on the same tasks
    measure     success, or score (means over tasks only mean something where the scores are of one scale)
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from imitate.cli.command import Outcome
from imitate.evaluation.summary import Group, Summary
from imitate.progress import Progress

POSITIONAL = "results"


@dataclass(frozen=True)
class SummaryCommand:
    """The settings of `imitate summary`; see the module."""

    results: tuple[str, ...]
    against: tuple[str, ...]
    measure: Literal["success", "score"]

    def run(self, progress: Progress) -> Outcome:
        """Read the results and join them."""
        group = Group.load(self.results, "results")
        against = Group.load(self.against, "against") if self.against else None
        found = Summary(group, against, self.measure).to_json()
        return Outcome(found, _lines(found))


def _lines(found: Mapping[str, Any]) -> list[str]:
    tasks = found["tasks"]
    width = max(len("task"), *(len(row["task"]) for row in tasks))
    lines = [
        *(f"warning: {line}" for line in found["warnings"]),
        f"{found['measure']} of {_count(found['runs'], 'run')} on {_count(len(tasks), 'task')}",
        f"interquartile mean  {_shown(found['interquartile_mean'])}",
        f"mean                {_shown(found['mean'])}",
    ]
    if "against" in found:
        lines += [
            f"against {_count(found['against']['runs'], 'run')}",
            f"interquartile mean  {_shown(found['against']['interquartile_mean'])}",
            f"mean                {_shown(found['against']['mean'])}",
            f"better              {_shown(found['probability_of_improvement'])}   "
            "probability that a run beats one of the others",
        ]
    head = f"{'task':<{width}}  runs  episodes   mean  lowest  highest"
    head += "  against" if "against" in found else ""
    return [*lines, "", head, *(_row(row, width) for row in tasks)]


def _row(row: Mapping[str, Any], width: int) -> str:
    other = f"  {row['against']['mean']:7.3f}" if "against" in row else ""
    return (
        f"{row['task']:<{width}}  {len(row['runs']):>4}  {row['episodes']:>8}  {row['mean']:.3f}   "
        f"{row['lowest']:.3f}    {row['highest']:.3f}{other}"
    )


def _count(number: int, what: str) -> str:
    return f"{number} {what}" + ("s" if number != 1 else "")


def _shown(figure: Mapping[str, Any]) -> str:
    if figure["interval"] is None:
        return f"{figure['value']:.3f}  no interval: one run per task does not say how runs differ"
    low, high = figure["interval"]
    return f"{figure['value']:.3f}  [{low:.3f}, {high:.3f}] 95 %"
