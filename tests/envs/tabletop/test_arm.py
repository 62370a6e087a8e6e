import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from imitate.envs.tabletop.arm import HOME_RAD, Arm
from imitate.envs.tabletop.scene import Builder, Scene

SCENE = Scene(Builder().compile())

REACHABLE = st.tuples(st.floats(0.30, 0.60), st.floats(-0.3, 0.3), st.floats(0.014, 0.40)).map(np.array)
ANYWHERE = st.tuples(st.floats(-2, 2), st.floats(-2, 2), st.floats(-1, 2)).map(np.array)
YAW = st.floats(-1.2, 1.2)


@pytest.fixture
def arm() -> Arm:
    SCENE.clear()
    SCENE.arm.place(np.array([0.45, 0.0, 0.25]), 0.0, 0.08)
    SCENE.forward()
    return SCENE.arm


@settings(max_examples=60, deadline=None)
@given(REACHABLE, YAW)
def test_inverse_kinematics_inverts_the_kinematics(position: np.ndarray, yaw: float) -> None:
    SCENE.clear()
    SCENE.arm.place(position, yaw, 0.04)
    SCENE.forward()
    assert SCENE.arm.position == pytest.approx(position, abs=1e-4)
    assert SCENE.arm.yaw == pytest.approx(yaw, abs=1e-3)
    assert SCENE.arm.opening == pytest.approx(0.04)
    assert SCENE.data.site("grip").xmat[8] == pytest.approx(1.0, abs=1e-6)  # the tool points down


@settings(max_examples=40, deadline=None)
@given(ANYWHERE, YAW)
def test_out_of_reach_still_gives_joints_inside_their_ranges(position: np.ndarray, yaw: float) -> None:
    joints = SCENE.arm.solve(position, yaw, HOME_RAD)
    assert np.isfinite(joints).all()
    assert (joints >= SCENE.arm.low).all() and (joints <= SCENE.arm.high).all()


def test_arm_holds_still_against_gravity(arm: Arm) -> None:
    before = arm.position
    for _ in range(20):
        arm.drive(arm.solve(before, 0.0), 0.08, 0.1)
        SCENE.advance(20)
    assert arm.position == pytest.approx(before, abs=1e-3)


def test_servos_arrive_and_respect_limits_of_speed_and_force(arm: Arm) -> None:
    goal = np.array([1.2, 0.6, 1.4, 0.8, 0.5, -1.0])
    speeds, forces = [], []
    for _ in range(30):
        arm.drive(goal, 0.0, 0.1)
        for _ in range(20):
            SCENE.advance(1)
            speeds.append(np.abs(SCENE.data.qvel[:6]))
            forces.append(np.abs(SCENE.data.actuator_force))
    assert arm.joints == pytest.approx(goal, abs=2e-3)
    assert arm.opening == pytest.approx(0.0, abs=1e-3)
    limit = SCENE.model.actuator_ctrlrange[:6, 1]
    assert (np.max(speeds, axis=0) <= 1.05 * limit).all()
    assert np.max(speeds) > 0.9 * limit.min()
    assert (np.max(forces, axis=0) <= SCENE.model.actuator_forcerange[:, 1] + 1e-9).all()


def test_targets_outside_the_ranges_are_held_at_them(arm: Arm) -> None:
    for _ in range(60):
        arm.drive(np.full(6, 9.0) * [1, 0, 0, 1, 0, 1] + HOME_RAD * [0, 1, 1, 0, 1, 0], 1.0, 0.1)
        SCENE.advance(20)
    assert (arm.joints <= arm.high + 1e-3).all()
    assert arm.joints[[0, 3, 5]] == pytest.approx(arm.high[[0, 3, 5]], abs=5e-3)
    assert arm.opening == pytest.approx(0.08, abs=1e-3)


def test_links_have_realistic_masses() -> None:
    masses = SCENE.model.body_mass[1:]
    assert 14.0 < masses.sum() < 20.0  # 5 kg-payload arms weigh about this
    assert (SCENE.model.body_inertia[1:] > 0).all()
