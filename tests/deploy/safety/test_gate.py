"""What the gate decides about single commands, what it sends in a hold, and how long it takes."""

import math
import time
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest

from imitate.deploy.command import Command
from imitate.deploy.robot import Reading, Snapshot
from imitate.deploy.safety.gate import SafetyGate
from imitate.deploy.safety.limits import GripperLimits, JointLimits, Limits, ToolLimits

H = 0.01
TOOL = ToolLimits((-0.5, -0.5, 0.0), (0.5, 0.5, 1.0), 0.5, 2.0, 1.0, 5.0)
HOME = [0.0, 0.0, 0.5, 0.0, 0.0, 0.0, 1.0]
GROUPS = {
    "arm": ("joint_position", ("a", "b"), [0.0, 0.0]),
    "wheels": ("joint_velocity", ("c", "d"), [0.0, 0.0]),
    "tool": ("twist", ("x", "y", "z", "yaw"), HOME),
    "flange": ("pose", (), HOME),
    "fingers": ("gripper", ("f",), [0.04]),
}


def gate_for(*groups: str, **more: object) -> SafetyGate:
    targets = {name: SimpleNamespace(kind=GROUPS[name][0], names=GROUPS[name][1], **more) for name in groups}
    joints = {n: JointLimits(-2.0, 2.0, 1.0) for t in targets.values() if "joint" in t.kind for n in t.names}
    tools = {name: TOOL for name in groups if name in ("tool", "flange")}
    grippers = {"fingers": GripperLimits(0.0, 0.08, 0.1)} if "fingers" in groups else {}
    return SafetyGate(Limits(joints, 10.0, None, tools, grippers).for_targets(targets, H))


class Bench:
    """A gate with a robot that does at once what it is told."""

    def __init__(self, *groups: str, **more: object) -> None:
        self.gate, self.now, self.sequence = gate_for(*groups, **more), 50.0, 0
        self.measured = {name: list(GROUPS[name][2]) for name in groups}

    def command(self, group: str, values: list[float]) -> Command:
        self.sequence += 1
        kind, names, _ = GROUPS[group]
        return Command(group, kind, names, np.array([values]), np.zeros(1), self.now, self.sequence)

    def snapshot(self) -> Snapshot:
        return Snapshot({}, {n: Reading(np.array(v), self.now) for n, v in self.measured.items()})

    def send(self, group: str, values: list[float], /, **changes: object):
        self.now += H
        decision = self.gate.check(replace(self.command(group, values), **changes), self.snapshot(), self.now)
        if decision.command is not None:
            self.follow(decision.command)
        return decision

    def hold(self) -> dict[str, Command]:
        self.now += H
        commands = {c.group: c for c in self.gate.hold(self.snapshot(), self.now)}
        for command in commands.values():
            self.follow(command)
        return commands

    def follow(self, command: Command) -> None:
        value, here = command.values[-1].tolist(), self.measured[command.group]
        if command.kind == "joint_velocity":
            value = [p + v * H for p, v in zip(here, value, strict=True)]
        if command.kind == "twist":
            value = [p + v * H for p, v in zip(here[:3], value[:3], strict=True)] + here[3:]
        self.measured[command.group] = value


def rule_of(decision) -> str:
    return decision.interventions[0].rule


def test_what_is_inside_of_the_limits_passes_unchanged() -> None:
    bench = Bench("arm")
    for k in range(200):
        asked = [0.2 - 0.2 * math.cos(k * H * 2), 0.1 - 0.1 * math.cos(k * H * 3)]
        decision = bench.send("arm", asked)
        assert decision.interventions == ()
        assert decision.command.values.tolist() == [asked]


def test_joints_are_put_in_order_by_name() -> None:
    decision = Bench("arm").send("arm", [1e-4, 2e-4], names=("b", "a"))
    assert decision.command.names == ("a", "b")
    assert decision.command.values.tolist() == [[2e-4, 1e-4]]


@pytest.mark.parametrize(
    ("changes", "rule"),
    [
        ({"values": np.array([[0.0, math.nan]])}, "finite"),
        ({"values": np.zeros((1, 3))}, "finite"),
        ({"values": np.zeros((0, 2)), "times_s": np.zeros(0)}, "finite"),
        ({"values": np.zeros((2, 2)), "times_s": np.zeros(2)}, "points"),
        ({"names": ("a", "x")}, "names"),
        ({"names": ("a",)}, "names"),
        ({"group": "leg"}, "names"),
        ({"kind": "gripper"}, "names"),
        ({"sequence": 0}, "sequence"),
        ({"made_s": 49.5}, "age"),
        ({"made_s": 60.0}, "age"),
    ],
)
def test_faults_are_refused_with_their_rule(changes, rule: str) -> None:
    bench = Bench("arm")
    bench.send("arm", [0.0, 0.0])
    decision = bench.send("arm", [0.0, 0.0], **changes)
    assert decision.command is None
    assert rule_of(decision) == rule
    assert bench.gate.counts == {rule: 1}


