"""ALOHA: the physics, starts and stages of gym-aloha, without its three pictures at every step."""

from collections.abc import Iterator

import numpy as np
import pytest

from imitate.envs.aloha import TASKS, Aloha, AlohaConfig
from imitate.errors import ConfigError, EnvError

pytest.importorskip("gym_aloha")


@pytest.fixture(params=sorted(TASKS))
def env(request: pytest.FixtureRequest) -> Iterator[Aloha]:
    env = AlohaConfig(request.param).build()
    yield env
    env.close()


def swings(env: Aloha, steps: int) -> np.ndarray:
    """Smooth actions about the pose of the start."""
    start = env.reset(seed=0)[0]["state"]
    phase = np.arange(steps)[:, None] * 0.2 + np.arange(14)
    return np.clip(start + 0.2 * np.sin(phase), env.action_space.low, env.action_space.high)


def test_it_moves_as_gym_aloha(env: Aloha) -> None:
    from gym_aloha.env import AlohaEnv

    theirs = AlohaEnv(
        task=next(name for name, task in TASKS.items() if task.success == env.success_definition)
    )
    theirs._env.task.get_observation = lambda physics: {"images": {"top": np.zeros(1)}}
    theirs.reset(seed=3)
    actions = swings(env, 10)
    obs, _ = env.reset(seed=3)
    physics = theirs._env.physics
    for action in actions:
        assert np.array_equal(obs["state"], theirs._env.task.get_qpos(physics).astype(np.float32))
        assert np.array_equal(obs["objects"], physics.data.qpos[16:].astype(np.float32))
        _, expected, *_ = theirs.step(action)
        obs, reward, *_ = env.step(action)
        assert reward == expected


def test_objects_lie_where_gym_aloha_puts_them(env: Aloha) -> None:
    names = env.data_spec.obs["objects"].names
    starts = np.array([env.reset(seed=seed)[0]["objects"] for seed in range(40)])
    x, y = starts[:, 0], starts[:, 1]
    low, high = (0.0, 0.2) if "cube_x" in names else (0.1, 0.2)
    assert (x >= low).all() and (x <= high).all() and (y >= 0.4).all() and (y <= 0.6).all()
    assert np.ptp(x) > 0.8 * (high - low) and (starts[:, names.index(names[3])] == 1.0).all()


def test_actions_reach_as_far_as_the_actuators(env: Aloha) -> None:
    action = env.data_spec.action
    assert action.high[:7] == action.high[7:] and action.low[:7] == action.low[7:]
    assert action.high[0] == pytest.approx(3.14158) and action.low[1] == pytest.approx(-1.85005)
    assert 0.0 <= action.low[6] < 0.1 and 0.9 < action.high[6] <= 1.0


def test_a_stage_counts_for_the_score_and_the_last_is_success(env: Aloha) -> None:
    env.reset(seed=0)
    stages = iter([1, 3, 2, 4])
    env._suite.task.get_reward = lambda physics: next(stages)
    told = []
    for _ in range(4):
        _, _, terminated, _, info = env.step(env.action_space.low * 0)
        told.append((info["score"], info["success"], terminated))
    assert told == [(0.25, False, False), (0.75, False, False), (0.75, False, False), (1.0, True, True)]


def test_a_simulation_that_breaks_down_ends_the_episode_with_what_was_seen_last(env: Aloha) -> None:
    rng = np.random.default_rng(0)
    obs, _ = env.reset(seed=0)
    for _ in range(env.max_steps):
        before = obs
        obs, _, terminated, _, info = env.step(rng.choice([env.action_space.low, env.action_space.high]))
        assert all(np.isfinite(value).all() for value in obs.values())
        if terminated:
            break
    assert terminated and not info["success"] and obs is before
    assert np.array_equal(env.reset(seed=0)[0]["state"], env.reset(seed=0)[0]["state"])


def test_the_view_from_above_takes_the_place_of_the_objects() -> None:
    env = AlohaConfig(image=True).build()
    try:
        obs, _ = env.reset(seed=0)
    except EnvError as error:
        pytest.skip(str(error))
    assert set(obs) == {"state", "top"} == set(env.data_spec.obs)
    red = (obs["top"][..., 0] > 120) & (obs["top"][..., 1] < 60)
    assert obs["top"].shape == (480, 640, 3) and red.sum() > 50  # the cube
    env.close()


def test_an_unknown_task_is_answered_with_the_nearest() -> None:
    with pytest.raises(ConfigError, match=r"env\.task.*did you mean 'insertion'"):
        AlohaConfig("insertions")
