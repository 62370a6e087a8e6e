"""What goes wrong goes wrong by exactly its size, the same on the same seed, and not at all at size 0."""

import json
import pickle
from collections.abc import Sequence
from itertools import pairwise

import numpy as np
import pytest
from episode_digest import episode_digest, sweep
from line_env import SPEC, LineConfig
from line_policy import LinePolicy
from watched_env import WATCHED, WatchedConfig, WatchedEnv, Watcher

from imitate.env import Env, EnvConfig, Obs
from imitate.envs.point_obstacle import PointObstacleConfig
from imitate.envs.tabletop.push import PushConfig
from imitate.errors import ConfigError, EnvError
from imitate.evaluation.stress.distortion import ActionLag, Noise
from imitate.evaluation.stress.env import StressedEnvConfig
from imitate.evaluation.stress.kinds import KINDS
from imitate.parts import from_json, to_json
from imitate.rollout import rollout
from imitate.types import ArraySpec, DataSpec

SPREAD = {"position": (0.5,), "velocity": (0.25, 0.0)}
PASSING = ("noise", "delay", "drop", "action_delay", "action_lag")
WORLD = ("friction", "mass", "lighting", "camera", "start_range", "push")


def stressed(kind: str, size: float, env: EnvConfig | None = None) -> StressedEnvConfig:
    return StressedEnvConfig(env or LineConfig(), kind, size, SPREAD if kind == "noise" else {})


def played(config: EnvConfig, actions: Sequence[np.ndarray], seed: int = 3) -> list[Obs]:
    env = config.build()
    seen = [env.reset(seed=seed)[0], *(env.step(action)[0] for action in actions)]
    env.close()
    return seen


def drawn_actions(count: int = 25) -> np.ndarray:
    return np.random.default_rng(1).uniform(-1, 1, (count, 1))


def same(a: Obs, b: Obs) -> bool:
    return all(np.array_equal(a[key], b[key]) and a[key].dtype == b[key].dtype for key in a)


@pytest.mark.parametrize("kind", PASSING)
def test_size_zero_is_the_plain_rollout_bitwise(kind: str) -> None:
    policy = LinePolicy(SPEC)
    plain = rollout(policy, LineConfig(), range(6), workers=0, batch=4).episodes
    assert rollout(policy, stressed(kind, 0.0), range(6), workers=0, batch=4).episodes == plain


@pytest.mark.parametrize("kind", WORLD)
def test_size_zero_is_the_plain_world_bitwise(kind: str) -> None:
    plain, changed = PushConfig().build(), StressedEnvConfig(PushConfig(), kind, 0.0).build()
    assert episode_digest(changed, 5) == episode_digest(plain, 5)


@pytest.mark.parametrize("kind", [*PASSING, "mass", "start_range", "push"])
def test_a_seed_fixes_what_goes_wrong_whatever_was_played_before(kind: str) -> None:
    size = {"delay": 2.0, "action_delay": 2.0}.get(kind, 0.3)
    spread = {"goal": (0.1, 0.1)} if kind == "noise" else {}
    env = StressedEnvConfig(PointObstacleConfig(), kind, size, spread).build()
    first = episode_digest(env, 5)
    episode_digest(env, 6)
    assert episode_digest(env, 5) == first != episode_digest(PointObstacleConfig().build(), 5)


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["noise", "drop"])
def test_episodes_do_not_depend_on_the_number_of_workers(kind: str) -> None:
    policy, config = LinePolicy(SPEC), stressed(kind, 0.4)
    here = rollout(policy, config, range(7), workers=0, batch=4).episodes
    assert rollout(policy, config, range(7), workers=2, batch=4).episodes == here
    assert rollout(policy, LineConfig(), range(7), workers=0, batch=4).episodes != here


def test_a_delay_shifts_observations_by_exactly_its_steps() -> None:
    plain, late = (played(c, drawn_actions()) for c in (LineConfig(), stressed("delay", 3)))
    assert all(same(late[t], plain[max(0, t - 3)]) for t in range(26))


def test_a_delay_of_actions_executes_them_later() -> None:
    actions = drawn_actions()
    shifted = np.concatenate([np.repeat(actions[:1], 3, axis=0), actions[:-3]])
    late = played(stressed("action_delay", 3), actions)
    assert all(map(same, late, played(LineConfig(), shifted)))