def test_an_intervention_names_joint_and_values() -> None:
    decision = Bench("arm").send("arm", [0.0, 5.0])
    first, second = decision.interventions
    assert (first.group, first.rule, first.detail) == ("arm", "position", "b: 5 → 1.98")
    assert second.rule == "velocity"


def test_a_robot_that_does_not_follow_is_stopped() -> None:
    bench = Bench("arm")
    bench.follow = lambda command: None
    decisions = [bench.send("arm", [1.5, 0.0]) for _ in range(100)]
    stopped = next(d for d in decisions if d.command is None)
    assert rule_of(stopped) == "jump"
    assert max(d.command.values[0, 0] for d in decisions if d.command is not None) <= 0.3


def test_a_continuous_joint_is_compared_by_its_wrapped_angle() -> None:
    joint = JointLimits(velocity=1.0, acceleration=10.0, continuous=True)
    target = SimpleNamespace(kind="joint_position", names=("a",))
    gate = SafetyGate(Limits({"a": joint}).for_targets({"arm": target}, H))
    state = Snapshot({}, {"arm": Reading(np.array([3.1415]), 0.0)})
    command = Command("arm", "joint_position", ("a",), np.array([[-3.1415]]), np.zeros(1), 0.0, 1)
    decision = gate.check(command, state, 0.0)
    assert decision.interventions == ()
    assert decision.command.values[0, 0] == pytest.approx(2 * math.pi - 3.1415)


def test_a_joint_outside_of_its_soft_limits_may_only_come_back() -> None:
    bench = Bench("arm")
    bench.measured["arm"] = [1.995, 0.0]
    sent = [bench.send("arm", [2.5, 0.0]).command.values[0, 0] for _ in range(100)]
    assert max(sent) <= 1.995
    assert sent[-1] == pytest.approx(1.98)


def test_a_joint_outside_of_its_limits_is_not_moved() -> None:
    bench = Bench("arm")
    bench.measured["arm"] = [2.5, 0.0]
    assert rule_of(bench.send("arm", [0.0, 0.0])) == "measured"


def test_commands_that_come_too_fast_are_refused() -> None:
    bench = Bench("arm")
    bench.send("arm", [0.0, 0.0])
    bench.now -= H * 0.95
    assert rule_of(bench.send("arm", [0.0, 0.0])) == "pace"


def test_uneven_ticks_at_the_right_pace_are_let_pass() -> None:
    bench = Bench("arm")
    for k in range(50):
        bench.now = 60.0 + H * (k - 1) + (0.8 * H if k % 2 else 0.0)
        assert bench.send("arm", [0.0, 0.0]).command is not None


def test_a_hold_of_positions_slows_down_and_stays() -> None:
    bench = Bench("arm")
    for _ in range(50):
        bench.send("arm", [1.5, 0.0])
    sent = [bench.measured["arm"][0], *(bench.hold()["arm"].values[0, 0] for _ in range(40))]
    speeds = np.diff(sent) / H
    assert speeds[0] == pytest.approx(0.9)
    assert np.all(np.diff(speeds) <= 1e-9)
    assert np.abs(np.diff(speeds)).max() <= 0.1 + 1e-6
    assert sent[-1] == sent[-20]
    assert bench.gate.is_still()


def test_a_group_that_was_never_moved_is_left_to_its_controller() -> None:
    bench = Bench("arm", "flange", "fingers", "tool", "wheels")
    commands = bench.hold()
    assert set(commands) == {"tool", "wheels"}
    assert not any(command.values.any() for command in commands.values())


@pytest.mark.parametrize(("group", "asked"), [("tool", [0.5, 0, 0, 1.0]), ("wheels", [1.0, -1.0])])
def test_a_hold_of_velocities_ends_in_zeros_that_are_repeated(group: str, asked: list[float]) -> None:
    bench = Bench(group)
    for _ in range(60):
        bench.send(group, asked)
    lengths = [np.abs(bench.hold()[group].values).max() for _ in range(60)]
    assert 0 < lengths[0] < np.abs(asked).max()
    assert lengths == sorted(lengths, reverse=True)
    assert lengths[-20:] == [0.0] * 20


def test_a_gripper_keeps_what_it_was_told_in_a_hold_and_after() -> None:
    bench = Bench("fingers")
    for _ in range(50):
        bench.send("fingers", [0.0])
    bench.measured["fingers"] = [0.02]
    assert bench.hold()["fingers"].values.tolist() == [[0.0]]
    assert bench.send("fingers", [0.0]).command.values.tolist() == [[0.0]]


@pytest.mark.parametrize(
    ("group", "asked", "elsewhere"),
    [("arm", [0.05, 0.0], [-0.9, 0.0]), ("flange", [0.01, *HOME[1:]], [0.4, *HOME[1:]])],
)
def test_a_robot_that_somebody_moved_is_not_called_back(group: str, asked, elsewhere) -> None:
    bench = Bench(group)
    for _ in range(100):
        bench.send(group, asked)
    for _ in range(40):
        assert group in bench.hold()
    bench.measured[group] = elsewhere
    assert bench.hold() == {}
    sent = bench.send(group, elsewhere).command
    assert sent.values[0] == pytest.approx(elsewhere)


