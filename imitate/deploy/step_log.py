"""One action per control step, as it really went out, for the demonstrations that a session becomes."""

from typing import Literal

import numpy as np

from imitate.deploy.command import Command
from imitate.deploy.fit import Join
from imitate.deploy.journal import Journal
from imitate.deploy.robot import Snapshot


class StepLog:
    """Collects the last command of every group in a control step, and writes the action they amount to.

    A group that got none keeps its last one of the attempt; an action is written once all have one.
    """

    def __init__(self, joined: Join, journal: Journal, is_sending: bool) -> None:
        self._join, self._journal, self._is_sending = joined, journal, is_sending
        self._commands: dict[str, Command] = {}
        self._bases: dict[str, np.ndarray] = {}
        self._observed_s: float | None = None
        self._ends_s = 0.0
        self._source: Literal["policy", "person"] = "policy"

    def begin(self, observed_s: float, ends_s: float, snapshot: Snapshot) -> None:
        """A step begins that was observed at `observed_s`."""
        self._observed_s, self._ends_s, self._source = observed_s, ends_s, "policy"
        self._bases = {group: reading.value for group, reading in snapshot.measured.items()}

    def sent(self, command: Command, source: Literal["policy", "person"]) -> None:
        """`command` went out."""
        self._commands[command.group] = command
        if source == "person":
            self._source = "person"

    def drop(self) -> None:
        """This step was not acted in: write nothing of it."""
        self._observed_s = None

    def finish(self) -> None:
        """Write the action of the step that ends."""
        if self._observed_s is not None and self._commands.keys() == self._join.targets.keys():
            values = {group: _at(command, self._ends_s) for group, command in self._commands.items()}
            action = self._join.action(values, self._bases)
            self._journal.step(self._observed_s, action, self._source, self._is_sending)
        self._observed_s = None


def _at(command: Command, time_s: float) -> np.ndarray:
    """Where a command has its group at `time_s`."""
    if len(command.times_s) == 1:
        return command.values[0]
    after_s = time_s - command.made_s
    return np.array([np.interp(after_s, command.times_s, column) for column in command.values.T])
