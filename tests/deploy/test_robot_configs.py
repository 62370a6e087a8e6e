"""The robots that come with imitate: every YAML makes a robot, and says what a person must give."""

from pathlib import Path
from typing import Any

import pytest

import imitate.configs
from imitate.config import compose, options
from imitate.deploy.backends.rosbridge import RosbridgeConfig
from imitate.deploy.description import JointSource
from imitate.deploy.topic_robot import TopicRobot
from imitate.errors import ConfigError
from imitate.spec import require_match

PERIOD_S = 0.01
FOLDER = Path(imitate.configs.__file__).parent / "robot"


def config(name: str) -> Any:
    return compose("robot_check", [f"robot={name}"]).robot


TARGET = f"_target_: {RosbridgeConfig.__module__}.{RosbridgeConfig.__name__}"
OVER_ROSBRIDGE = [name for name in options("robot") if TARGET in (FOLDER / f"{name}.yaml").read_text()]
REAL = [name for name in OVER_ROSBRIDGE if name != "simulated_arm"]


def urdf(joints: tuple[str, ...]) -> str:
    """A chain of joints that may do a lot, so that only the YAML's own limits are tight."""
    limit = '<limit lower="-3" upper="3" velocity="2" effort="50"/>'
    rows = [
        f'<link name="l{i}"/><joint name="{joint}" type="revolute"><parent link="l{i}"/>'
        f'<child link="l{i + 1}"/><axis xyz="0 0 1"/>{limit}</joint>'
        for i, joint in enumerate(joints)
    ]
    return f'<robot name="r">{"".join(rows)}<link name="l{len(joints)}"/></robot>'


@pytest.mark.parametrize("name", OVER_ROSBRIDGE)
def test_it_makes_a_robot_whose_words_agree(name: str) -> None:
    made = config(name)
    robot = made.build()
    assert isinstance(robot, TopicRobot)
    require_match(robot.spec, robot.spec, name)
    for group, target in made.description.targets.items():
        source = made.description.measured[group]
        if isinstance(source, JointSource) and target.kind != "gripper":
            assert source.joints == target.names, "values are compared with the state one by one"


@pytest.mark.parametrize("name", OVER_ROSBRIDGE)
def test_with_a_urdf_its_limits_are_complete(name: str) -> None:
    made = config(name)
    joints = [t.names for t in made.description.targets.values() if t.kind.startswith("joint")]
    text = urdf(joints[0]) if joints else None
    made.limits.for_targets(made.description.targets, PERIOD_S, text)


@pytest.mark.parametrize("name", [name for name in REAL if name != "moveit_servo"])
def test_without_a_urdf_a_real_arm_is_refused(name: str) -> None:
    made = config(name)
    with pytest.raises(ConfigError, match="URDF"):
        made.limits.for_targets(made.description.targets, PERIOD_S, None)


@pytest.mark.parametrize("name", REAL)
def test_a_real_arm_needs_its_stop_and_says_what_to_fill_in(name: str) -> None:
    stop = config(name).description.stop
    assert stop is not None and stop.required
    assert "FILL IN" in (FOLDER / f"{name}.yaml").read_text()


def test_franka_is_commanded_by_trajectories_only() -> None:
    forms = {t.kind: t.form for t in config("franka").description.targets.values()}
    assert forms == {"joint_position": "trajectory", "gripper": "gripper_command"}
