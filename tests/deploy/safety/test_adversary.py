"""Whatever a policy, a robot and a clock do: nothing beyond the limits is sent, every fault is a hold."""

import math

import pytest
from adversary import FAULTS, KINDS, Episode
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from imitate.deploy.safety import axis, filters, gate, gripper, joints, pose, tool, trajectory

STREAMED = ("arm", "wheels", "tool", "flange", "fingers")


@pytest.mark.parametrize("seed", range(6))
def test_nothing_outside_of_the_limits_is_sent(seed: int) -> None:
    episode = Episode(seed).run(60)
    assert not episode.problems
    assert episode.refused and episode.held
    assert episode.checks - episode.refused > 100, "the robot must move for the limits to matter"


def test_a_trajectory_under_way_is_held_though_the_robot_is_measured_elsewhere() -> None:
    assert not Episode(1_000_020, tuple(KINDS)).run(2000).problems


@settings(max_examples=15, suppress_health_check=[HealthCheck.too_slow])
@given(st.integers(0, 2**31), st.sampled_from(sorted(KINDS)), st.integers(1, 40))
def test_no_short_history_breaks_a_limit(seed: int, group: str, ticks: int) -> None:
    assert not Episode(seed, (group,)).run(ticks).problems


@pytest.mark.slow
@pytest.mark.timeout(1500)
def test_nothing_outside_of_the_limits_is_sent_in_a_million_steps() -> None:
    checks, seed = 0, 1_000_000
    while checks < 1_000_000:
        episode = Episode(seed, STREAMED if seed % 20 else tuple(KINDS)).run(2000)
        assert not episode.problems, f"seed {seed}"
        checks, seed = checks + episode.checks, seed + 1


@pytest.mark.parametrize("fault", FAULTS)
def test_every_fault_is_followed_by_a_hold_in_the_same_tick(fault: str, monkeypatch) -> None:
    """Of one fault after the other on every group: the adversary notes what should have been refused."""
    monkeypatch.setattr("adversary.FAULTS", (fault,))
    for seed in range(3):
        episode = Episode(seed).run(20)
        assert not episode.problems
    if fault not in ("order of names", "measured jump", "burst", "duplicate"):
        assert episode.refused


def unchanged(value, *_):
    return value


def allows(*_):
    return None


def as_wanted(before, wanted, *_):
    return wanted


# Rules that are kept twice, by their own filter and by the room to brake or another one, are taken out twice.
BROKEN = {
    "finite": ("arm", (gate, "require_finite", allows)),
    "names": ("arm", (gate, "order_of", allows)),
    "age": ("arm", (gate, "require_recent", allows)),
    "sequence": ("arm", (gate.SafetyGate, "_require_next", allows)),
    "clock": (
        "arm",
        (gate.SafetyGate, "_require_clock", allows),
        (gate, "require_recent", allows),
        (filters, "is_stale", allows),
    ),
    "pace": ("arm", (gate.SafetyGate, "_require_pace", allows)),
    "stale": ("arm", (filters, "is_stale", allows)),
    "position": ("arm", (joints, "clip_position", unchanged), (axis, "limit_braking", as_wanted)),
    "velocity": (
        "arm",
        (axis, "limit_velocity", unchanged),
        (axis, "_speeds", lambda _: (-math.inf, math.inf)),
    ),
    "acceleration": ("arm", (axis, "limit_acceleration", unchanged)),
    "jerk": ("arm", (axis, "limit_jerk", unchanged)),
    "braking": ("arm", (axis, "limit_braking", as_wanted)),
    "jump": ("arm", (joints, "require_near", allows)),
    "measured outside": ("arm", (joints, "require_inside", allows)),
    "velocity of wheels": (
        "wheels",
        (axis, "limit_velocity", unchanged),
        (axis, "_speeds", lambda _: (-math.inf, math.inf)),
    ),
    "acceleration of wheels": ("wheels", (axis, "limit_acceleration", unchanged)),
    "jerk of wheels": ("wheels", (axis, "limit_jerk", unchanged)),
    "twist length": ("tool", (tool, "shortened", unchanged)),
    "twist acceleration": ("tool", (tool, "approached", as_wanted)),
    "pose length": ("flange", (pose, "shortened", unchanged)),
    "pose acceleration": ("flange", (pose, "approached", as_wanted)),
    "pose workspace": (
        "flange",
        (pose, "clip_place", unchanged),
        (pose, "stopping_inside", lambda position, before, wanted, *_: wanted),
    ),
    "gripper range": ("fingers", (gripper, "clip_opening", unchanged)),
    "gripper speed": ("fingers", (gripper, "limit_change", as_wanted)),
    "trajectory positions": (
        "chunks",
        (trajectory, "clip_points", unchanged),
        (trajectory.Course, "hull", lambda course: course.points[:0]),
    ),
    "trajectory times": (
        "chunks",
        (trajectory, "require_rising", allows),
        (trajectory.TrajectoryFilter, "broken_rule", allows),
    ),
    "trajectory rates": ("chunks", (trajectory.TrajectoryFilter, "broken_rule", allows)),
}


@pytest.mark.parametrize("name", sorted(BROKEN))
def test_the_judge_sees_every_filter_that_is_missing(name: str, monkeypatch) -> None:
    group, *patches = BROKEN[name]
    for owner, attribute, replacement in patches:
        monkeypatch.setattr(owner, attribute, replacement)
    assert any(Episode(seed, (group,)).run(120).problems for seed in range(20))
