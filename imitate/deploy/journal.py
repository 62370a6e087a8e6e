"""Where a session is written; imitate.deploy.recording.session.SessionRecorder is one."""

from collections.abc import Mapping
from typing import Any, Literal, Protocol

import numpy as np

from imitate.deploy.command import Command
from imitate.deploy.robot import Snapshot

Who = Literal["policy", "person", "hold"]


class Journal(Protocol):
    """Takes what happens, at local monotonic times in s, and never keeps the caller waiting."""

    def observation(self, time_s: float, snapshot: Snapshot) -> None:
        """What was seen."""

    def command(self, time_s: float, command: Command, sent: bool, source: Who) -> None:
        """What was sent, or would have been."""

    def step(
        self, time_s: float, action: np.ndarray, source: Literal["policy", "person"], sent: bool = True
    ) -> None:
        """The action (Da,) of one control step, after the gate, observed at `time_s`."""

    def event(self, time_s: float, name: str, values: Mapping[str, Any]) -> None:
        """What else happened."""

    def close(self) -> None:
        """Finish; safe to call twice."""


class NoJournal:
    """Keeps nothing."""

    def observation(self, time_s: float, snapshot: Snapshot) -> None:
        """See Journal."""

    def command(self, time_s: float, command: Command, sent: bool, source: Who) -> None:
        """See Journal."""

    def step(
        self, time_s: float, action: np.ndarray, source: Literal["policy", "person"], sent: bool = True
    ) -> None:
        """See Journal."""

    def event(self, time_s: float, name: str, values: Mapping[str, Any]) -> None:
        """See Journal."""

    def close(self) -> None:
        """See Journal."""
