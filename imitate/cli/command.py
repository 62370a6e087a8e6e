"""What every verb is: a frozen dataclass of its keys with a `run`, and what `run` gives back."""

from dataclasses import dataclass, field
from typing import Any, Protocol

from imitate.progress import Progress


@dataclass(frozen=True)
class Outcome:
    """The result of a command: `json` is what --json prints, `lines` is what a person reads.

    exit_code: 0 where the work was done; 1 where it was done and the answer is no.
    """

    json: dict[str, Any]
    lines: list[str] = field(default_factory=list)
    exit_code: int = 0


class Command(Protocol):
    """A verb with its settings."""

    def run(self, progress: Progress) -> Outcome:
        """Do the work; raises ImitateError for what the user can mend."""
