"""Joint limits of a URDF, and descriptions that must not be believed."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from imitate.deploy.safety.limits import JointLimits
from imitate.deploy.safety.urdf import LARGEST_TEXT, joint_limits_from_urdf
from imitate.errors import ConfigError


def robot(joints: str) -> str:
    return f'<?xml version="1.0" encoding="utf-8"?><robot name="r">{joints}</robot>'


def joint(name: str, limit: str, kind: str = "revolute", more: str = "") -> str:
    return f'<joint name="{name}" type="{kind}"><limit {limit}/>{more}</joint>'


USUAL = 'lower="-1.5" upper="2" velocity="3" effort="87"'


def test_limits_are_read_by_joint() -> None:
    found = joint_limits_from_urdf(robot(joint("a", USUAL) + joint("b", USUAL, "prismatic")))
    assert found == dict.fromkeys("ab", JointLimits(-1.5, 2.0, 3.0, effort=87.0))


def test_fixed_joints_have_no_limits() -> None:
    text = robot('<joint name="mount" type="fixed"/>' + joint("a", USUAL))
    assert set(joint_limits_from_urdf(text)) == {"a"}


def test_continuous_joints_turn_without_end() -> None:
    found = joint_limits_from_urdf(robot(joint("wheel", 'velocity="2" effort="5"', "continuous")))
    assert found["wheel"] == JointLimits(velocity=2.0, effort=5.0, continuous=True)


def test_soft_limits_are_used_where_they_are_tighter() -> None:
    soft = '<safety_controller soft_lower_limit="-1" soft_upper_limit="9" k_velocity="1"/>'
    found = joint_limits_from_urdf(robot(joint("a", USUAL, more=soft)))["a"]
    assert (found.lower, found.upper) == (-1.0, 2.0)


def test_a_mimic_joint_has_what_the_other_leaves_it() -> None:
    mimic = '<mimic joint="a" multiplier="-0.5" offset="0.1"/>'
    found = joint_limits_from_urdf(robot(joint("a", USUAL) + joint("b", USUAL, more=mimic)))["b"]
    assert (found.lower, found.upper, found.velocity) == (-0.9, 0.85, 1.5)


def test_a_velocity_of_0_says_nothing() -> None:
    assert joint_limits_from_urdf(robot(joint("a", 'lower="0" upper="1"')))["a"].velocity is None


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "cannot be parsed"),
        ("<robot", "cannot be parsed"),
        ("<sdf/>", "expected <robot>"),
        (robot(joint("a", 'lower="1" upper="1"')), "a has lower 1 and upper 1"),
        (robot(joint("a", 'lower="2" upper="1"')), "a has lower 2 and upper 1"),
        (robot(joint("a", 'lower="nan" upper="1"')), "a has lower 'nan'"),
        (robot(joint("a", 'lower="0" upper="inf"')), "a has upper 'inf'"),
        (robot(joint("a", 'lower="0" upper="one"')), "a has upper 'one'"),
        (robot(joint("a", 'lower="0" upper="1" velocity="-1"')), "a has velocity -1"),
        (robot(joint("a", USUAL, more='<mimic joint="z"/>')), "mimics 'z'"),
        ('<!DOCTYPE r [<!ENTITY x "y">]><robot>&x;</robot>', "document type"),
        ('<!DOCTYPE r SYSTEM "file:///etc/hostname"><robot/>', "document type"),
        ("<robot>" + " " * LARGEST_TEXT + "</robot>", "at most"),
    ],
)
def test_what_makes_no_sense_is_refused_in_one_line(text: str, words: str) -> None:
    with pytest.raises(ConfigError, match=words) as caught:
        joint_limits_from_urdf(text)
    assert "\n" not in str(caught.value)


def test_entities_that_grow_are_refused_before_they_are_read() -> None:
    grown = "".join(f'<!ENTITY e{i} "{f"&e{i - 1};" * 10}">' for i in range(1, 30))
    with pytest.raises(ConfigError, match="entities"):
        joint_limits_from_urdf(f'<!DOCTYPE r [<!ENTITY e0 "x">{grown}]><robot>&e29;</robot>')


@given(st.text(alphabet='<>/="robtjin limew1-.& ', max_size=80))
def test_no_text_does_anything_but_be_read_or_refused(text: str) -> None:
    try:
        found = joint_limits_from_urdf(text)
    except ConfigError:
        return
    assert all(limits.lower is None or math.isfinite(limits.lower) for limits in found.values())
