"""The user's limits, alone and beside a URDF, and what the gate makes of them."""

import math
from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from imitate.deploy.safety.bounds import AxisBounds
from imitate.deploy.safety.limits import (
    GripperLimits,
    JointLimits,
    JumpLimits,
    Limits,
    ToolLimits,
    merge,
)
from imitate.errors import ConfigError
from imitate.parts import from_json, to_json

URDF = (
    '<robot name="r"><joint name="a" type="revolute">'
    '<limit lower="-1" upper="1" velocity="2" effort="9"/></joint></robot>'
)
TOOL = ToolLimits((-1.0, -1.0, 0.0), (1.0, 1.0, 1.0), 0.5, 2.0, 1.0, 4.0)


def target(kind: str = "joint_position", *names: str, **more: object) -> SimpleNamespace:
    return SimpleNamespace(kind=kind, names=names or ("a",), **more)


def test_a_urdf_and_an_acceleration_are_enough() -> None:
    bounds = Limits(acceleration=5.0).for_targets({"arm": target()}, 0.01, URDF)
    axis = bounds.groups["arm"].axes[0]
    assert (axis.lower, axis.upper, axis.hard_lower, axis.hard_upper) == (-0.98, 0.98, -1.0, 1.0)
    assert (axis.velocity, axis.acceleration, axis.jerk) == (2.0, 5.0, math.inf)


def test_the_user_may_tighten_a_urdf() -> None:
    limits = Limits({"a": JointLimits(-0.5, None, 1.0, 4.0, 90.0, margin=0.1)})
    axis = limits.for_targets({"arm": target()}, 0.01, URDF).groups["arm"].axes[0]
    assert (axis.lower, axis.upper, axis.velocity, axis.acceleration) == (-0.4, 0.9, 1.0, 4.0)


@pytest.mark.parametrize(
    ("user", "words"),
    [
        (JointLimits(lower=-1.1), r"a.lower is -1.1, wider than the URDF's -1"),
        (JointLimits(upper=1.5), r"a.upper is 1.5, wider than the URDF's 1"),
        (JointLimits(velocity=3.0), r"a.velocity is 3, wider than the URDF's 2"),
        (JointLimits(effort=10.0), r"a.effort is 10, wider than the URDF's 9"),
        (JointLimits(continuous=True), r"a.continuous is true"),
        (JointLimits(lower=0.5, upper=0.53), r"nothing is left of 0.5 to 0.53"),
    ],
)
def test_the_user_may_not_widen_a_urdf(user: JointLimits, words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        Limits({"a": user}, acceleration=5.0).for_targets({"arm": target()}, 0.01, URDF)


@pytest.mark.parametrize(
    ("limits", "targets", "urdf", "words"),
    [
        (Limits(), {"arm": target()}, None, r"limits.joints.a is missing \(no URDF\)"),
        (
            Limits(acceleration=1.0),
            {"arm": target("joint_position", "b")},
            URDF,
            "limits.joints.b is missing",
        ),
        (Limits(), {"arm": target()}, URDF, "a.acceleration is missing.*a URDF never gives"),
        (Limits({"a": JointLimits(velocity=1.0)}, 1.0), {"arm": target()}, None, "a.lower is missing"),
        (Limits({"a": JointLimits(-1.0, 1.0)}, 1.0), {"arm": target()}, None, "a.velocity is missing"),
        (Limits({"aa": JointLimits()}, 1.0), {"arm": target()}, URDF, r"aa belongs to nothing.*'a'"),
        (Limits(), {"hand": target("twist", "x")}, None, "limits.tools.hand is missing"),
        (Limits(), {"hand": target("pose")}, None, "limits.tools.hand is missing"),
        (Limits(), {"grip": target("gripper", "f")}, None, "limits.grippers.grip is missing"),
        (Limits(tools={"hend": TOOL}), {"hand": target("twist", "x")}, None, "did you mean 'hand'"),
        (
            Limits(grippers={"grip": GripperLimits(0.0, 0.1, 0.1, 20.0)}),
            {"grip": target("gripper", "f", max_effort=30.0)},
            None,
            "max_effort is 30 N",
        ),
    ],
)
def test_nothing_is_commanded_without_limits(limits, targets, urdf, words: str) -> None:
    with pytest.raises(ConfigError, match=words) as caught:
        limits.for_targets(targets, 0.01, urdf)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "make",
    [
        lambda: JointLimits(1.0, 1.0),
        lambda: JointLimits(velocity=0.0),
        lambda: JointLimits(velocity=math.inf),
        lambda: JointLimits(lower=math.nan),
        lambda: JointLimits(lower=0.0, continuous=True),
        lambda: JointLimits(margin=-1.0),
        lambda: ToolLimits((0.0, 0.0, 1.0), (1.0, 1.0, 1.0), 1.0, 1.0, 1.0, 1.0),
        lambda: ToolLimits((0.0, 0.0, 0.0), (1.0, 1.0, 1.0), 0.0, 1.0, 1.0, 1.0),
        lambda: GripperLimits(0.1, 0.0, 1.0),
        lambda: GripperLimits(0.0, 0.1, math.nan),
        lambda: JumpLimits(joint=0.0),
        lambda: Limits(margin=-0.1),
        lambda: Limits(acceleration=-1.0),
    ],
)
def test_values_that_make_no_sense_are_refused(make) -> None:
    with pytest.raises(ConfigError, match=r"limits\."):
        make()


def test_a_period_must_be_a_time() -> None:
    with pytest.raises(ConfigError, match="period_s"):
        Limits().for_targets({}, 0.0)


def test_limits_survive_a_yaml() -> None:
    limits = Limits({"a": JointLimits(-1.0, 1.0, 2.0)}, 5.0, None, {"hand": TOOL}, {}, 0.01, JumpLimits(0.2))
    assert from_json(to_json(limits)) == limits


def test_continuous_joints_have_neither_bound() -> None:
    limits = Limits({"a": JointLimits(velocity=1.0, acceleration=2.0, continuous=True)})
    axis = limits.for_targets({"arm": target()}, 0.01).groups["arm"].axes[0]
    assert axis.is_continuous
    assert (axis.lower, axis.upper) == (-math.inf, math.inf)


def test_merging_with_itself_changes_nothing() -> None:
    limits = JointLimits(-1.0, 1.0, 2.0, effort=9.0)
    assert merge("a", limits, limits) == limits


@given(
    st.floats(0.05, 10),
    st.floats(0.05, 10),
    st.floats(0.1, 200),
    st.one_of(st.just(math.inf), st.floats(1, 1e5)),
    st.sampled_from((0.001, 0.01, 0.1)),
)
def test_what_the_gate_uses_is_never_wider(width, velocity, acceleration, jerk, period) -> None:
    axis = AxisBounds.make(0.0, width, velocity, acceleration, jerk, period, 0.0)
    assert 0 < axis.acceleration <= acceleration
    assert axis.brake_jerk <= max(jerk, 0.0) * (1 + 1e-9)
    steps = axis.acceleration / (axis.brake_jerk * period)
    assert steps == pytest.approx(0.5) or steps == pytest.approx(round(steps), rel=1e-6)
