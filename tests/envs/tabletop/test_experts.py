import numpy as np
import pytest

from imitate.envs.tabletop.config import TabletopConfig
from imitate.envs.tabletop.env import TabletopEnv
from imitate.errors import EnvError


def demonstrate(
    env: TabletopEnv, seed: int, style: str | None = None, noise: float = 0.0
) -> tuple[bool, np.ndarray, np.ndarray]:
    """Success, the grip point's path (T, 3) and the actions (T, Da); noise in shares of the range."""
    obs, info = env.reset(seed=seed)
    expert, rng = env.expert(style), np.random.default_rng(seed)
    spread = noise * (env.action_space.high - env.action_space.low)
    path, actions = [obs["ee_pos"]], []
    for _ in range(env.max_steps):
        actions.append(expert.act())
        obs, _, terminated, truncated, info = env.step(actions[-1] + rng.normal(size=spread.shape) * spread)
        path.append(obs["ee_pos"])
        if terminated or truncated:
            break
    return info["success"], np.array(path), np.array(actions)


@pytest.mark.slow
def test_success_over_200_seeds(task: type[TabletopConfig]) -> None:
    env = task().build()
    results = [demonstrate(env, seed) for seed in range(200)]
    assert np.mean([solved for solved, *_ in results]) >= 0.98
    assert np.mean([len(actions) for *_, actions in results]) < 50


def test_success_in_joint_positions(task: type[TabletopConfig]) -> None:
    env = task(action_mode="joint_position").build()
    assert all(demonstrate(env, seed)[0] for seed in range(8))


@pytest.mark.parametrize("style", TabletopEnv.expert_styles)
def test_every_style_succeeds(task: type[TabletopConfig], style: str) -> None:
    env = task().build()
    assert all(demonstrate(env, seed, style)[0] for seed in range(3))


def test_success_at_20_hz(task: type[TabletopConfig]) -> None:
    env = task(rate_hz=20.0, max_steps=240).build()
    assert all(demonstrate(env, seed)[0] for seed in range(3))


def test_recovers_from_noise(task: type[TabletopConfig]) -> None:
    env = task().build()
    assert sum(demonstrate(env, seed, noise=0.05)[0] for seed in range(8)) >= 7


def test_left_and_right_bend_the_way_to_their_side(task: type[TabletopConfig]) -> None:
    env = task().build()
    for seed in range(3):
        left, right = (demonstrate(env, seed, style)[1][:8] for style in ("left", "right"))
        way = left[0] - right[0]
        assert np.abs(way).max() == 0.0  # the same start
        ahead = (left[-1] + right[-1])[:2] / 2 - left[0, :2]
        across = np.array([-ahead[1], ahead[0]])
        steps = min(len(left), len(right))
        assert ((left[:steps] - right[:steps])[:, :2] @ across).sum() > 0


def test_fast_is_shorter_than_slow(task: type[TabletopConfig]) -> None:
    env = task().build()
    fast, slow = (len(demonstrate(env, 0, style)[2]) for style in ("fast", "slow"))
    assert fast < slow


def test_actions_stay_in_range_and_the_gripper_does_not_flutter(task: type[TabletopConfig]) -> None:
    env = task().build()
    for seed in range(5):
        actions = demonstrate(env, seed)[2]
        assert (actions >= env.action_space.low).all() and (actions <= env.action_space.high).all()
        assert actions.dtype == np.float32
        changes = np.count_nonzero(np.abs(np.diff(actions[:, -1])) > 0.01)
        assert changes <= 2  # close once, open once


def test_no_long_pause(task: type[TabletopConfig]) -> None:
    env = task().build()
    for seed in range(5):
        still = np.linalg.norm(np.diff(demonstrate(env, seed)[1], axis=0), axis=1) < 1e-3
        longest = max((len(run) for run in "".join("x" if s else " " for s in still).split()), default=0)
        assert longest <= 5


def test_unknown_style_is_refused(task: type[TabletopConfig]) -> None:
    with pytest.raises(EnvError, match=r"'slwo'.*did you mean 'slow'"):
        task().build().expert("slwo")