def test_a_lag_answers_a_step_as_a_first_order_system() -> None:
    lag = ActionLag(4.0, SPEC.action)
    lag.begin(np.random.default_rng(0))
    answered = [float(lag.act(np.array([wanted]))[0]) for wanted in (0.0, *[0.5] * 12)]
    times = np.arange(13)
    assert np.allclose(answered, 0.5 * (1 - np.exp(-times / 4.0)))
    assert float(lag.act(np.array([9.0]))[0]) < 1.0  # what is wanted is clipped first


def test_an_angle_lags_along_the_shorter_way() -> None:
    spec = ArraySpec((1,), units=("rad",), circular=(0,))
    lag = ActionLag(1.0, spec)
    lag.begin(np.random.default_rng(0))
    lag.act(np.array([3.0]))
    assert 3.0 < float(lag.act(np.array([-3.0]))[0]) < 3.3


def test_what_is_dropped_is_seen_again_and_dropped_at_every_larger_share() -> None:
    actions = np.zeros((400, 1))
    config = LineConfig(max_steps=1000)
    plain = played(config, actions)
    lost = {}
    for share in (0.3, 0.7):
        seen = played(stressed("drop", share, config), actions)
        assert same(seen[0], plain[0])
        lost[share] = {t for t, (before, now) in enumerate(pairwise(seen), 1) if same(before, now)}
        for t, obs in enumerate(seen):
            kept = max(k for k in range(t + 1) if k not in lost[share])
            assert same(obs, plain[kept])
        assert abs(len(lost[share]) / 400 - share) < 0.07
    assert lost[0.3] < lost[0.7]
    assert all(same(obs, plain[0]) for obs in played(stressed("drop", 1.0, config), actions))


def test_noise_has_its_spread_and_the_same_draws_at_every_size() -> None:
    actions, config = np.zeros((3000, 1)), LineConfig(max_steps=5000)
    plain, weak, strong = (
        played(c, actions) for c in (config, stressed("noise", 0.2, config), stressed("noise", 0.8, config))
    )

    def errors_of(key: str) -> list[np.ndarray]:
        true = np.array([obs[key] for obs in plain])
        return [np.array([obs[key] for obs in seen]) - true for seen in (weak, strong)]

    errors = {key: errors_of(key) for key in SPREAD}
    assert np.isclose(errors["position"][0].std(), 0.2 * 0.5, rtol=0.05)
    assert np.isclose(errors["velocity"][1][:, 0].std(), 0.8 * 0.25, rtol=0.05)
    assert not errors["velocity"][1][:, 1].any()  # never changed in training: no noise
    assert np.allclose(4 * errors["position"][0], errors["position"][1], atol=1e-5)
    assert abs(np.corrcoef(errors["position"][0][1:, 0], errors["position"][0][:-1, 0])[0, 1]) < 0.06
    assert abs(np.corrcoef(errors["position"][0][:, 0], errors["velocity"][0][:, 0])[0, 1]) < 0.06


def test_noise_on_images_and_angles_stays_among_images_and_angles() -> None:
    spec = DataSpec(
        {
            "camera": ArraySpec((30, 30, 3), "uint8"),
            "angle": ArraySpec((2,), units=("rad", "m"), low=(-np.pi, -1), high=(np.pi, 1), circular=(0,)),
            "other": ArraySpec((1,)),
        },
        ArraySpec((1,)),
    )
    noise = Noise(0.2, {"camera": (127.5,), "angle": (10.0, 10.0)}, spec)
    noise.begin(np.random.default_rng(0))
    obs = {
        "camera": np.full((30, 30, 3), 120, np.uint8),
        "angle": np.array([3.0, 0.0], np.float32),
        "other": np.array([1.0], np.float32),
    }
    seen = [noise.see(obs) for _ in range(200)]
    pixels = np.stack([one["camera"] for one in seen]).astype(float)
    assert all(one["camera"].dtype == np.uint8 for one in seen)
    assert np.isclose(pixels.std(), 0.2 * 127.5, rtol=0.02) and abs(pixels.mean() - 120) < 0.5
    angles, lengths = np.stack([one["angle"] for one in seen]).T
    assert np.abs(angles).max() <= np.pi + 1e-6 and np.abs(lengths).max() > 2
    assert all(one["other"] is obs["other"] for one in seen)
    assert obs["camera"].min() == obs["camera"].max() == 120


class DrawingEnv(WatchedEnv):
    """Draws every picture, whoever looks."""

    shows_images = property(lambda self: True, lambda self, value: None)  # type: ignore[assignment]


