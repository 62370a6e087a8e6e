"""What counts as success, and what does not."""

import numpy as np
import pytest

from imitate.envs.tabletop.config import TabletopConfig
from imitate.envs.tabletop.env import TabletopEnv
from imitate.envs.tabletop.peg_insertion import PegInsertion, PegInsertionConfig
from imitate.envs.tabletop.pick_place import PickPlace, PickPlaceConfig
from imitate.envs.tabletop.push import Push
from imitate.envs.tabletop.reach import Reach
from imitate.envs.tabletop.scene import Builder, Scene
from imitate.envs.tabletop.task import Draws, Task, above


def started(task: Task) -> Scene:
    builder = Builder()
    task.add_bodies(builder)
    scene = Scene(builder.compile())
    scene.arm.place(np.array([0.42, 0.0, 0.26]), 0.0, 0.08)
    task.begin(scene, Draws(np.random.default_rng(0)))
    scene.forward()
    return scene


def settle(scene: Scene, control_steps: int = 5) -> None:
    for _ in range(control_steps):
        scene.advance(20)


def play(env: TabletopEnv, seed: int, action: np.ndarray | None = None) -> bool:
    """One episode of one action, or of random ones; whether it was a success."""
    env.reset(seed=seed)
    rng = np.random.default_rng(seed)
    low, high = env.action_space.low, env.action_space.high
    while True:
        _, reward, terminated, truncated, info = env.step(
            rng.uniform(low, high) if action is None else action
        )
        if terminated or truncated:
            assert terminated == info["success"] == (reward == 1.0)
            return info["success"]


def test_every_task_says_what_success_is(task: type[TabletopConfig]) -> None:
    assert len(task().build().success_definition) > 20


@pytest.mark.parametrize("mode", ["ee_delta", "joint_position"])
def test_random_actions_never_succeed(task: type[TabletopConfig], mode: str) -> None:
    env = task(action_mode=mode, max_steps=60).build()
    assert not any(play(env, seed) for seed in range(4))


def test_doing_nothing_never_succeeds(task: type[TabletopConfig]) -> None:
    env = task(max_steps=40).build()
    for opening in (0.0, 0.08):
        assert not any(play(env, seed, np.array([0.0, 0.0, 0.0, 0.0, opening])) for seed in range(3))


def test_no_start_is_a_success(task: type[TabletopConfig]) -> None:
    env = task().build()
    assert not any(env.reset(seed=seed)[1]["success"] for seed in range(200))


def test_cube_on_the_platform_counts_only_at_rest_near_the_middle_and_let_go() -> None:
    task = PickPlace()
    scene = started(task)
    middle = above(scene.position("platform"), 0.04)
    for offset, expected in (([0, 0, 0], True), ([0.02, 0, 0], True), ([0.04, 0, 0], False)):
        scene.place("cube", middle + np.array(offset))
        settle(scene)
        assert task.is_solved(scene) == expected
    scene.place("cube", above(middle, 0.06))
    scene.forward()
    assert not task.is_solved(scene)  # in the air above it
    scene.place("cube", above(middle * [1, 1, 0], 0.02))
    scene.forward()
    assert not task.is_solved(scene)  # at the right place, too low


def test_cube_still_held_on_the_platform_does_not_count() -> None:
    env = PickPlaceConfig().build()
    env.reset(seed=0)
    expert = env.expert()
    for _ in range(60):
        action = expert.act()
        if action[4] > 0.04 and env._scene.arm.opening < 0.045:
            break  # about to let go
        assert not env.step(action)[2]
    for _ in range(10):
        assert not env.step(np.zeros(5))[2]
    assert env.step(np.array([0.0, 0.0, 0.0, 0.0, 0.08]))[4]["success"] or env.step(expert.act())[2]


@pytest.mark.parametrize(
    "config, body, width", [(PickPlaceConfig, "cube", 0.04), (PegInsertionConfig, "peg", 0.025)]
)
def test_objects_are_carried_between_both_fingers(
    config: type[TabletopConfig], body: str, width: float
) -> None:
    env = config().build()
    scene = env._scene
    for seed in range(5):
        env.reset(seed=seed)
        expert, lifted, rest = env.expert(), 0, scene.position(body)[2]
        solved = False
        while not solved:
            before = scene.position(body)
            action = expert.act()
            *_, solved, truncated, _ = env.step(action)
            assert not truncated
            jump = np.linalg.norm(scene.position(body) - before)
            assert jump < 0.06  # nothing is teleported
            if scene.position(body)[2] > rest + 0.03 and action[4] < 0.04:
                lifted += 1
                assert scene.arm.touches(scene.model.geom(body).id) == 2
                assert scene.arm.opening == pytest.approx(width, abs=0.004)
        assert lifted >= 5


def test_dropped_object_is_not_held_up_by_anything() -> None:
    env = PickPlaceConfig().build()
    env.reset(seed=0)
    expert = env.expert()
    while env._scene.position("cube")[2] < 0.08:
        env.step(expert.act())
    for _ in range(8):
        obs, *_ = env.step(np.array([0.0, 0.0, 0.0, 0.0, 0.08]))
    assert obs["object"][2] < 0.03


def test_block_counts_only_at_rest_on_the_mark() -> None:
    task = Push()
    scene = started(task)
    mark = above(scene.position("mark") * [1, 1, 0], 0.025)
    scene.place("block", mark + np.array([0.02, 0.0, 0.0]))
    settle(scene)
    assert task.is_solved(scene)
    scene.data.qvel[scene.model.joint("block").dofadr[0]] = 0.1
    assert not task.is_solved(scene)  # sliding through
    scene.place("block", mark + np.array([0.03, 0.0, 0.0]))
    settle(scene)
    assert not task.is_solved(scene)


def test_grip_point_counts_only_at_rest_at_the_mark() -> None:
    task = Reach()
    scene = started(task)
    scene.place("mark", above(scene.arm.position, 0.015))
    scene.forward()
    assert task.is_solved(scene)
    scene.data.qvel[0] = 0.4
    assert not task.is_solved(scene)
    scene.data.qvel[0] = 0.0
    scene.place("mark", above(scene.arm.position, 0.025))
    scene.forward()
    assert not task.is_solved(scene)


def test_peg_counts_only_deep_in_the_socket() -> None:
    task = PegInsertion()
    scene = started(task)
    socket, yaw = scene.position("socket"), scene.yaw("socket")
    scene.place("peg", above(socket, 0.0505), yaw)
    settle(scene)
    assert task.is_solved(scene)
    for aside, height in ((0.0, 0.07), (0.0, 0.102), (0.09, 0.05)):
        scene.place("peg", socket + np.array([aside, 0.0, height]), yaw)
        scene.forward()
        assert not task.is_solved(scene)  # half in, on top, beside


def test_peg_that_is_turned_stays_out() -> None:
    task = PegInsertion()
    scene = started(task)
    scene.place("peg", above(scene.position("socket"), 0.102), scene.yaw("socket") + 0.6)
    settle(scene, 10)
    assert not task.is_solved(scene)
