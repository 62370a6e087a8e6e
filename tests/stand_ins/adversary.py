"""A policy, a robot and a clock that do everything wrong, in front of a real safety gate.

An episode gives the gate command after command. Most are good enough to get the robot moving; the others
carry one fault each, and are known to have to be refused. What the gate lets through is judged afterwards.
"""

import math
import random
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import sent_limits as judge

from imitate.deploy.command import Command
from imitate.deploy.robot import Reading, Snapshot
from imitate.deploy.safety.gate import SafetyGate
from imitate.deploy.safety.limits import GripperLimits, JointLimits, Limits, ToolLimits

SIZES = {"arm": 2, "wheels": 2, "tool": 4, "flange": 7, "fingers": 1, "chunks": 2}
KINDS = {
    "arm": ("joint_position", ("a", "b"), "values"),
    "wheels": ("joint_velocity", ("c", "d"), "values"),
    "tool": ("twist", ("x", "y", "z", "yaw"), "twist"),
    "flange": ("pose", (), "pose"),
    "fingers": ("gripper", ("f",), "values"),
    "chunks": ("joint_position", ("a", "b"), "trajectory"),
}
TOOL = ToolLimits((-0.4, -0.4, 0.1), (0.4, 0.4, 0.9), 0.5, 2.0, 1.0, 5.0, 0.02, 0.05)
GRIPPER = GripperLimits(0.0, 0.08, 0.2)
JUMP = 0.3


