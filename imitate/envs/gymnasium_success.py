"""What counts as success in a gymnasium environment, which itself knows only rewards and ends."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol


@dataclass(frozen=True)
class Moment:
    """An episode after a step: what the environment told, the sum of rewards so far, how it stands."""

    info: Mapping[str, Any]
    total_reward: float
    terminated: bool
    over: bool


class Rule(Protocol):
    """How success and score are read off an episode; both may only rise."""

    @property
    def definition(self) -> str:
        """Success in words."""

    @property
    def score_name(self) -> str:
        """What the score measures."""

    def judge(self, moment: Moment) -> tuple[bool, float]:
        """Success and score of this moment."""


@dataclass(frozen=True)
class Flag:
    """The environment says so: `key` of info was true or above 0 at any step; the episode then ends."""

    key: str
    definition: str = ""
    score_name: str = "success"

    def __post_init__(self) -> None:
        if not self.definition:
            object.__setattr__(self, "definition", f"info[{self.key!r}] was true at any step, which ends it")

    def judge(self, moment: Moment) -> tuple[bool, float]:
        """The flag, and again the flag."""
        told = bool(moment.info.get(self.key, False))
        return told, float(told)


@dataclass(frozen=True)
class TotalReward:
    """The rewards of the whole episode add up to at least `threshold`; judged when the episode is over."""

    threshold: float

    @property
    def definition(self) -> str:
        """With the threshold."""
        return f"the rewards of the whole episode add up to at least {self.threshold:g}"

    @property
    def score_name(self) -> str:
        """A share of the threshold where that has a meaning."""
        return f"sum of rewards / {self.threshold:g}, 0 to 1" if self.threshold > 0 else "success"

    def judge(self, moment: Moment) -> tuple[bool, float]:
        """False and 0 before the end."""
        if not moment.over:
            return False, 0.0
        reached = moment.total_reward >= self.threshold
        share = moment.total_reward / self.threshold if self.threshold > 0 else float(reached)
        return reached, min(max(share, 0.0), 1.0)


@dataclass(frozen=True)
class End:
    """How the episode ended: by the environment itself (`terminated`), or by max_steps."""

    terminated: bool
    score_name: str = "success"

    @property
    def definition(self) -> str:
        """In words."""
        ending = "the environment ended the episode" if self.terminated else "the episode lasted"
        return f"{ending} {'before max_steps' if self.terminated else 'until max_steps'}"

    def judge(self, moment: Moment) -> tuple[bool, float]:
        """False before the end."""
        success = moment.over and moment.terminated == self.terminated
        return success, float(success)


@dataclass(frozen=True)
class AllOf:
    """Every one of `goals` is in the list info[key], which only grows; the score is the share that is."""

    key: str
    goals: Sequence[str]
    definition: str
    score_name: str

    def judge(self, moment: Moment) -> tuple[bool, float]:
        """All of them, and how many."""
        done = len(set(self.goals) & set(moment.info.get(self.key, ())))
        return done == len(self.goals), done / len(self.goals)
