import numpy as np
import pytest

from imitate.envs.tabletop.actions import Move, action_mode
from imitate.envs.tabletop.config import TabletopConfig
from imitate.envs.tabletop.pick_place import PickPlaceConfig
from imitate.envs.tabletop.reach import ReachConfig
from imitate.envs.tabletop.scene import Builder, Scene


@pytest.fixture
def scene() -> Scene:
    scene = Scene(Builder().compile())
    scene.arm.place(np.array([0.45, 0.05, 0.2]), 0.1, 0.06)
    scene.forward()
    return scene


def test_specs_name_every_element_with_unit_and_range(task: type[TabletopConfig]) -> None:
    for mode, size in (("ee_delta", 5), ("joint_position", 7)):
        spec = task(action_mode=mode).build().data_spec
        for array in (spec.action, *spec.obs.values()):
            assert len(array.names) == len(array.units) == len(array.low) == len(array.high) == array.size
            assert set(array.units) <= {"m", "rad"}
        assert spec.action.size == size and spec.rate_hz == 10.0


def test_both_modes_make_the_same_motion(scene: Scene) -> None:
    move = Move(np.array([0.02, -0.01, 0.015]), 0.1, 0.03)
    ends = []
    for name in ("ee_delta", "joint_position"):
        mode = action_mode(name, scene.arm, 0.1)
        ends.append(mode.targets(scene.arm, mode.encode(scene.arm, move).astype(float)))
    assert ends[0][0] == pytest.approx(ends[1][0], abs=1e-5)
    assert ends[0][1] == pytest.approx(ends[1][1])


def test_delta_moves_the_grip_point_by_about_the_delta() -> None:
    env = ReachConfig().build()
    before, _ = env.reset(seed=0)
    after, *_ = env.step(np.array([0.0, 0.0, 0.03, 0.1, 0.05]))
    for _ in range(3):
        after, *_ = env.step(np.array([0.0, 0.0, 0.0, 0.0, 0.05]))
    moved = after["ee_pos"] - before["ee_pos"]
    assert moved[2] == pytest.approx(0.03, rel=0.25)
    assert np.abs(moved[:2]).max() < 0.004
    assert after["ee_yaw"] - before["ee_yaw"] == pytest.approx(0.1, rel=0.25)
    assert after["gripper"] == pytest.approx(0.05, abs=1e-3)


def test_delta_cannot_leave_the_workspace_or_push_through_the_table() -> None:
    env = PickPlaceConfig().build()
    env.reset(seed=0)
    for _ in range(40):
        obs, *_ = env.step(np.array([0.05, 0.0, -0.05, 0.0, 0.0]))
    assert obs["ee_pos"][2] > 0.012
    assert obs["ee_pos"][0] < 0.725


def test_zero_delta_stays_where_it_is() -> None:
    env = ReachConfig().build()
    first, _ = env.reset(seed=1)
    for _ in range(50):
        last, *_ = env.step(np.array([0.0, 0.0, 0.0, 0.0, 0.08]))
    assert last["ee_pos"] == pytest.approx(first["ee_pos"], abs=1e-3)
    assert last["ee_yaw"] == pytest.approx(first["ee_yaw"], abs=2e-3)