def test_a_glitch_of_the_measurement_does_not_change_how_a_hold_slows_down() -> None:
    bench = Bench("arm")
    for _ in range(50):
        bench.send("arm", [1.5, 0.0])
    before = bench.measured["arm"][0]
    bench.measured["arm"] = [-1.0, 0.0]
    assert bench.hold()["arm"].values[0, 0] == pytest.approx(before + 0.9 * H)


def test_after_a_hold_a_group_starts_where_it_is_measured() -> None:
    bench = Bench("arm")
    for _ in range(50):
        bench.send("arm", [1.5, 0.0])
    for _ in range(40):
        bench.hold()
    bench.measured["arm"] = [-0.1, 0.3]
    sent = bench.send("arm", [0.0, 0.0]).command.values[0]
    assert np.abs(sent - [-0.1, 0.3]).max() <= 0.1 * H + 1e-9


def test_after_a_pause_positions_start_where_they_are_measured() -> None:
    bench = Bench("arm")
    for _ in range(50):
        bench.send("arm", [1.5, 0.0])
    bench.now += 0.5
    bench.measured["arm"] = [0.2, 0.0]
    assert abs(bench.send("arm", [1.5, 0.0]).command.values[0, 0] - 0.2) <= 0.1 * H + 1e-9


@pytest.mark.parametrize(("pause_s", "expected"), [(0.2, 0.9), (1.5, 0.1)])
def test_rates_that_were_long_silent_start_at_rest(pause_s: float, expected: float) -> None:
    bench = Bench("wheels")
    for _ in range(50):
        bench.send("wheels", [1.0, 0.0])
    bench.now += pause_s
    target = 0.0 if pause_s < 1 else 1.0
    assert bench.send("wheels", [target, 0.0]).command.values[0, 0] == pytest.approx(expected)


def test_groups_that_someone_commands_are_left_out_of_a_hold() -> None:
    bench = Bench("tool", "wheels")
    held = bench.gate.hold(bench.snapshot(), bench.now, but=frozenset({"tool"}))
    assert [command.group for command in held] == ["wheels"]


def test_the_gate_goes_on_after_minutes_of_idling() -> None:
    bench = Bench("arm", "wheels")
    for _ in range(3):
        assert bench.send("arm", [0.0, 0.0]).command is not None
        assert bench.send("wheels", [0.0, 0.0]).command is not None
        bench.now += 300.0


@pytest.mark.parametrize("back_s", [1e-6, 0.004, 100.0])
def test_a_clock_that_goes_back_is_refused_once(back_s: float) -> None:
    bench = Bench("arm")
    bench.send("arm", [0.0, 0.0])
    bench.now -= H + back_s
    assert rule_of(bench.send("arm", [0.0, 0.0])) == "clock"
    assert bench.send("arm", [0.0, 0.0]).command is not None


def test_reset_starts_everything_anew() -> None:
    bench = Bench("arm")
    bench.send("arm", [0.1, 0.0])
    bench.gate.reset()
    bench.sequence = 0
    assert bench.send("arm", [0.0, 0.0]).command is not None


def test_what_is_sent_is_numbered_without_gaps() -> None:
    bench = Bench("arm", "wheels")
    numbers = [bench.send(group, [0.0, 0.0]).command.sequence for group in ("arm", "wheels", "arm")]
    numbers += sorted(command.sequence for command in bench.hold().values())
    assert numbers == [1, 2, 3, 4, 5]


def test_an_error_in_the_gate_itself_is_a_hold(monkeypatch) -> None:
    bench = Bench("arm")
    monkeypatch.setattr("imitate.deploy.safety.gate.require_finite", lambda *_: 1 / 0)
    decision = bench.send("arm", [0.0, 0.0])
    assert decision.command is None
    assert rule_of(decision) == "error"


def test_a_check_of_seven_joints_takes_little_of_a_tick() -> None:
    names = tuple("abcdefg")
    joints = {name: JointLimits(-2.9, 2.9, 2.0, 10.0, 500.0) for name in names}
    target = SimpleNamespace(kind="joint_position", names=names)
    gate = SafetyGate(Limits(joints).for_targets({"arm": target}, H))
    here, seconds = np.zeros(7), []
    for k in range(600):
        now = k * H
        wave = 0.8 * np.sin(now * np.arange(1, 8) / 3) if k % 100 < 80 else np.full(7, 3.0)
        command = Command("arm", "joint_position", names, wave[None], np.zeros(1), now, k)
        state = Snapshot({}, {"arm": Reading(here, now)})
        start = time.thread_time()
        decision = gate.check(command, state, now)
        seconds.append(time.thread_time() - start)
        here = decision.command.values[0]
    # The bar is a median of 0.3 ms; other work on a test machine must not fail this.
    assert np.quantile(seconds, 0.2) < 0.0003