class DrawingConfig(WatchedConfig):
    def build(self) -> WatchedEnv:
        return DrawingEnv(self)


def watched(kind: str, env: WatchedConfig) -> StressedEnvConfig:
    spread = {**SPREAD, "camera": (127.5,)} if kind == "noise" else {}
    return StressedEnvConfig(env, kind, {"drop": 0.5, "noise": 0.1}.get(kind, 2.0), spread)


@pytest.mark.parametrize("kind", PASSING)
def test_pictures_that_nobody_sees_are_not_drawn_and_change_nothing(kind: str) -> None:
    def pictures(policy: LinePolicy, env: WatchedConfig) -> tuple[int, object]:
        WatchedEnv.pictures = DrawingEnv.pictures = 0
        done = rollout(policy, watched(kind, env), range(6), workers=0, batch=4)
        return WatchedEnv.pictures + DrawingEnv.pictures, done.episodes

    drawn, episodes = pictures(Watcher(WATCHED), WatchedConfig())
    always, as_ever = pictures(Watcher(WATCHED), DrawingConfig())
    assert episodes == as_ever
    # What is seen late may be a picture of any step before.
    assert drawn == always if kind in ("delay", "drop") else 0 < drawn < 0.9 * always
    assert pictures(LinePolicy(WATCHED.select(["position", "velocity"])), WatchedConfig())[0] == 0


def test_a_late_picture_is_that_of_its_step() -> None:
    env = watched("delay", WatchedConfig()).build()
    seen = [env.reset(seed=3)[0]]
    for step in range(9):
        env.shows_images = step % 4 == 0
        seen.append(env.step(np.array([0.1]))[0])
    shown = {t: obs["camera"][0, 0, 0] for t, obs in enumerate(seen) if "camera" in obs}
    assert all(shown[t] == max(0, t - 2) for t in range(10) if t % 4 == 1)


def test_noise_of_a_picture_hangs_on_its_step_alone() -> None:
    spec, flat = (
        DataSpec({"camera": ArraySpec((20, 20, 3), "uint8")}, ArraySpec((1,))),
        np.full((20, 20, 3), 99),
    )
    seen = {}
    for looks in (range(8), (0, 5, 7)):
        noise = Noise(0.2, {"camera": (127.5,)}, spec)
        noise.begin(np.random.default_rng(0))
        for step in range(8):
            obs = noise.see({"camera": flat.astype(np.uint8)} if step in looks else {})
            if step in looks and step in seen:
                assert np.array_equal(obs["camera"], seen[step])
            seen |= {step: obs["camera"]} if step in looks else {}
    assert not np.array_equal(seen[0], seen[5])


@pytest.mark.parametrize("kind", KINDS)
def test_a_config_is_json_and_pickles(kind: str) -> None:
    config = stressed(kind, KINDS[kind].sizes[0], PushConfig())
    assert from_json(json.loads(json.dumps(to_json(config)))) == config
    assert pickle.loads(pickle.dumps(config)) == config


def test_it_is_the_environment_in_all_else() -> None:
    plain, changed = PushConfig().build(), StressedEnvConfig(PushConfig(), "delay", 2.0).build()
    assert isinstance(changed, Env) and type(changed.unwrapped) is type(plain)
    for name in ("data_spec", "max_steps", "success_definition", "score_name", "expert_styles", "mirror"):
        assert getattr(changed, name) == getattr(plain, name)
    changed.reset(seed=0)
    expert = changed.expert("direct")
    for action in sweep(plain, 2):
        changed.step(action)
    assert changed.action_space.contains(np.asarray(expert.act(), np.float32))
    changed.close()


def test_mistakes_are_named() -> None:
    with pytest.raises(ConfigError, match=r"no such perturbation \(did you mean 'delay'"):
        stressed("dealy", 1.0)
    with pytest.raises(ConfigError, match=r"size of delay has 1\.5, expected a whole number"):
        stressed("delay", 1.5)
    with pytest.raises(ConfigError, match=r"size of drop has 1\.5, expected 0 to 1"):
        stressed("drop", 1.5)
    with pytest.raises(EnvError, match="LineEnv cannot change friction"):
        stressed("friction", 0.5).build()
    with pytest.raises(EnvError, match="spread of 'nowhere' has 1 values"):
        StressedEnvConfig(LineConfig(), "noise", 0.1, {"nowhere": (1.0,)}).build()
