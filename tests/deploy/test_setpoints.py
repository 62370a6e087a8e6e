"""Facts about joining a policy to targets and about the commands that come of its actions."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from imitate.deploy.description import Target
from imitate.deploy.fit import join
from imitate.deploy.setpoints import Setpoints
from imitate.errors import SpecError
from imitate.spec import ArraySpec, DataSpec

POLICY = DataSpec(
    {}, ArraySpec((4,), names=("a", "b", "vx", "grip"), units=("rad", "rad", "m", "m")), rate_hz=10.0
)
ARM = Target("joint_position", "/arm", ("b", "a"), "values", ("joint_b", "joint_a"))
TOOL = Target("twist", "/tool", ("vx",), "twist", ("x",), meaning="delta")
GRIPPER = Target("gripper", "/grip", ("grip",), "values", ("finger",), scale=0.5)
TARGETS = {"arm": ARM, "tool": TOOL, "gripper": GRIPPER}
ACTION = np.array([1.0, 2.0, 0.03, 0.08])


def test_values_are_found_by_name_and_in_the_units_of_the_robot() -> None:
    joined = join(POLICY, TARGETS)
    assert joined.values(ACTION, "arm", np.zeros(2)) == pytest.approx([2.0, 1.0])
    assert joined.values(ACTION, "tool", np.zeros(1)) == pytest.approx([0.3])
    assert joined.values(ACTION, "gripper", np.zeros(1)) == pytest.approx([0.04])


def test_deltas_of_joints_start_from_where_they_are() -> None:
    joined = join(POLICY, {**TARGETS, "arm": replace(ARM, meaning="delta")})
    assert joined.values(ACTION, "arm", np.array([10.0, 20.0])) == pytest.approx([12.0, 21.0])


@pytest.mark.parametrize(
    ("targets", "message"),
    [
        ({"arm": ARM, "tool": TOOL}, r"nothing takes \['grip'\]"),
        ({**TARGETS, "other": replace(GRIPPER, topic="/x")}, "'grip' feeds both gripper and other"),
        ({**TARGETS, "tool": replace(TOOL, action=("vy",))}, r"has no 'vy' \(did you mean 'vx'\?\)"),
        ({**TARGETS, "tool": replace(TOOL, meaning="rate")}, "'vx' is in m, expected a rate per second"),
    ],
)
def test_a_policy_that_does_not_fit_is_refused(targets: dict[str, Target], message: str) -> None:
    with pytest.raises(SpecError, match=message):
        join(POLICY, targets)


def actions(*positions: float) -> list[np.ndarray]:
    return [np.array([x, -x, 0.1 * x, 0.0]) for x in positions]


def test_a_streamed_course_reaches_every_action_when_its_step_ends() -> None:
    arm = Setpoints("arm", join(POLICY, TARGETS), interpolate=True)
    arm.start(np.zeros(2), 0.0)
    plan = actions(0.1, 0.3, 0.2, 0.2, 0.2, 0.2)
    reached = []
    for tick in range(1, 41):
        now = tick * 0.01
        step = int(np.ceil(now / 0.1 - 1e-9)) - 1
        command = arm.streamed(now, step, (step + 1) * 0.1, plan[step:], tick)
        arm.sent(command)
        if tick % 10 == 0:
            reached.append(command.values[0, 1])
    assert reached == pytest.approx([0.1, 0.3, 0.2, 0.2])


@given(st.lists(st.floats(-1, 1), min_size=3, max_size=8))
def test_a_streamed_course_has_no_steps(positions: list[float]) -> None:
    arm = Setpoints("arm", join(POLICY, TARGETS), interpolate=True)
    arm.start(np.zeros(2), 0.0)
    plan = actions(*positions, *positions[-1:] * 3)
    values = [0.0]
    for tick in range(1, 10 * len(positions) + 1):
        now = tick * 0.01
        step = int(np.ceil(now / 0.1 - 1e-9)) - 1
        command = arm.streamed(now, step, (step + 1) * 0.1, plan[step:], tick)
        arm.sent(command)
        values.append(command.values[0, 1])
    largest = np.abs(np.diff([0.0, *positions])).max()
    # A cubic course through a monotone stretch is nowhere steeper than 3 times its steepest chord.
    assert np.abs(np.diff(values)).max() <= 3 * largest / 10 + 1e-6


def test_a_twist_is_the_same_throughout_its_step() -> None:
    tool = Setpoints("tool", join(POLICY, TARGETS), interpolate=True)
    tool.start(np.zeros(1), 0.0)
    plan = actions(0.5, 1.0)
    found = [tool.streamed(t, 0, 0.1, plan, 0).values[0, 0] for t in (0.0, 0.05, 0.09)]
    assert found == pytest.approx([0.5, 0.5, 0.5])


def test_a_trajectory_holds_all_that_is_planned_and_ends_at_rest() -> None:
    targets = {**TARGETS, "arm": replace(ARM, form="trajectory")}
    arm = Setpoints("arm", join(POLICY, targets), interpolate=True)
    assert arm.is_trajectory
    command = arm.trajectory(1.02, 1.1, actions(0.1, 0.2, 0.3), np.zeros(2), 7)
    assert command.times_s == pytest.approx([0.08, 0.18, 0.28])
    assert command.values[:, 1] == pytest.approx([0.1, 0.2, 0.3])
    assert command.velocities is not None
    assert (command.velocities[:-1, 1] > 0).all()
    assert command.velocities[-1] == pytest.approx([0.0, 0.0])
