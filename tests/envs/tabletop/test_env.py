import os
import subprocess
import sys

import numpy as np
import pytest

from imitate.envs.tabletop.config import TabletopConfig
from imitate.envs.tabletop.pick_place import PickPlaceConfig
from imitate.envs.tabletop.push import PushConfig
from imitate.envs.tabletop.reach import ReachConfig
from imitate.errors import ConfigError, EnvError


def record(env, seed: int, actions: np.ndarray) -> bytes:
    obs, _ = env.reset(seed=seed)
    parts = [obs]
    for action in actions:
        obs, reward, terminated, *_ = env.step(action)
        parts.append({**obs, "reward": np.float64(reward)})
        if terminated:
            break
    return b"".join(np.asarray(part[key]).tobytes() for part in parts for key in sorted(part))


@pytest.mark.parametrize("mode", ["ee_delta", "joint_position"])
def test_nothing_of_earlier_episodes_remains(task: type[TabletopConfig], mode: str) -> None:
    config = task(action_mode=mode)
    fresh = config.build()
    fresh.reset(seed=3)
    expert, actions = fresh.expert(), []
    for _ in range(20):  # far enough to touch things
        actions.append(expert.act())
        fresh.step(actions[-1])
    expected = record(config.build(), 3, np.array(actions))
    used = config.build()
    rng = np.random.default_rng(0)
    for other in range(3):
        used.reset(seed=other)
        for _ in range(15 + other):
            used.step(rng.uniform(used.action_space.low, used.action_space.high))
        assert record(used, 3, np.array(actions)) == expected


def test_seeds_differ(task: type[TabletopConfig]) -> None:
    env = task().build()
    first, second = (env.reset(seed=seed)[0] for seed in (0, 1))
    assert all((first[key] != second[key]).any() for key in ("ee_pos", "goal"))


@pytest.mark.parametrize(
    "settings, message",
    [
        ({"rate_hz": 30.0}, r"env\.rate_hz is 30: a control step of 0\.0333333 s is no whole multiple"),
        ({"rate_hz": 0.0}, r"env\.rate_hz is 0, expected 1 to 50"),
        ({"action_mode": "torque"}, r"env\.action_mode is 'torque'"),
        ({"cameras": ("top",)}, r"env\.cameras is \['top'\]"),
        ({"cameras": ("front", "front")}, r"env\.cameras"),
        ({"image_size": (0, 96)}, r"env\.image_size is \[0, 96\]"),
        ({"max_steps": 0}, r"env\.max_steps is 0"),
    ],
)
def test_bad_settings_name_their_key(settings: dict, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        ReachConfig(**settings).build()


def test_a_collision_is_the_arm_on_the_table(task: type[TabletopConfig]) -> None:
    # In steps of the gripper the arm keeps off the table by itself, in joint angles it does not.
    env = task(action_mode="joint_position").build()
    obs, info = env.reset(seed=0)
    into_it = env._scene.arm.solve(obs["ee_pos"] * [1, 1, 0] - [0, 0, 0.03], 0.0)
    heights, hits = [obs["ee_pos"][2]], [info["collision"]]
    for _ in range(20):
        obs, *_, info = env.step(np.array([*into_it, 0.08]))
        heights.append(obs["ee_pos"][2])
        hits.append(info["collision"])
    first = hits.index(True)
    assert first > 0 and all(hits[first:])
    assert heights[first - 1] < 0.08 and min(heights) > -0.03


def test_demonstrations_do_not_collide(task: type[TabletopConfig]) -> None:
    env = task().build()
    for seed in range(5):
        env.reset(seed=seed)
        expert, is_over = env.expert(), False
        while not is_over:
            *_, terminated, truncated, info = env.step(expert.act())
            is_over = terminated or truncated
            assert not info["collision"]


def test_cameras_are_observed_in_their_size() -> None:
    env = PickPlaceConfig(cameras=("front", "wrist"), image_size=(48, 64)).build()
    obs, _ = env.reset(seed=0)
    for camera in ("front", "wrist"):
        assert env.data_spec.obs[camera].is_image
        assert obs[camera].shape == (48, 64, 3) and obs[camera].dtype == np.uint8
        assert obs[camera].std() > 10  # a picture, not one colour
    assert (obs["front"] != obs["wrist"]).any()
    assert env.observation_space.contains(obs)
    env.close()


def test_pictures_do_not_depend_on_other_environments() -> None:
    first = PickPlaceConfig(cameras=("front",), image_size=(48, 48)).build()
    expected = first.reset(seed=0)[0]["front"]
    other = PushConfig(cameras=("wrist",), image_size=(32, 32)).build()
    other.reset(seed=0)
    film = other.render()
    assert film.shape == (480, 640, 3) and film.dtype == np.uint8
    assert np.array_equal(first.reset(seed=0)[0]["front"], expected)
    other.close()
    other.close()
    assert np.array_equal(first.reset(seed=0)[0]["front"], expected)
    first.close()
    assert np.array_equal(first.reset(seed=0)[0]["front"], expected)  # opens again


def test_without_a_way_to_draw_states_work_and_pictures_say_what_to_install() -> None:
    program = """
from imitate.envs.tabletop.reach import ReachConfig
env = ReachConfig().build()
env.reset(seed=0)
try:
    env.render()
except Exception as error:
    print(type(error).__name__, error)
"""
    told = subprocess.run(
        [sys.executable, "-c", program],
        env={**os.environ, "MUJOCO_GL": "disable"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert told.stdout.startswith(EnvError.__name__)
    assert "libosmesa6" in told.stdout and "MUJOCO_GL is disable" in told.stdout
    assert told.stdout.count("\n") == 1
    assert not told.stderr
