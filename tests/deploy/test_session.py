"""Whole sessions on simulated robots: success, delays, dry runs, and everything that must stop the robot."""

import time
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pytest
import reaching
import yaml

from imitate.deploy.backends.simulated import SimulatedConfig, SimulatedRobot
from imitate.deploy.clock import RealClock, VirtualClock
from imitate.deploy.command import Command
from imitate.deploy.control import ControlConfig, Mode
from imitate.deploy.journal import NoJournal, Who
from imitate.deploy.robot import Reading, Snapshot
from imitate.deploy.safety.state_machine import State
from imitate.deploy.session import Session, SessionConfig
from imitate.deploy.strategy import Name, StrategyConfig
from imitate.errors import ConfigError, RobotError, SpecError
from imitate.parts import from_json

ROBOT = Path(__file__).resolve().parents[2] / "imitate/configs/robot/sim.yaml"


@dataclass
class Diary(NoJournal):
    """Keeps what was told."""

    commands: list[tuple[float, Command, bool, Who]] = field(default_factory=list)
    steps: list[tuple[float, np.ndarray, str, bool]] = field(default_factory=list)
    events: list[tuple[float, str, Mapping[str, Any]]] = field(default_factory=list)

    def command(self, time_s: float, command: Command, sent: bool, source: Who) -> None:
        self.commands.append((time_s, command, sent, source))

    def step(
        self, time_s: float, action: np.ndarray, source: Literal["policy", "person"], sent: bool = True
    ) -> None:
        self.steps.append((time_s, action, source, sent))

    def event(self, time_s: float, name: str, values: Mapping[str, Any]) -> None:
        self.events.append((time_s, name, values))


def robot_config() -> SimulatedConfig:
    config = from_json(yaml.safe_load(ROBOT.read_text()), "robot")
    assert isinstance(config, SimulatedConfig)
    return config


@dataclass
class Stage:
    """A session on a simulated arm whose readings a test may spoil."""

    session: Session
    robot: SimulatedRobot
    diary: Diary

    def play(self, seed: int, longest_s: float = 10.0) -> SimulatedRobot:
        self.session.arm("tester")
        self.robot.begin(seed)
        self.session.attempt(lambda: self.robot.progress.is_over, longest_s)
        return self.robot


def stage(
    mode: Mode = "run",
    strategy: Name = "receding",
    realtime: bool = False,
    robot_class: type[SimulatedRobot] = SimulatedRobot,
    **settings: Any,
) -> Stage:
    config = robot_config()
    clock = RealClock() if realtime else VirtualClock()
    robot = robot_class(reaching.config().build(), config.targets, config.measured, clock)
    diary = Diary()
    control = ControlConfig(strategy=StrategyConfig(name=strategy))
    session = Session(
        reaching.loaded(),
        robot,
        config.limits,
        mode,
        SessionConfig(control=control, **settings),
        diary,
        clock,
    )
    robot.begin(0)
    return Stage(session, robot, diary)


@pytest.mark.parametrize("strategy", ["receding", "realtime", "ensemble"])
@pytest.mark.parametrize("delay_s", [0.0, 0.07, 0.15, 0.3])
def test_a_delay_of_inference_costs_the_time_that_it_takes_and_nothing_else(
    strategy: Name, delay_s: float
) -> None:
    prompt, late = stage(), stage(strategy=strategy, added_delay_s=delay_s)
    for seed in range(3):
        steps = prompt.play(seed).progress.steps
        progress = late.play(seed).progress
        assert progress.success
        assert progress.steps <= steps + np.ceil(delay_s / 0.1) + 2
    assert late.session.supervisor.state is State.IDLE


def test_in_real_time_it_succeeds_as_well() -> None:
    scene = stage(realtime=True)
    try:
        assert scene.play(3).progress.success
        assert all(who == "policy" for _, _, who, _ in scene.diary.steps)
    finally:
        scene.session.close()


@pytest.mark.parametrize("mode", ["dry-run", "shadow"])
def test_without_sending_nothing_moves_and_everything_is_recorded(mode: Mode) -> None:
    scene = stage(mode)
    start = scene.robot.measure().measured["arm"].value
    robot = scene.play(0, longest_s=1.5)
    assert np.allclose(robot.measure().measured["arm"].value, start, atol=2e-3)
    assert not any(sent for _, _, sent, _ in scene.diary.commands)
    assert len(scene.diary.steps) >= 10
    assert not any(sent for *_, sent in scene.diary.steps)


