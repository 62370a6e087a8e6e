"""The half of the control loop that looks: in every control step it observes, and asks for chunks in time."""

from collections.abc import Mapping

import numpy as np

from imitate.deploy.guard import Guard
from imitate.deploy.inference import Inference, Predictor
from imitate.deploy.journal import Journal
from imitate.deploy.plan import Plan, Schedule
from imitate.deploy.robot import Robot, Snapshot
from imitate.deploy.timings import Timings
from imitate.history import ObservationHistory


class Observer:
    """`observe` is called once per control step of one attempt.

    stale: names of what was too old or invalid when last looked at. seen_s: when that was. pace: below 1
    where the robot should go slowly, because what it sees is unlike its training.
    """

    def __init__(
        self,
        robot: Robot,
        predictor: Predictor,
        guard: Guard,
        inference: Inference,
        plan: Plan,
        journal: Journal,
        timings: Timings,
    ) -> None:
        self._robot, self._predictor, self._guard = robot, predictor, guard
        self._inference, self._plan = inference, plan
        self._journal, self._timings = journal, timings
        self._history: ObservationHistory | None = None
        self.stale: tuple[str, ...] = ()
        self.seen_s: float | None = None
        self.pace = 1.0

    def observe(self, now_s: float, schedule: Schedule) -> None:
        """Look, remember, and ask for a chunk where the plan wants one."""
        snapshot = self._robot.read()
        self._journal.observation(now_s, snapshot)
        freshness = self._guard.seeing.check(snapshot, now_s)
        self.stale, self.seen_s = freshness.stale, now_s
        if freshness.fault:
            self._guard.supervisor.fault(now_s, freshness.fault)
        if freshness.stale or freshness.fault:
            # Windows of training have no gaps, so a history with one must not be acted on.
            self._history = None
            return
        obs = self._wanted(snapshot)
        self._timings.age_s.append(now_s - min(r.arrived_s for r in snapshot.observations.values()))
        self._remember(obs)
        self._judge(obs, now_s)
        step = schedule.seen(now_s)
        lead = schedule.lead(self._timings.recent_latency_s())
        if self._inference.is_idle() and self._plan.wants(step, lead):
            assert self._history is not None
            self._inference.ask(step, self._history.stacked(), now_s)

    def _wanted(self, snapshot: Snapshot) -> dict[str, np.ndarray]:
        """What the policy sees, in the types of its training."""
        return {
            key: np.asarray(snapshot.observations[key].value, spec.dtype).reshape(spec.shape)
            for key, spec in self._predictor.spec.obs.items()
        }

    def _remember(self, obs: Mapping[str, np.ndarray]) -> None:
        if self._history is None:
            self._history = ObservationHistory(self._predictor.obs_steps)
            self._history.reset(obs)
        else:
            self._history.add(obs)

    def _judge(self, obs: Mapping[str, np.ndarray], now_s: float) -> None:
        found = self._guard.judge(obs, self._predictor.spec, now_s)
        self.pace = 1.0 if found is None else found.scale
        if found is not None and found.action != "none":
            values = {"distance": found.distance, "threshold": found.threshold, "action": found.action}
            self._journal.event(now_s, "unfamiliar", values)
