"""What scripts/benchmarks/policies found, as Markdown tables."""

from collections.abc import Callable

from markdown_table import Row, between, by_seed, markdown
from record import measured_on

COSTS = ("weights (active)", "MMAC per chunk", "calls", "ms per chunk")


def tables(rows: list[Row]) -> str:
    """All of them, as far as there is something to show: the best policy over all tasks comes first."""
    if not rows:
        return "nothing is done yet"
    rows = best_first(rows)
    parts = [details(rows)]
    if len(tasks_of(rows)) > 1:
        compared = [row for row in rows if policy(row) != row["baseline_policy"]]
        parts = [against_tasks(rows, WITH_SCORES), against_tasks(compared, [("", difference)]), costs(rows)]
    if any(row["by_task"] for row in rows):
        parts.append(of_metaworld([row for row in rows if row["by_task"]]))
    return "\n\n".join(parts) + "\n" + measured_on(rows)


def best_first(rows: list[Row]) -> list[Row]:
    """By mean success; policies that have not done all tasks yet come last."""
    many = len(tasks_of(rows))
    rates: dict[str, list[float]] = {}
    for row in rows:
        rates.setdefault(policy(row), []).append(row["value"])
    return sorted(rows, key=lambda row: (-len(r := rates[policy(row)]) + many, -sum(r) / len(r)))


def tasks_of(rows: list[Row]) -> list[str]:
    return list(dict.fromkeys(task(row) for row in rows))


def details(rows: list[Row]) -> str:
    """A line for each task and policy."""
    head = ["task", "policy", "success", "95 %", "by seed", "minus baseline", "score", *COSTS, "windows/s"]
    lines = [
        [
            *(
                task(r),
                f"`{policy(r)}`",
                f"{r['value']:.2f}",
                between(r["interval"]),
                by_seed(r),
                difference(r),
            ),
            *(f"{r['score']:.3f}", *cost(r), f"{r['windows_per_s']:.0f}"),
        ]
        for r in rows
    ]
    return markdown(head, lines)


def against_tasks(rows: list[Row], columns: list[tuple[str, Callable[[Row], str]]]) -> str:
    """What the columns (name, words) say of each policy on each task, without those that say nothing."""
    found = {
        (policy(row), f"{task(row)}{name}"): said
        for name, say in columns
        for row in rows
        if (said := say(row))
    }
    said_of = {head for _, head in found}
    heads = [head for task in tasks_of(rows) for name, _ in columns if (head := f"{task}{name}") in said_of]
    names = dict.fromkeys(policy(row) for row in rows)
    lines = [[f"`{name}`", *(found.get((name, head), "") for head in heads)] for name in names]
    return markdown(["policy", *heads], lines)


def costs(rows: list[Row]) -> str:
    """What each policy costs on the last task that it has done, and how fast it learns on all."""
    last = {policy(row): row for row in rows}
    speed = {(policy(row), task(row)): f"{row['windows_per_s']:.0f}" for row in rows}
    tasks = tasks_of(rows)
    names = dict.fromkeys(policy(row) for row in rows)
    lines = [
        [f"`{name}`", *cost(last[name]), *(speed.get((name, task), "") for task in tasks)] for name in names
    ]
    return markdown(["policy", *COSTS, *(f"windows/s: {task}" for task in tasks)], lines)


def cost(row: Row) -> list[str]:
    weights, active = (f"{row[key] / 1e6:.2f} M" for key in ("weights", "active_weights"))
    return [
        weights if weights == active else f"{weights} ({active})",
        f"{row['macs_per_chunk'] / 1e6:.1f}",
        str(row["denoiser_calls"]),
        f"{row['latency_ms']:.1f}",
    ]


def of_metaworld(rows: list[Row]) -> str:
    """Success of each policy in each of Meta-World's tasks."""
    lines = [[f"`{policy(r)}`", *(f"{r['by_task'][name]:.2f}" for name in r["by_task"])] for r in rows]
    return markdown(["policy", *(name.removesuffix("-v3") for name in rows[0]["by_task"])], lines)


def task(row: Row) -> str:
    return str(row["name"].split()[1])


def policy(row: Row) -> str:
    return str(row["name"].split()[2])


def success(row: Row) -> str:
    return f"{row['value']:.2f} {between(row['interval'])} ({by_seed(row)})"


def score(row: Row) -> str:
    """Only of tasks where it is more than success."""
    return "" if row["score"] == row["value"] else f"{row['score']:.2f} {between(row['score_interval'])}"


def difference(row: Row) -> str:
    if row["difference_interval"] is None:
        return ""
    low, high = row["difference_interval"]
    return f"{row['difference']:+.3f} [{low:+.3f}, {high:+.3f}]"


WITH_SCORES = [("", success), (": score", score)]