def test_the_recorded_actions_are_those_that_the_environment_got() -> None:
    scene = stage()
    got: list[np.ndarray] = []
    step = scene.robot._env.step
    scene.robot._env.step = lambda action: (got.append(action.copy()), step(action))[1]  # type: ignore[method-assign]
    steps = scene.play(0).progress.steps
    recorded = [action for _, action, _, _ in scene.diary.steps]
    assert len(recorded) == steps - 1 >= 3
    assert np.allclose(recorded, got[: len(recorded)], atol=2e-3)


class Spoilt(SimulatedRobot):
    """After half a second of an attempt its readings are no more what they were."""

    how = ""

    def read(self) -> Snapshot:
        return self._spoil(super().read())

    def measure(self) -> Snapshot:
        return self._spoil(super().measure())

    def is_connected(self) -> bool:
        return super().is_connected() and not (self.how == "lost" and self._is_late())

    def _is_late(self) -> bool:
        return self.progress.steps >= 2

    def _spoil(self, snapshot: Snapshot) -> Snapshot:
        if not self._is_late():
            return snapshot
        if self.how == "stop":
            return replace(snapshot, stop=Reading(np.array([True]), self._clock.now()))
        if self.how == "old":
            old = {key: replace(r, arrived_s=r.arrived_s - 1.0) for key, r in snapshot.observations.items()}
            return replace(snapshot, observations=old)
        if self.how == "silent":
            return Snapshot()
        if self.how == "null":
            bad = {key: replace(r, valid=False) for key, r in snapshot.measured.items()}
            return replace(snapshot, measured=bad)
        return snapshot


@pytest.mark.parametrize(
    ("how", "why"),
    [
        ("stop", "emergency stop"),
        ("old", "stale: observations.ee_to_goal"),
        ("silent", "stale: "),
        ("null", "stale: measured.arm"),
        ("lost", "connection to the robot is lost"),
    ],
)
def test_whatever_is_wrong_with_the_robot_stops_it_at_once(how: str, why: str) -> None:
    robot_class = type("Case", (Spoilt,), {"how": how})
    scene = stage(robot_class=robot_class)
    if how == "stop":
        scene.robot.__class__.stop = property(lambda self: _stop())  # type: ignore[assignment,method-assign]
    scene.play(0, longest_s=2.0)
    reasons = [event.why for event in scene.session.supervisor.events]
    assert any(why in reason for reason in reasons), reasons
    stopped_s = next(e.time_s for e in scene.session.supervisor.events if why in e.why)
    moved = [who for at, _, _, who in scene.diary.commands if at > stopped_s + 1e-9 and who != "hold"]
    assert not moved
    assert not scene.robot.progress.success


def _stop() -> Any:
    from imitate.deploy.description import StopSource

    return StopSource("/stop")


def test_a_fault_raises_the_alarm_once() -> None:
    scene = stage(robot_class=type("Case", (Spoilt, Alarmed), {"how": "stop", "alarms": 0}))
    scene.robot.__class__.stop = property(lambda self: _stop())  # type: ignore[assignment,method-assign]
    scene.play(0, longest_s=2.0)
    assert isinstance(scene.robot, Alarmed)
    assert scene.robot.alarms == 1


class Alarmed(SimulatedRobot):
    alarms = 0

    def alarm(self) -> None:
        self.alarms += 1


@pytest.mark.parametrize("mode", ["dry-run", "run"])
def test_only_a_run_makes_the_robot_ready(mode: Mode) -> None:
    scene = stage(robot_class=type("Case", (Prepared,), {"times": 0}), mode=mode)
    scene.session.arm("tester")
    assert isinstance(scene.robot, Prepared)
    assert scene.robot.times == (mode == "run")


class Prepared(SimulatedRobot):
    times = 0

    def prepare(self) -> None:
        self.times += 1


def test_a_fault_is_left_by_a_person_only() -> None:
    scene = stage()
    scene.session.arm("tester")
    scene.session.supervisor.fault(0.0, "test")
    with pytest.raises(RobotError, match="a person must arm it first"):
        scene.session.attempt(lambda: True, 1.0)
    scene.session.arm("tester")
    scene.robot.begin(0)
    scene.session.attempt(lambda: scene.robot.progress.is_over, 5.0)
    assert scene.robot.progress.success


