"""Who trains one policy together: one process alone, or several of which one leads.

All of a team take every step at the same time. The leader also watches, saves and decides when to stop; the
others do what it says.
"""

from contextlib import closing
from typing import Protocol

from imitate.datasets.window_loader import WindowLoader
from imitate.policy import Policy
from imitate.training.config import TrainConfig
from imitate.training.learner import Learner
from imitate.training.optimizer import AdamWConfig
from imitate.training.run import Position, RunFolder


class Team(Protocol):
    """What one process of several knows of the others."""

    leads: bool

    def learner(self, policy: Policy, optim: AdamWConfig, config: TrainConfig) -> Learner:
        """What steps with the others; raises ConfigError where `policy` cannot."""

    def windows(self, whole: WindowLoader) -> WindowLoader:
        """This process's part of every batch."""

    def agree(self, done: float, step: int) -> float:
        """The share of the run that the leader says is done before `step`; 1 or more: stop."""

    def asked_to_stop(self) -> int | None:
        """The number of the signal by which somebody wants the run to stop, told to the leader."""

    def close(self) -> None:
        """Let nobody wait for this process any longer."""


class Alone:
    """A team of one."""

    leads = True

    def learner(self, policy: Policy, optim: AdamWConfig, config: TrainConfig) -> Learner:
        """See Team."""
        return Learner(policy, optim, config)

    def windows(self, whole: WindowLoader) -> WindowLoader:
        """See Team."""
        return whole

    def agree(self, done: float, step: int) -> float:
        """See Team."""
        return done

    def asked_to_stop(self) -> int | None:
        """See Team."""
        return None

    def close(self) -> None:
        """See Team."""


ALONE = Alone()


def follow(learner: Learner, windows: WindowLoader, folder: RunFolder, team: Team) -> Position:
    """Take the steps that the leader of `team` says; where they ended."""
    position = folder.position(learner)
    with closing(windows.stream(position.step)) as batches:
        while (done := team.agree(0.0, position.step)) < 1.0:
            learner.step(next(batches), position.step, done)
            position.step += 1
    return position
