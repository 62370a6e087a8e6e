"""What scripts/benchmarks/policies found, as Markdown tables."""

from collections.abc import Callable
from typing import Any

COSTS = ("weights M (active)", "MMAC/chunk", "calls", "ms/chunk", "windows/s")
Row = dict[str, Any]


def tables(rows: list[Row]) -> str:
    """All of them, as far as there is something to show: every row, then policies against tasks."""
    if not rows:
        return "nothing is done yet"
    parts = [details(rows)]
    if len({task(row) for row in rows}) > 1:
        parts += [against_tasks(rows, success), against_tasks(rows, difference), costs(rows)]
    if any(row["by_task"] for row in rows):
        parts.append(of_metaworld([row for row in rows if row["by_task"]]))
    return "\n\n".join(parts) + f"\non {rows[0]['device']}"


def details(rows: list[Row]) -> str:
    """A line for each task and policy."""
    head = ["task", "policy", "success", "95 %", "by seed", "minus baseline", "score", *COSTS]
    lines = [
        [
            *(task(r), policy(r), f"{r['value']:.2f}", between(r["interval"]), by_seed(r), difference(r)),
            *(f"{r['score']:.3f}", *cost(r)),
        ]
        for r in rows
    ]
    return markdown(head, lines)


def against_tasks(rows: list[Row], said: Callable[[Row], str]) -> str:
    """What is `said` of each policy on each task."""
    found = {(policy(row), task(row)): said(row) for row in rows}
    tasks = list(dict.fromkeys(task for _, task in found))
    names = dict.fromkeys(name for name, _ in found)
    return markdown(
        ["policy", *tasks], [[name, *(found.get((name, task), "") for task in tasks)] for name in names]
    )


def costs(rows: list[Row]) -> str:
    """What each policy costs on the last task."""
    last = task(rows[-1])
    lines = [[policy(row), *cost(row)] for row in rows if task(row) == last]
    return markdown([f"policy, on {last}", *COSTS], lines)


def cost(row: Row) -> list[str]:
    return [
        f"{row['weights'] / 1e6:.2f} ({row['active_weights'] / 1e6:.2f})",
        f"{row['macs_per_chunk'] / 1e6:.1f}",
        str(row["denoiser_calls"]),
        f"{row['latency_ms']:.1f}",
        f"{row['windows_per_s']:.0f}",
    ]


def of_metaworld(rows: list[Row]) -> str:
    """Success of each policy in each of Meta-World's tasks."""
    lines = [[policy(r), *(f"{r['by_task'][name]:.2f}" for name in r["by_task"])] for r in rows]
    return markdown(["policy", *(name.removesuffix("-v3") for name in rows[0]["by_task"])], lines)


def markdown(head: list[str], lines: list[list[str]]) -> str:
    """The table."""
    return "\n".join("| " + " | ".join(line) + " |" for line in (head, ["---"] * len(head), *lines))


def task(row: Row) -> str:
    return str(row["name"].split()[1])


def policy(row: Row) -> str:
    return str(row["name"].split()[2])


def success(row: Row) -> str:
    score = "" if row["score"] == row["value"] else f", score {row['score']:.2f}"
    return f"{row['value']:.2f} {between(row['interval'])} ({by_seed(row)}){score}"


def by_seed(row: Row) -> str:
    return " ".join(f"{rate:.2f}" for rate in row["per_seed"])


def between(interval: list[float]) -> str:
    low, high = interval
    return f"[{low:.2f}, {high:.2f}]"


def difference(row: Row) -> str:
    if row["difference_interval"] is None:
        return ""
    low, high = row["difference_interval"]
    return f"{row['difference']:+.3f} [{low:+.3f}, {high:+.3f}]"