class Episode:
    """One gate with limits drawn by `seed`, and what it let through."""

    def __init__(self, seed: int, groups: tuple[str, ...] = tuple(KINDS)) -> None:
        self.random = r = random.Random(seed)
        self.h = h = r.choice((0.005, 0.01, 0.02, 0.05))
        self.velocity = [r.uniform(0.3, 3.0) for _ in range(2)]
        self.acceleration = [r.uniform(1.0, 15.0) for _ in range(2)]
        self.jerk = [r.choice((math.inf, r.uniform(20.0, 2000.0))) for _ in range(2)]
        self.upper = [r.uniform(0.5, 3.0) for _ in range(2)]
        joints = {
            name: JointLimits(
                -self.upper[i % 2] - 0.02,
                self.upper[i % 2] + 0.02,
                self.velocity[i % 2],
                self.acceleration[i % 2],
                self.jerk[i % 2] if math.isfinite(self.jerk[i % 2]) else None,
            )
            for i, name in enumerate("abcd")
        }
        self.groups = groups
        targets = {
            name: SimpleNamespace(kind=kind, names=names, form=form)
            for name, (kind, names, form) in KINDS.items()
            if name in groups
        }
        limits = Limits(
            {n: j for n, j in joints.items() if any(n in t.names for t in targets.values())},
            tools={name: TOOL for name in ("tool", "flange") if name in groups},
            grippers={"fingers": GRIPPER} if "fingers" in groups else {},
        )
        self.gate = SafetyGate(limits.for_targets(targets, h))
        self.now = self.before = 100.0
        self.sequence = self.presented = 0
        self.checks = self.refused = self.held = 0
        self.problems: set[str] = set()
        self.measured = {
            "arm": [0.0, 0.0],
            "wheels": [0.0, 0.0],
            "tool": [0.0, 0.0, 0.5, 0.0, 0.0, 0.0, 1.0],
            "flange": [0.0, 0.0, 0.5, 0.0, 0.0, 0.0, 1.0],
            "fingers": [0.04],
            "chunks": [0.0, 0.0],
        }
        self.goal = {name: list(value) for name, value in self.measured.items()}
        self.sent_s = dict.fromkeys(groups, -math.inf)
        self.histories = {
            "arm": judge.History(h, 3, 3 * h),
            "wheels": judge.History(h, 3, 1.0, [0.0] * 2),
            "tool": judge.History(h, 2, 1.0, [0.0] * 4),
            "flange": judge.History(h, 2, 3 * h),
            "fingers": judge.History(h, 1, math.inf),
        }
        self.chunks = judge.TrajectoryJudge(
            [-x for x in self.upper], self.upper, self.velocity, self.acceleration
        )

    def run(self, ticks: int) -> "Episode":
        """Tick after tick, a command for every group; now and then the robot is held until it rests."""
        self.tick_all(good=True)
        for _ in range(ticks):
            if self.random.random() < 0.002:
                self.hold_until_still()
            self.tick_all(good=self.random.random() < 0.7)
        self.hold_until_still()
        self.judge_all()
        return self

    def tick_all(self, good: bool) -> None:
        r = self.random
        fault = None if good else r.choice(FAULTS)
        self.before = self.now
        self.now += self.h * (1.0 if good else r.choice((1.0, 1.0, r.uniform(0.6, 1.4), r.randint(2, 60))))
        victim = r.choice(self.groups)
        is_refused = False
        for group in self.groups:
            if group == "chunks" and r.random() < 0.9 and victim != group:
                continue
            is_refused |= self.tick(group, fault if group == victim else None)
        if is_refused or r.random() < 0.01:
            self.hold()

    def tick(self, group: str, fault: str | None) -> bool:
        """One command of `group`; whether it was refused."""
        self.sequence += 1
        now = self.now
        command = self.command(group)
        reading = Reading(np.array(self.measured[group]), now)
        snapshot, must_refuse = Snapshot({}, {group: reading}), False
        if fault:
            command, snapshot, now, must_refuse = spoiled(self, fault, group, command, snapshot)
        decision = self.gate.check(command, snapshot, now)
        self.presented = max(self.presented, command.sequence)
        self.checks += 1
        if any(i.rule == "error" for i in decision.interventions):
            self.problems.add(f"{fault}: {decision.interventions}")
        if decision.command is None:
            self.refused += 1
            if not decision.interventions:
                self.problems.add("refused without a reason")
            return True
        if must_refuse:
            self.problems.add(f"{group}: {fault} was let through")
        self.note(decision.command, snapshot, False)
        return False

    def command(self, group: str) -> Command:
        """Mostly a goal that wanders slowly; at times one somewhere else, or far outside."""
        r, kind, names = self.random, *KINDS[group][:2]
        goal = self.goal[group]
        if group in ("arm", "chunks"):
            mood = r.random()
            for i in range(2):
                if mood < 0.9:
                    goal[i] += r.uniform(-1, 1) * self.velocity[i] * self.h
                elif mood < 0.97:
                    goal[i] = r.uniform(-1.5, 1.5) * self.upper[i]
                else:
                    goal[i] = r.choice((-1e300, 1e300, self.upper[i], -self.upper[i], 0.0))
            if group == "chunks":
                return self.trajectory(names)
        elif group == "fingers":
            goal = [r.uniform(-0.05, 0.15)]
        elif group == "flange":
            if r.random() < 0.05:
                goal[:] = [r.uniform(-1, 1) for _ in range(3)] + unit(r)
            elif r.random() < 0.5:
                goal[:3] = [x + r.uniform(-0.004, 0.004) for x in goal[:3]]
        elif r.random() < 0.1:
            goal[:] = [r.uniform(-4, 4) for _ in goal]
        values = goal[: SIZES[group]]
        return Command(group, kind, names, np.array([values]), np.zeros(1), self.now, self.sequence)

    def trajectory(self, names: tuple[str, ...]) -> Command:
        r = self.random
        count = r.randint(1, 8)
        times = np.cumsum([r.choice((0.1, 0.1, 0.2, r.uniform(0.001, 0.3))) for _ in range(count)])
        here = np.array(self.measured["chunks"])
        reach = r.choice((0.05, 0.2, 1.0, 3.0))
        values = here + np.cumsum([[r.uniform(-1, 1) * reach / count for _ in "ab"] for _ in range(count)], 0)
        slopes = np.gradient(np.vstack([here, values]), np.concatenate([[0], times]), axis=0)[1:]
        return Command("chunks", "joint_position", names, values, times, self.now, self.sequence, slopes)

    def hold(self) -> None:
        snapshot = Snapshot({}, {n: Reading(np.array(v), self.now) for n, v in self.measured.items()})
        commands = {command.group: command for command in self.gate.hold(snapshot, self.now)}
        self.held += len(commands)
        for group in self.groups:
            just_sent = 0 <= self.now - self.sent_s[group] < 0.1 * self.h
            if group not in commands and not just_sent and self.sent_s[group] > -math.inf:
                self.problems.add(f"{group} got no hold")
        for command in commands.values():
            self.note(command, snapshot, True)

    def hold_until_still(self) -> None:
        """Ends within the time that braking may take, however the robot moves."""
        for _ in range(int(12.0 / self.h)):
            self.now += self.h
            self.hold()
            if self.gate.is_still():
                return
        self.problems.add("a hold never came to rest")

    def note(self, command: Command, snapshot: Snapshot, is_hold: bool) -> None:
        """Remember what was sent; the robot follows it."""
        group, values = command.group, command.values[-1].tolist()
        measured = snapshot.measured[group].value.tolist()
        self.sent_s[group] = self.now
        if group == "chunks":
            self.problems |= {
                f"chunks: {x}" for x in self.chunks.broken(command, measured, self.now, is_hold)
            }
            place, _ = self.chunks.at(self.now + self.h)
            self.measured[group] = place.tolist()
            return
        start = [min(max(x, GRIPPER.low), GRIPPER.high) for x in measured] if group == "fingers" else measured
        self.histories[group].add(values, start, self.now, is_hold)
        if group == "arm" and not is_hold and max(map(abs, np.subtract(values, measured))) > JUMP + 1e-9:
            self.problems.add("arm: sent further from the measured state than jumps may be")
        if group == "wheels":
            values = [p + v * self.h for p, v in zip(measured, values, strict=True)]
        if group == "tool":
            values = [p + v * self.h for p, v in zip(measured[:3], values[:3], strict=True)] + measured[3:]
        self.measured[group] = values

    def judge_all(self) -> None:
        rates = [np.array(x) for x in (self.velocity, self.acceleration, self.jerk)]
        upper = np.array(self.upper)
        tool = TOOL.speed, TOOL.acceleration, TOOL.turn, TOOL.turn_acceleration
        judges = {
            "arm": lambda h: judge.broken_by_positions(h, -upper, upper, *rates),
            "wheels": lambda h: judge.broken_by_rates(h, 0, *rates),
            "tool": lambda h: judge.broken_by_twists(h, 3, *tool),
            "flange": lambda h: judge.broken_by_poses(
                h, TOOL.low, TOOL.high, *tool, (TOOL.step_m, TOOL.step_rad)
            ),
            "fingers": lambda h: judge.broken_by_grippers(h, GRIPPER.low, GRIPPER.high, GRIPPER.speed),
        }
        for group, broken in judges.items():
            if group in self.groups and self.histories[group].rows:
                self.problems |= {f"{group}: {rule}" for rule in broken(self.histories[group])}


