"""A session: one policy on one robot, from joining the two to the last attempt, recorded throughout."""

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from imitate.deploy.backends.simulated import SimulatedRobot
from imitate.deploy.clock import Clock, RealClock, VirtualClock
from imitate.deploy.control import Control, ControlConfig, Mode
from imitate.deploy.drivers import drive_in_real_time, drive_virtually
from imitate.deploy.fit import join
from imitate.deploy.guard import Guard, StateNews
from imitate.deploy.inference import Inference, InferenceThread, VirtualInference
from imitate.deploy.journal import Journal, Who
from imitate.deploy.observer import AFTER_NEWS
from imitate.deploy.predictor import Loaded
from imitate.deploy.robot import Robot
from imitate.deploy.safety.ages import AgeGate, EmergencyStop
from imitate.deploy.safety.distribution import DistributionConfig, DistributionGate
from imitate.deploy.safety.gate import SafetyGate
from imitate.deploy.safety.limits import Limits
from imitate.deploy.safety.state_machine import State, Supervisor
from imitate.deploy.timings import Timings
from imitate.errors import RobotError
from imitate.spec import DataSpec, require_match

STILL_S = 1.0
"""How long an attempt may take to come to rest when it ends."""

FIRST_SIGHT_S = 5.0
"""How long to wait for the first complete observation."""


@dataclass(frozen=True)
class SessionConfig:
    """What holds for all attempts of a session.

    urdf: a file with the joints' limits, None where the robot's own settings have them all. resume_after_s: a
    hold ends by itself once everything was fresh for so long; None leaves that to a person. added_delay_s:
    makes inference slower, to see what becomes of it. seed: of the policy's noise.
    """

    control: ControlConfig = field(default_factory=ControlConfig)
    familiar: DistributionConfig = field(default_factory=DistributionConfig)
    urdf: str | None = None
    resume_after_s: float | None = None
    added_delay_s: float = 0.0
    seed: int = 0


