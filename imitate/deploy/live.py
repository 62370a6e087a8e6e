"""How a session stands, in one line beside the progress bar while it runs.

A thread of its own looks four times a second: the control loop is asked nothing and waits for nothing.
"""

import statistics
import threading
from collections.abc import Callable
from types import TracebackType
from typing import Self

from imitate.deploy.journal import Who
from imitate.deploy.safety.state_machine import State
from imitate.deploy.session import Session
from imitate.deploy.timings import Timings
from imitate.progress import Task

REFRESH_S = 0.25
RECENT = 50
"""So many latencies, the newest, make the median that is shown."""


class Live:
    """Shows `session` on `task` while the context is open.

    outcome: how the attempts went so far, in words; empty where nobody knows. trouble: what is wrong with the
    recording, in words; empty while all is well.
    """

    def __init__(
        self, session: Session, task: Task, outcome: Callable[[], str], trouble: Callable[[], str]
    ) -> None:
        self._session, self._task = session, task
        self._outcome, self._trouble = outcome, trouble
        self._is_over = threading.Event()
        self._thread = threading.Thread(target=self._show, name="live display", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._is_over.set()
        self._thread.join(timeout=5.0)

    def line(self) -> str:
        """What is shown now."""
        session = self._session
        shown = standing(
            session.supervisor.state, session.who, session.timings, sum(session.counts().values())
        )
        return "  ".join(part for part in (self._trouble(), self._outcome(), shown) if part)

    def _show(self) -> None:
        while not self._is_over.wait(REFRESH_S):
            self._task.advance(0.0, self.line())


def standing(state: State, who: Who, timings: Timings, interventions: int) -> str:
    """State, who acts, how often the gate changed a command, and the newest times."""
    parts = [f"{state} ({who})" if state is State.RUNNING else str(state).upper(), f"gate {interventions}"]
    if timings.late_s:
        parts.append(f"late {timings.counts['missed ticks']}/{timings.counts['ticks']}")
    recent = timings.latency_s.newest(RECENT)
    if recent:
        median_ms, last_ms = 1000 * statistics.median(recent), 1000 * recent[0]
        parts.append(f"latency {last_ms:.0f} ms, median {median_ms:.0f}")
    if timings.age_s:
        parts.append(f"age {1000 * timings.age_s[-1]:.0f} ms")
    return "  ".join(parts)
