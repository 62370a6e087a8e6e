"""Which episodes of a store an operation is about."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from imitate.datasets.episode_store import EpisodeRecord
from imitate.errors import ConfigError, nearest

UNKNOWN = "unknown"
"""What stands for an episode's success where nobody judged it."""


@dataclass(frozen=True)
class Criteria:
    """Episodes that meet every criterion that is given; null asks for nothing.

    success: true, false or "unknown". source, operator: this text. min_steps, max_steps: both included.
    metadata: each of these values, or a list that holds it. ids: one of these.
    """

    success: bool | str | None = None
    source: str | None = None
    operator: str | None = None
    min_steps: int | None = None
    max_steps: int | None = None
    metadata: Mapping[str, Any] | None = None
    ids: tuple[str, ...] | None = None

    def __post_init__(self) -> None:
        require_judgement(self.success)
        low, high = self.min_steps, self.max_steps
        if low is not None and high is not None and low > high:
            raise ConfigError(f"min_steps is {low}, expected at most max_steps, {high}")

    def select(self, records: Sequence[EpisodeRecord], where: str) -> list[bool]:
        """Of each record whether it is meant; raises ConfigError for an id that no record has."""
        require_ids(self.ids or (), records, where)
        ids = None if self.ids is None else set(self.ids)
        return [(ids is None or record.id in ids) and self._fits(record) for record in records]

    def _fits(self, record: EpisodeRecord) -> bool:
        return (
            (self.success is None or record.success is judged(self.success))
            and (self.source is None or record.source == self.source)
            and (self.operator is None or record.operator == self.operator)
            and (self.min_steps is None or record.steps >= self.min_steps)
            and (self.max_steps is None or record.steps <= self.max_steps)
            and all(_holds(record.metadata.get(key), value) for key, value in (self.metadata or {}).items())
        )


def require_judgement(value: bool | str | None) -> None:
    """Raise ConfigError unless `value` is true, false, "unknown" or null."""
    if isinstance(value, str) and value != UNKNOWN:
        raise ConfigError(f"success is {value!r}, expected true, false, {UNKNOWN} or null")


def judged(value: bool | str) -> bool | None:
    """As an episode's record says it: None where nobody judged."""
    return None if value == UNKNOWN else bool(value)


def require_ids(ids: Sequence[str] | Mapping[str, Any], records: Sequence[EpisodeRecord], where: str) -> None:
    """Raise ConfigError naming the first of `ids` that no record has."""
    known = {record.id for record in records}
    for found in ids:
        if found not in known:
            raise ConfigError(f"{where}: there is no episode {found!r}{nearest(found, known)}")


def _holds(found: Any, value: Any) -> bool:
    # Python holds True and 1 for equal.
    same = found == value and isinstance(found, bool) == isinstance(value, bool)
    return same or (isinstance(found, list) and value in found)
