"""Gymnasium-Robotics: names and units that hold, the same episodes, and videos that change none."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from episode_digest import episode_digest

from imitate.env import Env
from imitate.envs.gymnasium_kitchen import GOALS, KitchenConfig
from imitate.envs.gymnasium_robotics import FETCH, MAZES, FetchConfig, PointMazeConfig
from imitate.errors import ConfigError, EnvError

pytest.importorskip("gymnasium_robotics")


def element(env: Env, obs: dict[str, np.ndarray], key: str, name: str) -> np.ndarray:
    """Three elements of an observation by their names without the axis."""
    names = env.data_spec.obs[key].names
    return obs[key][[names.index(f"{name}_{axis}") for axis in "xyz"]]


@pytest.fixture(params=sorted(FETCH))
def fetch(request: pytest.FixtureRequest) -> Iterator[Env]:
    env = FetchConfig(request.param).build()
    yield env
    env.close()


def test_what_is_named_moves_as_its_name_says(fetch: Env) -> None:
    obs, _ = fetch.reset(seed=1)
    for action in ([1.0, 0, 0, 0], [0, -1.0, 0.5, 0], [-1.0, 0.3, 0, 1.0]):
        before, (obs, *_) = obs, fetch.step(np.array(action))
        moved = element(fetch, obs, "observation", "hand") - element(fetch, before, "observation", "hand")
        told = (
            element(fetch, before, "observation", "hand_moved"),
            element(fetch, obs, "observation", "hand_moved"),
        )
        # A step's way lies between the velocities at its ends, times the step.
        np.testing.assert_allclose(moved, np.mean(told, axis=0), atol=0.02)
        assert np.sign(moved[np.argmax(np.abs(action[:3]))]) == np.sign(action[np.argmax(np.abs(action[:3]))])
        if "object_x" in fetch.data_spec.obs["observation"].names:
            hand, thing = (element(fetch, obs, "observation", what) for what in ("hand", "object"))
            between = element(fetch, obs, "observation", "hand_to_object")
            np.testing.assert_allclose(thing - hand, between, atol=1e-6)
            np.testing.assert_allclose(obs["achieved_goal"], thing, atol=1e-6)


def test_a_hand_that_is_led_to_its_goal_succeeds() -> None:
    env = FetchConfig("reach").build()
    obs, info = env.reset(seed=100000)
    for _ in range(50):
        way = (obs["desired_goal"] - obs["achieved_goal"]) / 0.05
        obs, _, terminated, truncated, info = env.step(np.append(way, 0.0))
        if terminated or truncated:
            break
    assert info == {"success": True, "score": 1.0} and terminated and not truncated
    env.close()


def test_drawing_changes_no_episode(fetch: Env) -> None:
    # Drawing with the suite itself runs Fetch's physics on.
    expected = episode_digest(fetch, 5, 20)
    fetch.reset(seed=5)
    step = fetch.step

    def drawn(action: np.ndarray) -> Any:
        try:
            fetch.render()
        except EnvError as error:
            pytest.skip(str(error))
        return step(action)

    fetch.step = drawn  # type: ignore[method-assign]
    assert episode_digest(fetch, 5, 20) == expected


def test_the_mark_of_the_goal_is_drawn_where_the_goal_is() -> None:
    env = FetchConfig("reach").build()
    pictures = []
    for seed in (0, 1):
        env.reset(seed=seed)
        try:
            pictures.append(env.render().astype(int))
        except EnvError as error:
            pytest.skip(str(error))
    red = [(p[..., 0] > 150) & (p[..., 1] < 80) & (p[..., 2] < 80) for p in pictures]
    assert all(mask.sum() > 20 for mask in red) and (red[0] != red[1]).sum() > 20
    env.close()


@pytest.mark.parametrize("task", ["umaze", "medium_diverse_gr"])
def test_a_ball_in_a_maze_moves_at_100_hz(task: str) -> None:
    env = PointMazeConfig(task).build()
    obs, _ = env.reset(seed=0)
    assert env.max_steps == MAZES[task][1]
    speed = obs["observation"][2:]
    for _ in range(5):
        before, (obs, *_) = obs, env.step(np.array([0.01, 0.0]))
        speed = obs["observation"][2:]
        moved = obs["observation"][:2] - before["observation"][:2]
        np.testing.assert_allclose(moved, speed / env.data_spec.rate_hz, atol=1e-6)
    assert np.array_equal(obs["achieved_goal"], obs["observation"][:2]) and speed[0] > 0
    env.close()


def test_a_ball_that_starts_at_its_goal_needs_one_step() -> None:
    env = PointMazeConfig().build()
    cell = np.array([1, 1])
    env.reset(seed=0, options={"goal_cell": cell, "reset_cell": cell})
    _, _, terminated, _, info = env.step(np.zeros(2))
    assert terminated and info["success"]
    env.close()


@pytest.mark.slow
def test_goals_of_the_kitchen_are_counted_and_stay_reached() -> None:
    env = KitchenConfig(("microwave", "light switch")).build()
    assert env.data_spec.rate_hz == 12.5 and env.score_name == "share of the 2 goals that were reached"
    obs, info = env.reset(seed=0)
    assert set(obs) == {
        "observation",
        *(
            f"{kind}_goal.{goal}"
            for kind in ("achieved", "desired")
            for goal in ("microwave", "light_switch")
        ),
    }
    assert info == {"success": False, "score": 0.0}
    names = env.data_spec.obs["observation"].names
    assert obs["observation"][names.index("microwave")] == pytest.approx(
        float(obs["achieved_goal.microwave"][0]), abs=0.01
    )
    base: Any = env._suite.unwrapped  # type: ignore[attr-defined]
    for goal, score in (("microwave", 0.5), ("light switch", 1.0)):
        assert info["score"] < score and not info["success"]
        qpos, wanted = base.data.qpos, base.goal[goal]
        qpos[{"microwave": slice(22, 23), "light switch": slice(17, 19)}[goal]] = wanted
        _, _, terminated, _, info = env.step(np.zeros(9))
        assert info["score"] == score
    assert info["success"] and terminated
    env.close()


def test_senseless_settings_are_refused_with_the_nearest() -> None:
    with pytest.raises(ConfigError, match=r"env\.goals.*did you mean 'microwave'"):
        KitchenConfig(("mikrowave",))
    with pytest.raises(ConfigError, match=r"env\.goals"):
        KitchenConfig(("kettle", "kettle"))
    with pytest.raises(ConfigError, match=r"env\.task.*did you mean 'reach'"):
        FetchConfig("raech")
    assert len(GOALS) == 7
