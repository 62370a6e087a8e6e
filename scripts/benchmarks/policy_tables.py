"""What scripts/benchmarks/policies found, as Markdown tables."""

from typing import Any

# Ten tasks of different kinds, of the 50 of Meta-World.
METAWORLD = (
    "reach-v3",
    "push-v3",
    "pick-place-v3",
    "door-open-v3",
    "drawer-open-v3",
    "drawer-close-v3",
    "button-press-topdown-v3",
    "window-open-v3",
    "sweep-into-v3",
    "assembly-v3",
)
Row = dict[str, Any]


def tables(rows: list[Row]) -> str:
    """All of them, as far as there is something to show: every row, then policies against tasks."""
    if not rows:
        return "nothing is done yet"
    parts = [details(rows)]
    if len({task(row) for row in rows}) > 1:
        parts.append(overview(rows))
    if any(row["by_task"] for row in rows):
        parts.append(of_metaworld([row for row in rows if row["by_task"]]))
    return "\n\n".join(parts) + f"\non {rows[0]['device']}"


def details(rows: list[Row]) -> str:
    """A line for each task and policy."""
    columns = "task,policy,success,95 %,by seed,minus baseline,score"
    columns += ",weights M (active),MMAC/chunk,calls,ms/chunk,windows/s"
    lines = [
        [
            *(task(r), policy(r), f"{r['value']:.2f}", between(r["interval"]), by_seed(r), difference(r)),
            *(f"{r['score']:.3f}", f"{r['weights'] / 1e6:.2f} ({r['active_weights'] / 1e6:.2f})"),
            *(f"{r['macs_per_chunk'] / 1e6:.1f}", str(r["denoiser_calls"])),
            *(f"{r['latency_ms']:.1f}", f"{r['windows_per_s']:.0f}"),
        ]
        for r in rows
    ]
    return markdown(columns.split(","), lines)


def overview(rows: list[Row]) -> str:
    """Success of each policy on each task: the rate of all seeds, its interval, and the rate of each seed."""
    found = {(policy(row), task(row)): row for row in rows}
    tasks = list(dict.fromkeys(task for _, task in found))
    lines = [
        [name, *(success(found[name, task]) if (name, task) in found else "" for task in tasks)]
        for name in dict.fromkeys(name for name, _ in found)
    ]
    return markdown(["policy", *tasks], lines)


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


def between(interval: list[float], sign: str = "") -> str:
    low, high = interval
    return f"[{low:{sign}.2f}, {high:{sign}.2f}]"


def difference(row: Row) -> str:
    if row["difference_interval"] is None:
        return ""
    return f"{row['difference']:+.2f} {between(row['difference_interval'], '+')}"
