"""Whether the policy may act now: connection, emergency stop, age of what is seen."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from imitate.deploy.journal import Journal
from imitate.deploy.robot import Robot, Snapshot
from imitate.deploy.safety.ages import AgeGate, EmergencyStop
from imitate.deploy.safety.distribution import DistributionGate, Familiarity
from imitate.deploy.safety.state_machine import State, Supervisor
from imitate.spec import DataSpec


class StateNews:
    """Tells a journal every change of state, once, whichever attempt it is in."""

    def __init__(self, supervisor: Supervisor) -> None:
        self._supervisor, self._told = supervisor, 0

    def tell(self, journal: Journal) -> None:
        """What happened since this was last called."""
        events = self._supervisor.events
        for change in events[self._told :]:
            values = {"before": change.before, "after": change.after, "why": change.why}
            journal.event(change.time_s, "state", values)
        self._told = len(events)


@dataclass
class Guard:
    """Everything that stops a policy, besides the gate that every command passes.

    supervisor: the state of the session; news tells of it. ages: of what the robot measures. seeing: of what
    the policy sees. stop: None where the robot has no emergency stop. familiar: None where the policy brings
    no observations of its training.
    """

    supervisor: Supervisor
    news: StateNews
    ages: AgeGate
    seeing: AgeGate
    stop: EmergencyStop | None
    familiar: DistributionGate | None

    def look(self, robot: Robot, snapshot: Snapshot, seen: Sequence[str], now_s: float) -> bool:
        """Whether all is well at `now_s`; where it is not, the state changes at once.

        seen: the observations that were stale when the policy last looked.
        """
        supervisor = self.supervisor
        if not robot.is_connected():
            supervisor.disconnect(now_s, "the connection to the robot is lost")
            return False
        if supervisor.state is State.DISCONNECTED:
            supervisor.connect(now_s)
        pressed = self.stop.pressed(snapshot, now_s) if self.stop else None
        if pressed:
            supervisor.fault(now_s, pressed)
            return False
        freshness = self.ages.check(snapshot, now_s)
        if freshness.fault:
            supervisor.fault(now_s, freshness.fault)
            return False
        stale = [*freshness.stale, *seen]
        if stale:
            supervisor.hold(now_s, f"stale: {', '.join(stale)}")
        if supervisor.state is State.HOLD:
            return supervisor.healthy(now_s, not stale)
        return not stale

    def judge(self, obs: Mapping[str, np.ndarray], spec: DataSpec, now_s: float) -> Familiarity | None:
        """How familiar an observation is; holds where the settings ask for it."""
        if self.familiar is None:
            return None
        found = self.familiar.check(flattened(obs, spec))
        if found.action == "hold":
            self.supervisor.hold(
                now_s, f"unfamiliar: distance {found.distance:.3g}, the limit is {found.threshold:.3g}"
            )
        return found


def flattened(obs: Mapping[str, np.ndarray], spec: DataSpec) -> np.ndarray:
    """The states of an observation as one vector (D,), in the order of `spec`; images are left out."""
    states = [
        np.asarray(obs[key], np.float64).reshape(-1) for key, array in spec.obs.items() if not array.is_image
    ]
    return np.concatenate(states) if states else np.zeros(0)
