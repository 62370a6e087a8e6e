"""Results of several training runs on several tasks as one: per task, over all, and against another group."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from imitate.errors import ConfigError, DataError
from imitate.evaluation import aggregates
from imitate.evaluation.page_settings import task as task_name
from imitate.evaluation.result import RolloutResult, load
from imitate.evaluation.statistics import Interval

Measure = Literal["success", "score"]

FEW_RUNS = 5
"""Below this the interval of a single task covers the truth clearly less often than it says."""


@dataclass(frozen=True)
class Run:
    """One result: of one training run, on one task."""

    file: str
    result: RolloutResult

    def value(self, measure: Measure) -> float:
        """What counts for the run."""
        return self.result.success_rate if measure == "success" else self.result.mean_score

    @property
    def task(self) -> str:
        """The environment with all its settings, as text: results of one task are of one text."""
        return json.dumps(self.result.provenance.get("env"), sort_keys=True)

    @property
    def met_seeds(self) -> bool:
        """Whether it was played on starts of its training."""
        return (self.result.provenance.get("seeds") or {}).get("check") == "overlap"

    @property
    def identity(self) -> tuple[Any, ...]:
        """What a second result of the same run has in common with this one."""
        origin = self.result.provenance
        return (origin.get("checkpoint_hash") or self.file, self.task, json.dumps(origin.get("policy")))


@dataclass(frozen=True)
class Group:
    """Runs by task, in the order in which the tasks were first named."""

    tasks: Mapping[str, tuple[Run, ...]]

    @classmethod
    def load(cls, files: Sequence[str], key: str) -> "Group":
        """Read the results under `key`; raises DataError, and ConfigError where one run is named twice."""
        if not files:
            raise ConfigError(f"{key} is empty, expected rollout.json files or the folders that hold them")
        runs: dict[tuple[Any, ...], Run] = {}
        for file in files:
            run = Run(file, load(file))
            if run.identity in runs:
                first = runs[run.identity].file
                raise ConfigError(
                    f"{key}: {first} and {file} are of one checkpoint on one task: it would count twice"
                )
            runs[run.identity] = run
        tasks: dict[str, tuple[Run, ...]] = {}
        for run in runs.values():
            tasks[run.task] = (*tasks.get(run.task, ()), run)
        return cls(tasks)

    def values(self, measure: Measure, tasks: Sequence[str]) -> list[list[float]]:
        """One value per run, for each of `tasks`."""
        return [[run.value(measure) for run in self.tasks[task]] for task in tasks]


@dataclass(frozen=True)
class Summary:
    """The figures of a group by `measure`, and where there is one, against another group."""

    group: Group
    against: Group | None
    measure: Measure

    def __post_init__(self) -> None:
        if self.against is None:
            return
        groups = {"results": self.group, "against": self.against}
        for one, other in (("results", "against"), ("against", "results")):
            for task in groups[one].tasks.keys() - groups[other].tasks.keys():
                raise DataError(
                    f"{groups[one].tasks[task][0].file} is on {task_name(json.loads(task))}, but {other} has "
                    "no result in that environment with the same settings: both groups need the same tasks"
                )

    @property
    def names(self) -> dict[str, str]:
        """{name for a person: task}; tasks that differ only in other settings are numbered."""
        named: dict[str, str] = {}
        for task in self.group.tasks:
            name = task_name(json.loads(task))
            same = sum(known == name or known.startswith(f"{name} #") for known in named)
            named[f"{name} #{same + 1}" if same else name] = task
        return named

    @property
    def runs(self) -> list[list[float]]:
        """One value per run, for each task."""
        return self.group.values(self.measure, list(self.group.tasks))

    @property
    def others(self) -> list[list[float]] | None:
        """The same of the other group."""
        return None if self.against is None else self.against.values(self.measure, list(self.group.tasks))

    def to_json(self) -> dict[str, Any]:
        """Plain JSON values."""
        found: dict[str, Any] = {
            "measure": self.measure,
            **_overall(self.runs),
            "tasks": [self._task(name, task) for name, task in self.names.items()],
            "warnings": self._warnings(),
        }
        others = self.others
        if others is not None:
            likely = float(aggregates.improvement(_arrays(self.runs), _arrays(others)))
            found["against"] = _overall(others)
            found["probability_of_improvement"] = {
                "value": likely,
                "interval": _listed(aggregates.improvement_interval(self.runs, others)),
            }
        return found

    def _warnings(self) -> list[str]:
        groups = [self.group] if self.against is None else [self.group, self.against]
        runs = [run for group in groups for task in group.tasks.values() for run in task]
        met = [run.file for run in runs if run.met_seeds]
        fewest = min(len(task) for group in groups for task in group.tasks.values())
        few = len(self.group.tasks) == 1 and 1 < fewest < FEW_RUNS
        return [
            *(f"{file} was played on seeds that the policy had met in training" for file in met),
            *([f"{fewest} runs of one task: resampling so few gives too narrow an interval"] if few else []),
        ]

    def _task(self, name: str, task: str) -> dict[str, Any]:
        row = {"task": name, "env": json.loads(task), **_of_task(self.group.tasks[task], self.measure)}
        if self.against is not None:
            row["against"] = _of_task(self.against.tasks[task], self.measure)
        return row


def _of_task(runs: Sequence[Run], measure: Measure) -> dict[str, Any]:
    values = [run.value(measure) for run in runs]
    return {
        "mean": float(np.mean(values)),
        "interval": _listed(aggregates.interval_of(aggregates.mean, [values])),
        "lowest": min(values),
        "highest": max(values),
        "episodes": sum(len(run.result.episodes) for run in runs),
        "runs": [{"file": run.file, "value": run.value(measure)} for run in runs],
    }


def _overall(runs: Sequence[Sequence[float]]) -> dict[str, Any]:
    figures = {"interquartile_mean": aggregates.interquartile_mean, "mean": aggregates.mean}
    return {
        "runs": sum(map(len, runs)),
        **{
            name: {
                "value": aggregates.value_of(figure, runs),
                "interval": _listed(aggregates.interval_of(figure, runs)),
            }
            for name, figure in figures.items()
        },
    }


def _arrays(runs: Sequence[Sequence[float]]) -> list[np.ndarray]:
    return [np.asarray(task, np.float64) for task in runs]


def _listed(interval: Interval | None) -> list[float] | None:
    return None if interval is None else list(interval)
