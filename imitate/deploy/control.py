"""The control loop without its threads; see imitate.deploy.plan for how time is divided."""

from dataclasses import dataclass, field
from typing import Literal

from imitate.deploy.commander import Commander
from imitate.deploy.fit import Join
from imitate.deploy.guard import Guard
from imitate.deploy.inference import Inference, Predictor
from imitate.deploy.journal import Journal, Who
from imitate.deploy.late_deltas import Deltas
from imitate.deploy.observer import Observer
from imitate.deploy.plan import Plan, Schedule
from imitate.deploy.robot import Robot
from imitate.deploy.safety.gate import SafetyGate
from imitate.deploy.strategy import StrategyConfig
from imitate.deploy.timings import Timings
from imitate.errors import ConfigError, ImitateError

Mode = Literal["dry-run", "shadow", "run"]

TIMINGS_S = 1.0
"""How often the times of ticks and inference go into the recording."""

SILENT_STEPS = 3
"""An observing half that has not looked for so many control steps is as bad as a robot that says nothing."""


@dataclass(frozen=True)
class ControlConfig:
    """How often commands go out, and how chunks become commands.

    command_rate_hz: ticks per second. answer_within: share of a control period that inference has before its
    first action is due. interpolate: a smooth course between positions; false where the robot's controller
    makes one of its own.
    """

    command_rate_hz: float = 100.0
    answer_within: float = 0.5
    interpolate: bool = True
    strategy: StrategyConfig = field(default_factory=StrategyConfig)

    def __post_init__(self) -> None:
        if not 0 <= self.answer_within <= 1:
            raise ConfigError(f"control.answer_within is {self.answer_within}, expected 0 to 1")
        if not self.command_rate_hz > 0:
            raise ConfigError(f"control.command_rate_hz is {self.command_rate_hz}, expected above 0")


class Control:
    """One attempt of a policy on a robot. `observe` and `tick` may be called from two threads."""

    def __init__(
        self,
        robot: Robot,
        predictor: Predictor,
        joined: Join,
        guard: Guard,
        gate: SafetyGate,
        inference: Inference,
        journal: Journal,
        timings: Timings,
        config: ControlConfig,
        mode: Mode,
        start_s: float,
    ) -> None:
        self._guard, self._inference = guard, inference
        self.timings, self._journal = timings, journal
        self._told_s = start_s
        self.tick_s = 1.0 / config.command_rate_hz
        self.schedule = Schedule(start_s, joined.period_s, config.answer_within * joined.period_s)
        deltas = Deltas.of(predictor.spec.action, joined.targets)
        self._plan = Plan(lambda: config.strategy.build(predictor.action_steps), deltas)
        self._observer = Observer(robot, predictor, guard, inference, self._plan, journal, timings)
        self._commander = Commander(
            robot,
            joined,
            guard,
            gate,
            self._plan,
            journal,
            timings,
            config.interpolate,
            is_sending=mode == "run",
        )

    @property
    def who(self) -> Who:
        """Who acts: policy or person."""
        return self._commander.who

    def is_whole(self, now_s: float) -> bool:
        """Whether an observation made now would not mix two of them; see Observer."""
        return self._observer.is_whole(now_s, self.schedule.period_s)

    def glance(self) -> None:
        """Half way between two looks; see Observer."""
        self._observer.glance()

    def observe(self, now_s: float) -> None:
        """Once per control step."""
        self._observer.observe(now_s, self.schedule)

    def keep_step(self) -> None:
        """After a look: the next ones follow what the robot sends; see Observer.late_s."""
        self.schedule = self.schedule.earlier(self._observer.late_s(self.schedule.period_s))

    def tick(self, now_s: float) -> None:
        """Once per tick of the command rate."""
        try:
            chunk = self._inference.answer(now_s)
        except ImitateError as error:
            self._guard.supervisor.fault(now_s, str(error))
            chunk = None
        if chunk is not None:
            self.timings.latency_s.append(chunk.latency_s)
            self._plan.take(chunk, self.schedule.next(now_s))
        self._commander.tick(now_s, self.schedule, self._unseen(now_s), self._observer.pace)
        if now_s - self._told_s >= TIMINGS_S:
            self.tell_timings(now_s)

    def tell_timings(self, now_s: float) -> None:
        """Record the times since this was last done, at the latest when the attempt ends."""
        self._told_s = now_s
        self._journal.event(now_s, "timings", self.timings.take_fresh())

    def _unseen(self, now_s: float) -> tuple[str, ...]:
        seen_s = self._observer.seen_s
        since_s = now_s - (self.schedule.start_s if seen_s is None else seen_s)
        if since_s > SILENT_STEPS * self.schedule.period_s:
            return (*self._observer.stale, f"nothing was observed for {since_s:.2f} s")
        return self._observer.stale
