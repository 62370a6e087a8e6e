import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from imitate.envs.point_obstacle import (
    FIELD_M,
    MAX_SPEED_M_S,
    OBSTACLE_RADIUS_M,
    PointObstacle,
    PointObstacleConfig,
    distance_to_segment,
)
from imitate.errors import ConfigError, EnvError

COORDINATE = st.floats(-FIELD_M, FIELD_M)
POINT = st.tuples(COORDINATE, COORDINATE).map(np.array)


@pytest.fixture
def env() -> PointObstacle:
    return PointObstacleConfig().build()


def play(env: PointObstacle, seed: int, style: str | None) -> tuple[bool, np.ndarray, list[np.ndarray]]:
    obs, _ = env.reset(seed=seed)
    expert = env.expert(style)
    path, actions = [obs["position"]], []
    for _ in range(env.max_steps):
        actions.append(expert.act())
        obs, _, terminated, truncated, info = env.step(actions[-1])
        path.append(obs["position"])
        if terminated or truncated:
            break
    return info["success"], np.array(path), actions


@given(POINT, POINT, POINT, st.floats(0, 1))
def test_no_point_of_a_segment_is_nearer_than_its_distance(point, start, end, share) -> None:
    on_segment = start + share * (end - start)
    assert np.linalg.norm(point - on_segment) >= distance_to_segment(point, start, end) - 1e-9


@pytest.mark.parametrize("style", ["left", "right", None])
def test_expert_always_passes(env: PointObstacle, style: str | None) -> None:
    assert all(play(env, seed, style)[0] for seed in range(200))


def test_styles_pass_on_their_side(env: PointObstacle) -> None:
    for seed in range(20):
        for style, side in (("left", -1), ("right", 1)):
            path = play(env, seed, style)[1]
            beside = path[np.abs(path[:, 1]) < 0.1, 0]
            assert (side * beside > OBSTACLE_RADIUS_M - 0.1).all()


def test_side_is_drawn_by_the_seed(env: PointObstacle) -> None:
    ends = [play(env, seed, None)[1] for seed in range(100)]
    left = sum(path[np.abs(path[:, 1]).argmin(), 0] < 0 for path in ends)
    assert 30 < left < 70
    again = play(env, 7, None)[1]
    assert np.array_equal(again, ends[7])


def test_mean_of_both_ways_collides(env: PointObstacle) -> None:
    hits = 0
    for seed in range(50):
        ways = [play(env, seed, style)[2] for style in ("left", "right")]
        env.reset(seed=seed)
        for left, right in zip(*ways, strict=False):
            _, reward, terminated, _, info = env.step((left + right) / 2)
            if terminated:
                break
        hits += terminated and info["collision"] and not info["success"] and reward == 0.0
    assert hits >= 48


def test_expert_recovers_from_noise(env: PointObstacle) -> None:
    solved = 0
    for seed in range(50):
        rng = np.random.default_rng(seed)
        env.reset(seed=seed)
        expert = env.expert()
        for _ in range(env.max_steps):
            noise = rng.normal(scale=0.15 * MAX_SPEED_M_S, size=2)
            _, _, terminated, truncated, info = env.step(expert.act() + noise)
            if terminated or truncated:
                break
        solved += info["success"]
    assert solved >= 48


def test_standing_still_ends_without_success(env: PointObstacle) -> None:
    env.reset(seed=0)
    for step in range(env.max_steps):
        _, reward, terminated, truncated, info = env.step(np.zeros(2))
        assert not terminated and reward == 0.0 and truncated == (step == env.max_steps - 1)
    assert not info["success"] and not info["collision"]


def test_fast_mass_cannot_jump_the_obstacle(env: PointObstacle) -> None:
    env.reset(seed=0)
    terminated = False
    while not terminated:
        _, _, terminated, truncated, info = env.step(np.array([0.0, 99.0]))
        assert not truncated
    assert not info["success"]


def test_unknown_style_and_bad_settings_are_refused(env: PointObstacle) -> None:
    with pytest.raises(EnvError, match=r"'lefft'.*did you mean 'left'"):
        env.expert("lefft")
    with pytest.raises(ConfigError, match=r"env\.max_steps is 0"):
        PointObstacleConfig(max_steps=0)


def test_picture_shows_the_mass_moving(env: PointObstacle) -> None:
    env.reset(seed=0)
    before = env.render()
    env.step(np.array([0.5, 0.5]))
    assert before.shape == (480, 480, 3) and before.dtype == np.uint8
    assert (before != env.render()).any()
