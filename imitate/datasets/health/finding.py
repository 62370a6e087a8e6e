"""What a health check says."""

from dataclasses import dataclass
from typing import Literal, get_args

Severity = Literal["error", "warning", "notice"]
SEVERITIES: tuple[Severity, ...] = get_args(Severity)
"""The most severe first: breaks training or misleads it; probably wrong; good to know."""


@dataclass(frozen=True)
class Finding:
    """One fault of a data set.

    episodes: ids of those it concerns, empty where it concerns all of them. what: a sentence with figures;
    fix: a sentence.
    """

    check: str
    severity: Severity
    episodes: tuple[str, ...]
    what: str
    fix: str


def listed(names: list[str], shown: int = 4) -> str:
    """The first of `names` and how many more there are."""
    more = f" and {len(names) - shown} more" if len(names) > shown else ""
    return ", ".join(names[:shown]) + more
