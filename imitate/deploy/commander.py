"""The half of the control loop that acts: at every tick each group is commanded, after the gate, or holds."""

import itertools
import math
from collections.abc import Sequence

import numpy as np

from imitate.deploy.command import Command
from imitate.deploy.fit import Join
from imitate.deploy.guard import Guard
from imitate.deploy.journal import Journal, Who
from imitate.deploy.plan import Plan, Schedule
from imitate.deploy.robot import Robot, Snapshot
from imitate.deploy.safety.gate import Intervention, SafetyGate
from imitate.deploy.safety.state_machine import State
from imitate.deploy.setpoints import LOOK_AHEAD, Setpoints
from imitate.deploy.step_log import StepLog
from imitate.deploy.takeover import commanded_by_person
from imitate.deploy.timings import Timings

CHUNK_STEPS = 1000
"""No chunk is longer."""

ZEROS_S = 1.0
"""For how long a robot that was lost and is back is told to stand still."""


class Commander:
    """`tick` is called at the command rate, in one attempt.

    With `is_sending` false all is done but the last step. who: who acted last.
    """

    def __init__(
        self,
        robot: Robot,
        joined: Join,
        guard: Guard,
        gate: SafetyGate,
        plan: Plan,
        journal: Journal,
        timings: Timings,
        interpolate: bool,
        is_sending: bool,
    ) -> None:
        self._robot, self._join, self._guard, self._gate = robot, joined, guard, gate
        self._plan, self._journal, self._timings = plan, journal, timings
        self._setpoints = {group: Setpoints(group, joined, interpolate) for group in joined.targets}
        is_whole = any(setpoints.is_trajectory for setpoints in self._setpoints.values())
        self._ahead = CHUNK_STEPS if is_whole else LOOK_AHEAD
        self._is_sending = is_sending
        self._log = StepLog(joined, journal, is_sending)
        self._sequence = itertools.count(1).__next__
        self._step = -1
        self._has_moved = self._is_placed = self._is_alarmed = False
        self._lost_s = -math.inf
        rates = ("twist", "joint_velocity")
        self._position_groups = {g for g, target in joined.targets.items() if target.kind not in rates}
        self.who: Who = "policy"

    def tick(self, now_s: float, schedule: Schedule, stale: Sequence[str], pace: float) -> None:
        """Check, decide who acts, and command every group once."""
        snapshot = self._robot.measure()
        self._guard.look(self._robot, snapshot, stale, now_s)
        self._guard.news.tell(self._journal)
        self._raise_alarm()
        if self._guard.supervisor.state is not State.RUNNING:
            self._rest(snapshot, now_s, schedule)
            return
        # A schedule that was moved a little never begins a step twice.
        step = max(schedule.due(now_s), self._step)
        if step != self._step:
            self._enter(step, snapshot, now_s, schedule)
        person = commanded_by_person(snapshot, self._join.targets, now_s, self._sequence)
        if person:
            self._follow(person, snapshot, now_s, schedule)
        elif self.who == "person":
            self._hand_back(snapshot, now_s, schedule)
        else:
            self._act(step, snapshot, now_s, schedule, pace)

    def _raise_alarm(self) -> None:
        """Once per fault."""
        is_fault = self._guard.supervisor.state is State.FAULT
        if is_fault and not self._is_alarmed:
            self._robot.alarm()
        self._is_alarmed = is_fault

    def _enter(self, step: int, snapshot: Snapshot, now_s: float, schedule: Schedule) -> None:
        """A new control step begins."""
        self._log.finish()
        self._step = step
        if step >= 0:
            self._log.begin(schedule.observed_s(step), schedule.ends_s(step), snapshot)
        if not self._is_placed or not self._is_sending:
            # What is not sent moves nothing, and while it rested others may have moved the robot.
            if not self._is_sending:
                self._gate.reset()
            self._start_here(snapshot, now_s)

    def _start_here(self, snapshot: Snapshot, now_s: float) -> None:
        for group, setpoints in self._setpoints.items():
            setpoints.start(_moved(snapshot.measured[group].value, setpoints.size), now_s)
        self._has_moved = self._is_placed = True

    def _act(self, step: int, snapshot: Snapshot, now_s: float, schedule: Schedule, pace: float) -> None:
        actions = self._plan.actions(step, self._ahead) if step >= 0 else []
        if not actions:
            self._timings.counts["ticks without an action"] += 1
            self._hold(snapshot, now_s)
            return
        is_new, ends_s = self._plan.is_new(), schedule.ends_s(step)
        for group, setpoints in self._setpoints.items():
            if not setpoints.is_trajectory:
                due = actions[:LOOK_AHEAD]
                proposed = setpoints.streamed(now_s, step, ends_s, due, self._sequence(), pace)
            elif is_new:
                measured = snapshot.measured[group].value
                proposed = setpoints.trajectory(now_s, ends_s, actions, measured, self._sequence())
            else:
                continue
            self._pass(proposed, snapshot, now_s, "policy")
        self._hold_if_refused(snapshot, now_s)

    def _follow(
        self, commands: Sequence[Command], snapshot: Snapshot, now_s: float, schedule: Schedule
    ) -> None:
        """A person commands some groups, the others hold."""
        if self.who != "person":
            self.who = "person"
            self._journal.event(now_s, "takeover", {"by": "person"})
        self._plan.forget(schedule.seen(now_s))
        passed = [c.group for c in commands if self._pass(c, snapshot, now_s, "person")]
        self._hold(snapshot, now_s, frozenset(passed))

    def _hand_back(self, snapshot: Snapshot, now_s: float, schedule: Schedule) -> None:
        """The person let go: the policy goes on from what it sees now."""
        self.who = "policy"
        self._plan.forget(schedule.seen(now_s))
        self._start_here(snapshot, now_s)
        self._journal.event(now_s, "handed back", {"to": "policy"})

    def _pass(self, proposed: Command, snapshot: Snapshot, now_s: float, who: Who) -> bool:
        """Through the gate and out, or False; what the gate refuses makes the robot hold."""
        decision = self._gate.check(proposed, snapshot, now_s)
        self._tell(decision.interventions, proposed)
        if decision.command is None:
            why = decision.interventions[-1]
            # A tick that follows a late one too soon is left out; nothing is wrong with the robot.
            if why.rule != "pace":
                self._guard.supervisor.hold(now_s, f"{why.rule}: {why.detail}")
            return False
        self._send(decision.command, now_s, who)
        self._setpoints[proposed.group].sent(decision.command)
        self._log.sent(decision.command, "person" if who == "person" else "policy")
        return True

    def _hold_if_refused(self, snapshot: Snapshot, now_s: float) -> None:
        """Every group holds in the very tick in which the gate refused one."""
        if self._guard.supervisor.state is not State.RUNNING:
            self._hold(snapshot, now_s)

    def _rest(self, snapshot: Snapshot, now_s: float, schedule: Schedule) -> None:
        """Not running: hold where the robot was moving, and plan anew once it runs again."""
        self._log.drop()
        self._plan.forget(schedule.seen(now_s))
        self._step, self.who, self._is_placed = -1, "policy", False
        state = self._guard.supervisor.state
        if state is State.DISCONNECTED:
            self._lost_s = now_s
        if self._has_moved and state in (State.HOLD, State.FAULT):
            self._hold(snapshot, now_s)
        elif state is State.IDLE and now_s - self._lost_s < ZEROS_S:
            # A controller that keeps its last speed has kept it while it could not be reached.
            self._hold(snapshot, now_s, frozenset(self._position_groups))

    def _hold(self, snapshot: Snapshot, now_s: float, but: frozenset[str] = frozenset()) -> None:
        if not but:
            self._log.drop()
        for command in self._gate.hold(snapshot, now_s, but):
            self._send(command, now_s, "hold")
            self._setpoints[command.group].sent(command)

    def _send(self, command: Command, now_s: float, who: Who) -> None:
        is_sent = self._is_sending and self._robot.send(command)
        self._timings.counts["commands sent" if is_sent else "commands not sent"] += 1
        self._journal.command(now_s, command, is_sent, who)

    def _tell(self, interventions: Sequence[Intervention], proposed: Command) -> None:
        for found in interventions:
            values = {
                "group": found.group,
                "rule": found.rule,
                "detail": found.detail,
                "proposed": proposed.values,
            }
            self._journal.event(found.time_s, "intervention", values)


def _moved(measured: np.ndarray, size: int) -> np.ndarray:
    """Where a group's setpoints start: what is measured; rates start at rest."""
    return np.array(measured, np.float64) if len(measured) == size else np.zeros(size)
