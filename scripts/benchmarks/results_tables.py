"""What scripts/benchmarks/results found, as Markdown tables."""

import statistics
from collections.abc import Iterator
from itertools import pairwise

from markdown_table import Row, between, by_seed, markdown
from record import measured_on

from imitate.evaluation.statistics import mean_interval

MEAN = "mean over"


def means(rows: list[Row]) -> Iterator[Row]:
    """A row per column of the table of many tasks: their mean, its interval that of drawing others."""
    for column in columns(rows):
        members = [row for row in rows if row["cell"] and row["cell"][1] == column]
        if len(members) < 2:
            continue  # one task is no sample of tasks
        seeds = [row["per_seed"] for row in members]
        rates, scores = ([row[key] for row in members] for key in ("value", "score"))
        yield {
            **members[0],
            "name": f"Meta-World, {MEAN} {len(members)} tasks, {column}",
            "cell": (f"{MEAN} {len(members)} tasks", column),
            "value": round(statistics.mean(rates), 3),
            "interval": [round(bound, 3) for bound in mean_interval(rates)],
            # Of seeds that all tasks have.
            "per_seed": [round(statistics.mean(rates), 3) for rates in zip(*seeds, strict=False)],
            "score": round(statistics.mean(scores), 3),
            "score_interval": [round(bound, 3) for bound in mean_interval(scores)],
            "episodes": sum(row["episodes"] for row in members),
        }


def tables(rows: list[Row]) -> str:
    """All of them, as far as there is something to show."""
    if not rows:
        return "nothing is done yet"
    alone = [row for row in rows if not row["cell"]]
    many = [row for row in rows if row["cell"]]
    parts = [*([one_by_one(alone)] if alone else []), *([of_many_tasks(many)] if many else [])]
    return "\n\n".join(parts) + "\n" + measured_on(rows)


def one_by_one(rows: list[Row]) -> str:
    """A line for each result."""
    lines = [
        [
            *(row["name"], str(row["episodes"]), f"{row['value']:.2f}", between(row["interval"])),
            *(by_seed(row), f"{row['score']:.3f}", str(row["steps"])),
        ]
        for row in rows
    ]
    return markdown(["result", "episodes", "success", "95 %", "by seed", "score", "steps"], lines)


def of_many_tasks(rows: list[Row]) -> str:
    """A line for each task."""
    found = {tuple(row["cell"]): f"{row['value']:.2f} {between(row['interval'])}" for row in rows}
    tasks = dict.fromkeys(task for task, _ in found)
    lines = [[task, *(found.get((task, column), "") for column in columns(rows))] for task in tasks]
    return "\n".join([markdown(["task", *columns(rows)], lines), *gains(rows)])


def gains(rows: list[Row]) -> Iterator[str]:
    """By how much each column is ahead of the one before it: the mean over the tasks that both have."""
    found = {tuple(row["cell"]): row["value"] for row in rows if not row["cell"][0].startswith(MEAN)}
    tasks = dict.fromkeys(task for task, _ in found)
    for before, after in pairwise(columns(rows)):
        both = [task for task in tasks if (task, before) in found and (task, after) in found]
        ahead = [found[task, after] - found[task, before] for task in both]
        if len(ahead) > 1:
            low, high = mean_interval(ahead)
            yield (
                f"{after} ahead of {before}: {statistics.mean(ahead):+.3f} [{low:+.3f}, {high:+.3f}], "
                f"paired by {len(ahead)} tasks"
            )


def columns(rows: list[Row]) -> list[str]:
    return list(dict.fromkeys(row["cell"][1] for row in rows if row["cell"]))