class Session:
    """A policy joined to a robot that is connected.

    Raises SpecError where they do not fit, ConfigError where limits are missing: before anything moves.
    """

    def __init__(
        self,
        loaded: Loaded,
        robot: Robot,
        limits: Limits,
        mode: Mode,
        config: SessionConfig,
        journal: Journal,
        clock: Clock | None = None,
    ) -> None:
        self._robot, self._config, self._mode = robot, config, mode
        self._journal, self._clock = journal, clock or RealClock()
        self._predictor = loaded.predictor
        spec = loaded.predictor.spec
        found = DataSpec(robot.spec.obs, spec.action, robot.spec.rate_hz)
        require_match(found, spec, "robot")
        self._join = join(spec, robot.targets)
        urdf = None if config.urdf is None else Path(config.urdf).read_text()
        bounds = limits.for_targets(robot.targets, 1.0 / config.control.command_rate_hz, urdf)
        measured = {key: age for key, age in robot.max_age_s.items() if key.startswith("measured.")}
        self._gate = SafetyGate(bounds, max(measured.values(), default=None))
        self._familiar = _familiarity(loaded, config.familiar)
        self.supervisor = Supervisor(config.resume_after_s)
        self._news = StateNews(self.supervisor)
        self.timings = Timings()
        self._current: Control | None = None
        self._inference = self._start_inference()

    def _start_inference(self) -> Inference:
        config = self._config
        if isinstance(self._clock, VirtualClock):
            return VirtualInference(self._predictor, config.seed, config.added_delay_s)
        return InferenceThread(self._predictor, config.seed, config.added_delay_s)

    def record(self, journal: Journal) -> None:
        """Tell `journal` everything from now on; the session closes it."""
        self._journal = journal

    @property
    def who(self) -> Who:
        """Who acts, or acted last."""
        return self._current.who if self._current else "policy"

    def counts(self) -> dict[str, int]:
        """How often the gate intervened, by rule."""
        return dict(self._gate.counts)

    def arm(self, by: str) -> None:
        """A person allows motion; RobotError where the robot cannot be made ready for it."""
        if self._mode == "run":
            self._robot.prepare()
        if self.supervisor.state is State.DISCONNECTED:
            self.supervisor.connect(self._clock.now())
        self.supervisor.arm(self._clock.now(), by)

    def stop(self, why: str) -> None:
        """Stop at once, until a person arms again; from any thread."""
        self.supervisor.fault(self._clock.now(), why)

    def pause(self, by: str) -> None:
        """Hold until somebody resumes; from any thread."""
        self.supervisor.hold(self._clock.now(), f"paused by {by}")

    def go_on(self, by: str) -> None:
        """End a hold, or after a stop arm and start again; RobotError where there is nothing of either."""
        now_s = self._clock.now()
        if self.supervisor.state is State.HOLD:
            self.supervisor.resume(now_s, by)
            return
        self.supervisor.arm(now_s, by)
        self.supervisor.start(now_s)

    def attempt(self, is_done: Callable[[], bool], longest_s: float) -> None:
        """Run until `is_done` or for `longest_s`; the session must be armed, and is idle or stopped after it.

        The robot comes to rest before this returns, whatever ends the attempt.
        """
        self._wait_for_sight()
        now_s = self._clock.now()
        self._current = control = self._control(now_s)
        self._journal.event(now_s, "episode", {})
        self.supervisor.start(now_s)
        ends_s = now_s + longest_s
        try:
            self._drive(control, lambda at_s: is_done() or at_s >= ends_s)
        finally:
            self._come_to_rest(control)

    def close(self) -> None:
        """Stop inferring and let go of the robot; safe to call twice."""
        self._inference.close()
        self._robot.close()
        self._journal.close()

    def _control(self, start_s: float) -> Control:
        self._inference.discard()
        self._gate.reset()
        return Control(
            self._robot,
            self._predictor,
            self._join,
            self._guard(),
            self._gate,
            self._inference,
            self._journal,
            self.timings,
            self._config.control,
            self._mode,
            start_s,
        )

    def _guard(self) -> Guard:
        """Fresh ages for an attempt: a pause between attempts is no jump of the clock."""
        stop, ages = self._robot.stop, self._robot.max_age_s
        wanted = [f"observations.{key}" for key in self._predictor.spec.obs]
        measured = [key for key in ages if key.startswith("measured.")]
        period_s = self._join.period_s
        return Guard(
            self.supervisor,
            self._news,
            AgeGate({key: ages[key] for key in measured}, period_s),
            AgeGate({key: ages.get(key) for key in wanted}, period_s),
            EmergencyStop(stop.required, stop.max_age_s) if stop else None,
            self._familiar,
        )

    def _wait_for_sight(self) -> None:
        """Wait until all that the policy sees has come once; raises RobotError naming what does not."""
        given_up_s = time.monotonic() + FIRST_SIGHT_S
        while missing := self._missing():
            if time.monotonic() > given_up_s:
                raise RobotError(
                    f"robot: nothing valid came in {FIRST_SIGHT_S:g} s from {', '.join(missing)}: see  "
                    "imitate robot check"
                )
            time.sleep(0.01)
        self._wait_for_news()

    def _wait_for_news(self) -> None:
        """Begin a little after an observation came, where they come as slowly as the policy looks.

        Looking at the very moment at which they come would give parts of two of them.
        """
        if isinstance(self._clock, VirtualClock):
            return
        before_s = self._seen_s()
        given_up_s = time.monotonic() + 2 * self._join.period_s
        while self._seen_s() == before_s and time.monotonic() < given_up_s:
            time.sleep(0.001)
        time.sleep(AFTER_NEWS * self._join.period_s)

    def _seen_s(self) -> float:
        """When the last of what the policy sees arrived."""
        observations = self._robot.read().observations
        return max(observations[key].arrived_s for key in self._predictor.spec.obs)

    def _missing(self) -> list[str]:
        snapshot = self._robot.read()
        wanted = {f"observations.{key}": snapshot.observations.get(key) for key in self._predictor.spec.obs}
        wanted |= {f"measured.{group}": snapshot.measured.get(group) for group in self._join.targets}
        return [name for name, reading in wanted.items() if reading is None or not reading.valid]

    def _drive(self, control: Control, is_done: Callable[[float], bool]) -> None:
        if isinstance(self._clock, VirtualClock):
            assert isinstance(self._robot, SimulatedRobot)
            drive_virtually(control, self._robot, self._clock, is_done)
        else:
            drive_in_real_time(control, is_done)

    def _come_to_rest(self, control: Control) -> None:
        supervisor, now_s = self.supervisor, self._clock.now()
        supervisor.hold(now_s, "the attempt is over")
        if not isinstance(self._clock, VirtualClock):
            drive_in_real_time(
                control, lambda at_s: at_s > now_s + STILL_S or _is_still(self._gate, at_s, now_s)
            )
        if supervisor.state is State.HOLD:
            supervisor.disarm(self._clock.now(), "the attempt is over")
        self._news.tell(self._journal)


def _is_still(gate: SafetyGate, at_s: float, since_s: float) -> bool:
    # Zeros are repeated for some ticks: a controller that keeps its last value must not miss them.
    return at_s - since_s > 0.1 and gate.is_still()


def _familiarity(loaded: Loaded, config: DistributionConfig) -> DistributionGate | None:
    if loaded.training is None or loaded.held_out is None:
        return None
    return DistributionGate(loaded.training, loaded.held_out, config)
