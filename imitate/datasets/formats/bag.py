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


@dataclass
class BagDemos:
    """The episodes of one or more logs. notes: the rate audit in lines; left_out: what is in none."""

    path: Path
    topics: Topics
    definitions: Mapping[str, str]
    spec: DataSpec
    source: str
    metadata: Mapping[str, Any]
    notes: tuple[str, ...]
    left_out: tuple[str, ...]
    _counts: Sequence[int]
    _logs: Sequence[tuple[Path, str]]
    _only: Plan | None

    def __len__(self) -> int:
        return sum(self._counts)

    def episodes(self) -> Iterator[Episode]:
        """All episodes in order, one in memory at a time, and the numbers of one log."""
        for path, name in self._logs:
            plan = self._only or plan_of(path, self.topics, self.definitions, name)
            damaged: list[str] = []
            yield from episodes_of(plan, damaged)
            self.left_out = (*self.left_out, *damaged)


def read_bag(path: Path, options: ReadOptions) -> BagDemos:
    """Look through the log or logs at `path` and lay out their episodes.

    Raises DataError where they cannot be read, or no topics file is named; ConfigError for what is wrong
    in it.
    """
    told = options.topics or path / OWN_TOPICS
    if options.topics is None and not told.is_file():
        raise DataError(
            f"{path} does not say which topics are observations and actions: name a YAML with  "
            f"topics=topics.yaml  (not there yet, it is drafted); topics: {topic_list(survey(path))}"
        )
    if not told.exists():
        _write_draft(told, path)
    topics = read_topics(told)
    definitions = definitions_of(topics)
    logs = _named(recordings(path))
    plans: list[Plan] = []
    audits, counts, said = [], [], []
    for log, name in logs:
        plan = plan_of(log, topics, definitions, name)
        require_memory(plan)
        if plans and plan.spec != plans[0].spec:
            raise DataError(
                f"{log} gives {_difference(plan.spec, plans[0].spec)}, expected as in {plans[0].path}"
            )
        plans = plans or [plan]
        audits.append(plan_audit(plan, topics.clock))
        counts.append(len(plan.episodes))
        said.append([f"{log.name}: {item}" if len(logs) > 1 else item for item in plan.left_out])
    audit = merged_audits(audits, [name for _, name in logs])
    lines = [audit_lines(found) for found in audits]
    return BagDemos(
        path,
        topics,
        definitions,
        plans[0].spec,
        f"{title(logs[0][0])}, {path.name}",
        {"rate_audit": audit, "topics": told.read_text(encoding="utf-8")},
        (*_prefixed(lines, logs), *_unknown_units(plans[0]), *_looking_ahead(plans[0])),
        tuple(item for items in said for item in items),
        counts,
        logs,
        plans[0] if len(logs) == 1 else None,
    )


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


def _prefixed(lines: list[list[str]], logs: list[tuple[Path, str]]) -> Iterator[str]:
    for (_, name), found in zip(logs, lines, strict=True):
        yield from (f"{name}: {line}" if len(logs) > 1 else line for line in found)


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