FAULTS = (
    "nan", "inf", "nan velocity", "wrong length", "empty", "wrong names", "repeated name", "no array",
    "objects", "duplicate", "reordered", "old", "from the future", "wrong kind", "no such group",
    "order of names", "never measured", "stale", "invalid", "measured nan", "measured length",
    "measured jump", "measured outside", "clock back", "clock ahead", "clock nan", "times nan",
    "times falling", "many points", "burst",
)  # fmt: skip


def spoiled(episode: Episode, fault: str, group: str, command: Command, snapshot: Snapshot):
    """The command, the snapshot and the time with one `fault`, and whether they must be refused."""
    r, now, values = episode.random, episode.now, command.values
    reading = snapshot.measured[group]

    def measured(**changes) -> Snapshot:
        return replace(snapshot, measured={**snapshot.measured, group: replace(reading, **changes)})

    if fault in ("nan", "inf"):
        bad = values.copy()
        bad[r.randrange(len(bad)), r.randrange(bad.shape[1])] = math.nan if fault == "nan" else -math.inf
        return replace(command, values=bad), snapshot, now, True
    if fault == "nan velocity":
        return replace(command, velocities=np.full_like(values, np.nan)), snapshot, now, True
    if fault == "wrong length":
        return replace(command, values=np.zeros((1, values.shape[1] + 1))), snapshot, now, True
    if fault == "empty":
        return replace(command, values=values[:0], times_s=np.zeros(0)), snapshot, now, True
    if fault == "wrong names":
        return replace(command, names=("nobody",) * max(1, len(command.names))), snapshot, now, True
    if fault == "repeated name":
        return replace(command, names=command.names[:1] * 2 + command.names[2:] + ("a",)), snapshot, now, True
    if fault == "order of names":
        return replace(command, names=command.names[::-1]), snapshot, now, False
    if fault == "no array":
        return replace(command, values=values.tolist()), snapshot, now, True
    if fault == "objects":
        return replace(command, values=values.astype(object)), snapshot, now, True
    if fault in ("duplicate", "reordered"):
        number = command.sequence - (1 if fault == "duplicate" else r.randint(2, 50))
        return replace(command, sequence=number), snapshot, now, number <= episode.presented
    if fault == "old":
        return replace(command, made_s=now - 0.1 - r.uniform(0.001, 10)), snapshot, now, True
    if fault == "from the future":
        return replace(command, made_s=now + r.uniform(1.1, 10) * episode.h), snapshot, now, True
    if fault == "wrong kind":
        return replace(command, kind="gripper" if command.kind != "gripper" else "twist"), snapshot, now, True
    if fault == "no such group":
        return replace(command, group="nobody"), snapshot, now, True
    if fault == "never measured":
        return command, Snapshot(), now, True
    if fault == "stale":
        return command, measured(arrived_s=now - r.uniform(0.2, 10)), now, True
    if fault == "invalid":
        return command, measured(valid=False), now, True
    if fault == "measured nan":
        return command, measured(value=np.full_like(reading.value, np.nan)), now, True
    if fault == "measured length":
        return command, measured(value=reading.value[1:]), now, True
    if fault == "measured jump":
        jumps = group in ("arm", "flange") and len(episode.histories[group].rows) > 0
        is_started = jumps and now - episode.sent_s[group] <= 2 * episode.h
        is_moving = is_started and not episode.histories[group].was_held
        places = 3 if group in ("tool", "flange") else len(reading.value)
        shift = np.where(np.arange(len(reading.value)) < places, 0.7, 0.0)
        return command, measured(value=reading.value + shift), now, is_moving
    if fault == "measured outside":
        return command, measured(value=reading.value + 100.0), now, group in ("arm", "wheels", "chunks")
    if fault == "times nan":
        return replace(command, times_s=np.full(len(values), np.nan)), snapshot, now, True
    if fault == "times falling":
        times = command.times_s[::-1] if len(values) > 1 else -1 - command.times_s
        return replace(command, times_s=times), snapshot, now, group == "chunks"
    if fault == "many points":
        many = np.tile(values[:1], (5000, 1))
        return replace(command, values=many, times_s=np.arange(5000.0), velocities=None), snapshot, now, True
    if fault == "clock back":
        # Before the last tick: nobody can see that a clock went back to a time that was never looked at.
        return command, snapshot, episode.before - r.uniform(0.001, 10), True
    if fault == "clock ahead":
        return command, snapshot, now + r.uniform(6, 1000), True
    if fault == "clock nan":
        return command, snapshot, math.nan, True
    decision = episode.gate.check(command, snapshot, now)
    episode.presented = command.sequence
    episode.checks += 1
    if decision.command is not None:
        episode.note(decision.command, snapshot, False)
    episode.sequence += 1
    again = replace(command, sequence=episode.sequence)
    return again, snapshot, now, group != "chunks" and decision.command is not None


def unit(r: random.Random) -> list[float]:
    """A random quaternion, sometimes not quite of length 1."""
    values = [r.gauss(0, 1) for _ in range(4)]
    length = math.sqrt(sum(x * x for x in values)) * r.choice((1.0, 1.0, 1.05))
    return [x / length for x in values]