def test_a_person_takes_over_and_hands_back() -> None:
    scene = stage(robot_class=Steered)
    robot = scene.play(0, longest_s=4.0)
    names = [name for _, name, _ in scene.diary.events]
    assert "takeover" in names and "handed back" in names
    sources = [source for _, _, source, _ in scene.diary.steps]
    first = sources.index("person")
    assert "policy" in sources[first:]
    assert robot.progress.success


class Steered(SimulatedRobot):
    """A person lifts the arm from the first to the sixth control step."""

    def measure(self) -> Snapshot:
        snapshot = super().measure()
        if not 1 <= self.progress.steps < 6:
            return snapshot
        up = Reading(np.array([0.0, 0.0, 0.1, 0.0]), self._clock.now())
        return replace(snapshot, takeover={"arm": up})


def test_a_robot_that_was_lost_and_is_back_is_told_to_stand_still_until_a_person_arms() -> None:
    scene = stage(robot_class=Interrupted)
    scene.play(0, longest_s=2.0)
    events = scene.session.supervisor.events
    back_s = [event.time_s for event in events if event.before is State.DISCONNECTED][-1]
    after = [(at, command, who) for at, command, _, who in scene.diary.commands if at >= back_s]
    assert after, "nothing was sent"
    assert all(who == "hold" and command.kind == "twist" for _, command, who in after)
    assert not after[-1][1].values.any()
    assert after[-1][0] - back_s <= 1.0
    assert scene.session.supervisor.state is State.IDLE


class Interrupted(SimulatedRobot):
    """Out of reach between the second and the fourth control step."""

    def is_connected(self) -> bool:
        return super().is_connected() and not 2 <= self.progress.steps < 4


def test_where_the_gate_refuses_one_group_all_hold_within_a_tick() -> None:
    scene = stage(robot_class=Jumping)
    scene.play(0, longest_s=1.5)
    held_s = next(e.time_s for e in scene.session.supervisor.events if e.after is State.HOLD)
    soon = [(c.group, who) for at, c, _, who in scene.diary.commands if held_s < at < held_s + 0.015]
    assert ("arm", "hold") in soon
    assert all(who == "hold" for _, who in soon)


class Jumping(SimulatedRobot):
    """Says that its gripper were far outside of its range, so that no opening may be sent."""

    def measure(self) -> Snapshot:
        snapshot = super().measure()
        if self.progress.steps < 2:
            return snapshot
        wrong = replace(snapshot.measured["gripper"], value=np.array([np.nan]))
        return replace(snapshot, measured={**snapshot.measured, "gripper": wrong})


def test_what_does_not_fit_is_refused_before_anything_moves() -> None:
    config = robot_config()
    env = reaching.config(rate_hz=5.0).build()
    robot = SimulatedRobot(env, config.targets, config.measured, VirtualClock())
    with pytest.raises(SpecError, match="robot: rate is 5 Hz, expected 10 Hz"):
        Session(reaching.loaded(), robot, config.limits, "run", SessionConfig(), NoJournal(), VirtualClock())
    with pytest.raises(ConfigError, match="limits"):
        robot = SimulatedRobot(reaching.config().build(), config.targets, config.measured, VirtualClock())
        bare = replace(config.limits, tools={})
        Session(reaching.loaded(), robot, bare, "run", SessionConfig(), NoJournal(), VirtualClock())


def test_inference_that_fails_is_a_fault() -> None:
    scene = stage()
    scene.session._inference.answer = _failing  # type: ignore[method-assign]
    scene.play(0, longest_s=1.0)
    assert scene.session.supervisor.state is State.FAULT


def _failing(now_s: float) -> Any:
    from imitate.errors import ImitateError

    raise ImitateError("inference failed: test")


def test_a_slow_observer_does_not_go_unnoticed() -> None:
    scene = stage(robot_class=Slow, realtime=True)
    try:
        scene.play(0, longest_s=1.5)
    finally:
        scene.session.close()
    assert any("nothing was observed" in event.why for event in scene.session.supervisor.events)


class Slow(SimulatedRobot):
    """Reading takes longer than three control steps."""

    def read(self) -> Snapshot:
        if self.progress.steps >= 2:
            time.sleep(0.5)
        return super().read()
