"""What `imitate inspect` prints: facts in lines, and a table of every dimension."""

from collections.abc import Container, Sequence
from pathlib import Path

import numpy as np

from imitate.datasets.bags.survey import Survey as Topics
from imitate.datasets.episode_store import ACTION
from imitate.inspection.facts import outcome_words, rate_words, remarks_on, sample_words, timing_words
from imitate.inspection.reading import all_specs
from imitate.inspection.survey import Survey
from imitate.inspection.topics import DRAFT, NEXT, NUMERIC, topic_rows
from imitate.inspection.topics import HEAD as HEADS_OF_TOPICS
from imitate.instruction import listed
from imitate.page import amount
from imitate.types import ArraySpec

HEAD = ("", "unit", "min", "max", "mean", "std", "")
MAX_ROWS = 64
"""Dimensions of one array that are printed."""


def table_lines(found: Survey, verified: bool) -> list[str]:
    """Everything, as lines of text."""
    steps = [record.steps for record in found.records.values()]
    lengths = f"{min(steps)} to {max(steps)}" if min(steps) < max(steps) else str(steps[0])
    total = f"{found.steps} steps in all" if found.steps is not None else "as far as they were read"
    lines = [
        f"{found.address}  {found.title}{f', {found.source}' if found.source else ''}",
        f"episodes  {found.episodes} of {lengths} steps, {total}, {rate_words(found)}",
        f"outcome   {outcome_words(found)}",
    ]
    if timed := timing_words(found):
        lines.append(f"stamps    {timed}")
    lines.append(f"hash      {found.data_hash or 'none before it is imported'}{_checked(verified)}")
    lines += [f"note      {text}" for text in found.notes]
    lines += [f"left out  {text}" for text in found.left_out]
    if not found.is_complete:
        lines.append(
            f"read      {sample_words(found)} (episodes=… reads more); the numbers below are of those"
        )
    specs = all_specs(found.spec)
    width = max(map(len, specs))
    lines += ["", *(f"{key:<{width}}  {_shape(spec)}" for key, spec in specs.items() if spec.is_image)]
    return lines + _dimensions(found) + _wide(found)


def topic_lines(path: Path, title: str, found: Topics) -> list[str]:
    """The topics of a log, as lines of text."""
    rows = [HEADS_OF_TOPICS, *topic_rows(found)]
    widths = [max(len(row[column]) for row in rows) for column in range(len(HEADS_OF_TOPICS))]
    lines = [f"{path}  {title}", "", *(_aligned(row, widths, NUMERIC) for row in rows), ""]
    return [*lines, *(f"unread    {text}" for text in found.problems), NEXT, DRAFT]


def _checked(verified: bool) -> str:
    return "  (every episode was read back)" if verified else ""


def _shape(spec: ArraySpec) -> str:
    shape = " × ".join(map(str, spec.shape))
    return f"{shape} {spec.dtype}{' image' if spec.is_image else ''}"


def _dimensions(found: Survey) -> list[str]:
    """One table of all arrays, the action last as in the store."""
    rows: list[Sequence[str]] = [HEAD]
    specs = all_specs(found.spec)
    for key in sorted(found.dimensions, key=lambda name: name == ACTION):
        if specs[key].encoder:
            texts = listed(specs[key].sentences)
            rows.append((f"{key}  {_shape(specs[key])}, of the sentences {texts}", *[""] * 6))
            continue
        rows.append((f"{key}  {_shape(specs[key])}", *[""] * 6))
        for one in found.dimensions[key][:MAX_ROWS]:
            numbers = [amount(value) for value in (one.min, one.max, one.mean, one.std)]
            rows.append((f"  {one.name}", one.unit or "–", *numbers, ", ".join(remarks_on(one))))
        more = len(found.dimensions[key]) - MAX_ROWS
        if more > 0:
            rows.append((f"  and {more} more", *[""] * 6))
    named = [max(len(row[column]) for row in rows if row[1]) for column in range(len(HEAD))]
    return [_aligned(row, named, range(2, 6)) for row in rows]


def _aligned(row: Sequence[str], widths: Sequence[int], numeric: Container[int]) -> str:
    cells = [
        f"{cell:>{width}}" if column in numeric else f"{cell:<{width}}"
        for column, (cell, width) in enumerate(zip(row, widths, strict=True))
    ]
    return "  ".join(cells).rstrip()


def _wide(found: Survey) -> list[str]:
    lines = []
    for key, values in found.wide.items():
        known = values[np.isfinite(values)]
        span = (
            f"{amount(float(known.min()))} … {amount(float(known.max()))}" if len(known) else "nothing finite"
        )
        lines.append(f"{key}  {_shape(all_specs(found.spec)[key])}: {span} in a few steps")
    return lines
