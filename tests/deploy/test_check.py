"""What `imitate robot check` finds at a robot behind a bridge."""

from typing import Any

import pytest
from bridged_arm import Bridged, bridged_arm, robot_at
from tiny_arm import TinyConfig, description

from imitate.deploy import messages
from imitate.deploy.description import ImageSource, JointSource, RobotDescription, StopSource, Target
from imitate.deploy.transport import Topic

pytestmark = pytest.mark.timeout(60)


def findings(ends: Bridged, what: RobotDescription) -> list[str]:
    robot = robot_at(ends.bridge.port, 2, what)
    robot.connect(5.0)
    found = [f"{finding.level} {finding.text}" for finding in robot.findings()]
    robot.close()
    return found


def changed(**sources: Any) -> RobotDescription:
    plain = description()
    return RobotDescription(
        {**plain.observations, **sources}, plain.measured, plain.targets, state_rate_hz=50.0
    )


def test_a_check_finds_what_is_there_and_what_is_missing_or_mismatched() -> None:
    with bridged_arm(config=TinyConfig(cameras=("front",))) as ends:
        assert not [line for line in findings(ends, description()) if line.startswith("error")]
        found = findings(
            ends,
            changed(
                joints=JointSource("/joint_states", ("joint1", "joint9")),
                absent=JointSource("/joint_state", ("a",)),
                camera=ImageSource("/camera/front/compressed", (4, 6)),
                squeezed=ImageSource("/camera/front/compressed", (4, 4)),
            ),
        )
        wrong = findings(ends, changed(pose=ImageSource("/arm/twist", (4, 4))))
    text = "\n".join(found)
    assert "error observation joints: joints ['joint9'] do not come on /joint_states" in text
    assert "error observation absent: topic /joint_state" in text or "nothing came on /joint_state " in text
    assert "warning observation camera: pictures are 8 x 12, the policy sees 4 x 6" in text
    assert "another aspect ratio" in text
    assert any("has type geometry_msgs/msg/TwistStamped" in line for line in wrong)


def test_a_check_finds_who_else_commands_and_that_nobody_listens() -> None:
    with bridged_arm() as ends:
        ends.bridge.advertise(Topic("/arm/twist", messages.TWIST), "/joystick")
        ends.bridge.advertise(Topic("/clock", "rosgraph_msgs/msg/Clock"), "/gazebo")
        plain = description()
        lost = Target("gripper", "/gripper/command", ("gripper",), "values", ("gripper",))
        found = findings(
            ends,
            RobotDescription(
                plain.observations,
                plain.measured,
                {**plain.targets, "gripper": lost},
                stop=StopSource("/stop", required=True),
            ),
        )
    text = "\n".join(found)
    assert "warning command arm: /joystick also commands on /arm/twist" in text
    assert (
        "error command gripper: nobody listens to /gripper/command (did you mean '/gripper/commands'" in text
    )
    assert "simulated time" in text
    assert "error emergency stop: nothing came on /stop" in text
