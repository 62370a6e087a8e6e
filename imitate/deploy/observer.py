"""The half of the control loop that looks: in every control step it observes, and asks for chunks in time."""

from collections.abc import Mapping

import numpy as np

from imitate.deploy.guard import Guard
from imitate.deploy.inference import Inference, Predictor
from imitate.deploy.journal import Journal
from imitate.deploy.plan import Plan, Schedule
from imitate.deploy.robot import Robot, Snapshot
from imitate.deploy.safety.state_machine import State
from imitate.deploy.timings import Timings
from imitate.history import PLAN, ObservationHistory, ahead

SOON = 0.2
"""Of a control period: how long an observation waits for the rest of what others brought already."""

LATE = 0.5
"""Of a control period: a stream so far behind the newest one has not yet brought its part."""

STEADY = 1.5
"""Streams that come at least once in so many control periods are waited for."""

AFTER_NEWS = 0.2
"""Of a control period: how long after an observation came the policy looks."""

OFTEN = 2
"""A stream that brought two messages between two looks so many times running is a fast one."""

SLEW = 0.03
"""Of a control period: by so much at most a step is made longer or shorter while the robot moves."""


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
        self._arrived_s: dict[str, float] = {}
        self._intervals_s: dict[str, float] = {}
        self._halfway_s: dict[str, float] = {}
        self._twice: dict[str, int] = {}
        self._ages_s: list[float] = []
        self.stale: tuple[str, ...] = ()
        self.seen_s: float | None = None
        self.pace = 1.0

    def is_whole(self, now_s: float, period_s: float) -> bool:
        """Whether nothing is just about to come that belongs to what came last.

        Streams that come once per control period and together are read half from this period and half from
        the one before where the policy looks while they come.
        """
        arrived_s = self._arrivals(self._robot.read())
        newest_s = max(arrived_s.values(), default=now_s)
        for key, at_s in arrived_s.items():
            interval_s = self._intervals_s.get(key, np.inf)
            is_late, due_s = at_s < newest_s - LATE * period_s, at_s + interval_s
            if is_late and interval_s < STEADY * period_s and abs(due_s - now_s) < SOON * period_s:
                return False
        return True

    def glance(self) -> None:
        """Half way between two looks: what comes before it and after it comes more often than once."""
        self._halfway_s = self._arrivals(self._robot.read())

    def late_s(self, period_s: float) -> float:
        """By how much earlier than this time the policy should look next time, negative for later.

        Robot and policy each count their own periods, so what the robot sends once per period would drift
        past the moment at which the policy looks, and after a pause of the robot lie anywhere. It should be
        AFTER_NEWS old: any older and the policy acts late, any younger and it is half missed.
        """
        if not self._ages_s:
            return 0.0
        phase = min(self._ages_s) / period_s - AFTER_NEWS
        error = (phase + 0.5) % 1.0 - 0.5
        is_moving = self._guard.supervisor.state is State.RUNNING
        return period_s * (float(np.clip(error, -SLEW, SLEW)) if is_moving else error)

    def observe(self, now_s: float, schedule: Schedule) -> None:
        """Look, remember, and ask for a chunk where the plan wants one."""
        snapshot = self._robot.read()
        arrived_s = self._arrivals(snapshot)
        self._note(arrived_s)
        ages_s = {key: now_s - at_s for key, at_s in arrived_s.items()}
        self._ages_s = [age for key, age in ages_s.items() if self._is_slow(key, age, schedule.period_s)]
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
            self._inference.ask(step, {**self._history.stacked(), **self._planned(step)}, now_s)

    def _planned(self, step: int) -> dict[str, np.ndarray]:
        """What is planned from `step` on, for a policy that goes on with it."""
        steps = self._predictor.plan_steps
        if not steps:
            return {}
        return {PLAN: ahead(self._plan.ahead(step, steps), steps, self._predictor.spec.action.size)}

    def _arrivals(self, snapshot: Snapshot) -> dict[str, float]:
        """When each part of what the policy sees came; what never came is left out."""
        seen = snapshot.observations
        return {key: seen[key].arrived_s for key in self._predictor.spec.obs if key in seen}

    def _is_slow(self, key: str, age_s: float, period_s: float) -> bool:
        """Whether a stream comes about once per period: seldom twice, and seldom not at all."""
        return self._twice.get(key, OFTEN) < OFTEN and age_s < STEADY * period_s

    def _note(self, arrived_s: Mapping[str, float]) -> None:
        for key, at_s in arrived_s.items():
            before_s = self._arrived_s.get(key)
            if before_s is not None and at_s > before_s:
                self._intervals_s[key] = at_s - before_s
            if before_s is not None:
                is_twice = before_s < self._halfway_s.get(key, before_s) < at_s
                self._twice[key] = self._twice.get(key, 0) + 1 if is_twice else 0
            self._arrived_s[key] = at_s

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
