"""Recorded robot logs as demonstrations: ROS 1 bags, ROS 2 bags (sqlite3, MCAP), and folders of them.

    imitate import src=robot.bag out=demos.zarr topics=topics.yaml

No ROS is needed. The topics file says which topics are observations and actions, at which rate, and what
marks episodes; docs/examples/bag_topics.yaml is one. Named but not there yet, it is written as a draft. A
folder of logs may hold it itself, as topics.yaml.
"""

import os
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from imitate.datasets.bags.audit import audit_lines, merged_audits, plan_audit
from imitate.datasets.bags.demonstrations import episodes_of, require_memory
from imitate.datasets.bags.draft import draft_text
from imitate.datasets.bags.opening import is_recording, recordings, title
from imitate.datasets.bags.planning import Plan, plan_of
from imitate.datasets.bags.survey import survey, topic_list
from imitate.datasets.bags.topics import Topics
from imitate.datasets.bags.topics_file import definitions_of, read_topics
from imitate.datasets.formats import Format, ReadOptions
from imitate.errors import DataError
from imitate.types import DataSpec, Episode

OWN_TOPICS = "topics.yaml"


@dataclass(frozen=True)
class Log:
    """One log that was looked through; its plan is kept where there is no other."""

    path: Path
    name: str
    spec: DataSpec
    episodes: int
    audit: Mapping[str, Any]
    remarks: tuple[str, ...]
    left_out: tuple[str, ...]
    plan: Plan | None


class BagDemos:
    """The episodes of one or more logs. notes: the rate audit in lines; left_out: what is in none."""

    def __init__(
        self, path: Path, topics: Topics, definitions: Mapping[str, str], logs: Sequence[Log]
    ) -> None:
        self._topics, self._definitions, self._logs = topics, definitions, logs
        self.spec = logs[0].spec
        self.source = f"{title(logs[0].path)}, {path.name}"
        audit = merged_audits([log.audit for log in logs], [log.name for log in logs])
        self.metadata = {"rate_audit": audit, "topics": topics.path.read_text(encoding="utf-8")}
        several = len(logs) > 1
        self.notes = tuple(
            f"{log.name}: {line}" if several else line for log in logs for line in audit_lines(log.audit)
        )
        self.notes += logs[0].remarks
        self.left_out = tuple(
            f"{log.path.name}: {item}" if several else item for log in logs for item in log.left_out
        )

    def __len__(self) -> int:
        return sum(log.episodes for log in self._logs)

    def episodes(self) -> Iterator[Episode]:
        """All episodes in order, one in memory at a time, and the numbers of one log."""
        for log in self._logs:
            plan = log.plan or plan_of(log.path, self._topics, self._definitions, log.name)
            damaged: list[str] = []
            yield from episodes_of(plan, damaged)
            self.left_out += tuple(item for item in damaged if item not in self.left_out)


def read_bag(path: Path, options: ReadOptions) -> BagDemos:
    """Look through the log or logs at `path` and lay out their episodes.

    Raises DataError where they cannot be read, or no topics file is named; ConfigError for what is wrong
    in it.
    """
    topics = read_topics(_topics_path(path, options))
    definitions = definitions_of(topics)
    named = _named(recordings(path))
    logs: list[Log] = []
    for log, name in named:
        logs.append(_looked_through(log, name, topics, definitions, keep=len(named) == 1))
        if logs[-1].spec != logs[0].spec:
            difference = _difference(logs[-1].spec, logs[0].spec)
            raise DataError(f"{log} gives {difference}, expected as in {logs[0].path}")
    return BagDemos(path, topics, definitions, logs)


def _looked_through(path: Path, name: str, topics: Topics, definitions: Mapping[str, str], keep: bool) -> Log:
    plan = plan_of(path, topics, definitions, name)
    require_memory(plan)
    audit = plan_audit(plan, topics.clock)
    remarks = (*_unknown_units(plan), *_looking_ahead(plan))
    return Log(
        path, name, plan.spec, len(plan.episodes), audit, remarks, plan.left_out, plan if keep else None
    )


def _topics_path(path: Path, options: ReadOptions) -> Path:
    """The topics file that was named, or that a folder of logs holds."""
    told = options.topics or path / OWN_TOPICS
    if options.topics is None and not told.is_file():
        raise DataError(
            f"{path} does not say which topics are observations and actions: name a YAML with  "
            f"topics=topics.yaml  (not there yet, it is drafted); topics: {topic_list(survey(path))}"
        )
    if not told.exists():
        _write_draft(told, path)
    return told


def _write_draft(target: Path, path: Path) -> None:
    text = draft_text(path)
    try:
        with target.open("x", encoding="utf-8") as file:
            file.write(text)
            os.fsync(file.fileno())
    except OSError as error:
        raise DataError(f"topics: {target} cannot be written: {error.strerror}") from error
    raise DataError(
        f"{target} did not exist: a draft for {path} was written there; look it through, "
        f"then run the same again"
    )


def _unknown_units(plan: Plan) -> Iterator[str]:
    without = [
        source.entry.where
        for parts in plan.sources.values()
        for source in parts
        if not source.spec.units and not source.spec.is_image and not source.turns
    ]
    if without:
        yield f"no units are known of {', '.join(without)}: ROS leaves them open; tell them with  units:"


def _looking_ahead(plan: Plan) -> Iterator[str]:
    for key in plan.spec.obs:
        for source in plan.sources[key]:
            if source.sample != "previous":
                yield (
                    f"{source.entry.where} is sampled {source.sample}: it may hold what came up to "
                    f"{source.age_ns / 1e9:.3g} s after its step, which a policy will not know"
                )


def _named(logs: list[Path]) -> list[tuple[Path, str]]:
    """Each log with the name of its episodes: without its suffix, unless two would be the same."""
    names = [path.name if path.is_dir() else path.stem for path in logs]
    twice = Counter(names)
    return [(path, path.name if twice[name] > 1 else name) for path, name in zip(logs, names, strict=True)]


def _difference(found: DataSpec, expected: DataSpec) -> str:
    for key, spec in {**found.obs, "action": found.action}.items():
        other = expected.action if key == "action" else expected.obs[key]
        if spec != other:
            return f"{key} {spec.shape} {list(spec.names[:8])} {list(spec.units[:8])}"
    return f"{found}"


FORMAT = Format("bag", "recorded robot log", is_recording, read_bag)
