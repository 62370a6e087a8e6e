"""Rows of results in Markdown."""

from typing import Any

Row = dict[str, Any]


def markdown(head: list[str], lines: list[list[str]]) -> str:
    """The table."""
    return "\n".join("| " + " | ".join(line) + " |" for line in (head, ["---"] * len(head), *lines))


def by_seed(row: Row) -> str:
    """The rate of each training seed."""
    return " ".join(f"{rate:.2f}" for rate in row["per_seed"])


def between(interval: list[float]) -> str:
    """The bounds of an interval."""
    low, high = interval
    return f"[{low:.2f}, {high:.2f}]"
