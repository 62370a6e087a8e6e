"""Environments by their registered id: what is known is taken over, what is not is asked for."""

from typing import Any, ClassVar

import gymnasium
import numpy as np
import pytest

from imitate.config import compose
from imitate.envs.gymnasium_registered import GymnasiumConfig
from imitate.errors import ConfigError, EnvError, MissingExtraError


class Drift(gymnasium.Env):
    """Walks by its action; `carried` keeps the place of the episode before, `unseeded` draws it at random."""

    metadata: ClassVar[dict[str, Any]] = {"render_modes": []}
    observation_space = gymnasium.spaces.Box(-np.inf, np.inf, (1,), np.float64)
    action_space = gymnasium.spaces.Box(-1, 1, (1,), np.float32)
    place = 0.0

    def __init__(self, kind: str = "", hz: float | None = None) -> None:
        self.kind = kind
        self.metadata = {**self.metadata, "render_fps": hz}

    def reset(self, *, seed: int | None = None, options: Any = None) -> tuple[np.ndarray, dict]:
        super().reset(seed=seed)
        draw = np.random.default_rng().random() if self.kind == "unseeded" else self.np_random.random()
        self.place = draw + (self.place if self.kind == "carried" else 0.0)
        return np.array([self.place]), {"nearly": False}

    def step(self, action: np.ndarray) -> tuple[np.ndarray, float, bool, bool, dict]:
        self.place += float(action[0])
        return np.array([self.place]), -1.0, self.place > 3.0, False, {"nearly": self.place > 2.0}


gymnasium.register("imitate_tests/Drift-v0", Drift)
DRIFT: dict[str, Any] = {"id": "imitate_tests/Drift-v0", "rate_hz": 5.0, "max_steps": 6}


def test_cartpole_is_carried_with_its_rate_its_longest_episode_and_its_threshold() -> None:
    env = GymnasiumConfig().build()
    assert env.data_spec.rate_hz == 50.0 and env.max_steps == 500
    assert env.data_spec.obs["observation"].shape == (4,) and env.data_spec.obs["observation"].low == ()
    assert env.data_spec.action.low == (0.0,) and env.data_spec.action.high == (1.0,)
    assert "at least 475" in env.success_definition and "475" in env.score_name
    env.close()


def test_it_plays_what_gymnasium_plays() -> None:
    ours, theirs = GymnasiumConfig().build(), gymnasium.make("CartPole-v1")
    seen, expected = ours.reset(seed=7)[0]["observation"], theirs.reset(seed=7)[0]
    total, over, choices = 0.0, False, np.random.default_rng(0)
    while not over:
        assert np.array_equal(seen, expected)
        choice = int(choices.integers(2))
        expected, *_ = theirs.step(choice)
        # The nearest whole number counts.
        obs, reward, terminated, truncated, info = ours.step(np.array([choice * 0.6 + 0.1]))
        seen, total, over = obs["observation"], total + reward, terminated or truncated
    assert not info["success"] and info["score"] == pytest.approx(total / 475)
    ours.close()


def test_a_pole_that_stays_up_is_a_success() -> None:
    env = GymnasiumConfig().build()
    obs, info = env.reset(seed=100000)
    over = False
    while not over:
        assert not info["success"] and info["score"] == 0.0
        _, speed, angle, turning = obs["observation"]
        obs, _, terminated, truncated, info = env.step(np.array([float(angle + turning + 0.1 * speed > 0)]))
        over = terminated or truncated
    assert info == {"success": True, "score": 1.0} and truncated


def ended(env: Any, action: float) -> tuple[int, dict[str, Any]]:
    """How many steps an episode has in which the action is always the same, and what is told at its end."""
    env.reset(seed=0)
    for step in range(1, 100):
        _, _, terminated, truncated, info = env.step(np.array([action]))
        if terminated or truncated:
            return step, info
    raise AssertionError("no end")


@pytest.mark.parametrize(
    ("success", "action", "is_success"),
    [
        ("nearly", 1.0, True), ("nearly", 0.1, False), ("terminated", 1.0, True), ("terminated", 0.1, False),
        ("survived", 1.0, False), ("survived", 0.1, True), (-4, 1.0, True), (-4.0, 0.1, False),
    ],
)  # fmt: skip
def test_success_is_what_the_setting_says(success: Any, action: float, is_success: bool) -> None:
    env = GymnasiumConfig(**DRIFT, success=success).build()
    steps, info = ended(env, action)
    assert info["success"] == is_success and steps == (6 if action < 1 else 2 if success == "nearly" else 3)
    assert env.success_definition


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({}, r"env\.success .*nearly"),
        ({"success": "nearby"}, r"env\.success.*did you mean 'nearly'"),
        ({"rate_hz": None, "success": "nearly"}, r"env\.rate_hz"),
        ({"max_steps": None, "success": "nearly"}, r"env\.max_steps"),
        ({"kwargs": {"colour": 1}}, r"env\.kwargs.*colour"),
        ({"id": "imitate_tests/Drifd-v0"}, r"env\.id.*env\.package"),
        ({"id": "CartPol-v1"}, r"env\.id.*did you mean 'CartPole-v1'"),
    ],
)
def test_what_is_not_known_is_asked_for_in_one_line(change: dict[str, Any], told: str) -> None:
    with pytest.raises(ConfigError, match=told) as caught:
        GymnasiumConfig(**{**DRIFT, **change}).build()
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("change", [{"max_steps": 0}, {"rate_hz": 0.0}, {"rate_hz": float("nan")}])
def test_senseless_settings_are_refused_by_their_key(change: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match=rf"env\.{next(iter(change))}"):
        GymnasiumConfig(**change)


def test_the_rate_of_the_suite_is_used_where_none_is_set() -> None:
    env = GymnasiumConfig(**{**DRIFT, "rate_hz": None}, kwargs={"hz": 8}, success="nearly").build()
    assert env.data_spec.rate_hz == 8.0


def test_the_period_of_the_simulation_goes_before_the_rate_of_videos() -> None:
    assert GymnasiumConfig("Pendulum-v1", success=-200).build().data_spec.rate_hz == pytest.approx(20.0)


def test_a_package_that_is_not_there_is_named_with_the_command_that_brings_it() -> None:
    with pytest.raises(MissingExtraError, match="pip install no-such-suite"):
        GymnasiumConfig("X-v0", package="no_such_suite").build()


def test_what_lasts_from_one_episode_to_the_next_is_found_and_a_fresh_one_mends_it() -> None:
    carried: dict[str, Any] = {**DRIFT, "kwargs": {"kind": "carried"}, "success": "nearly"}
    with pytest.raises(EnvError, match=r"env\.fresh=true"):
        GymnasiumConfig(**carried).build()
    env = GymnasiumConfig(**carried, fresh=True).build()
    first = env.reset(seed=3)[0]["observation"]
    env.reset(seed=4)
    assert np.array_equal(env.reset(seed=3)[0]["observation"], first)


def test_what_no_seed_fixes_is_refused() -> None:
    with pytest.raises(EnvError, match="seed does not fix"):
        GymnasiumConfig(**DRIFT, kwargs={"kind": "unseeded"}, fresh=True, success="nearly").build()


@pytest.mark.parametrize("override", ["env.kwargs={kind: carried}", "env.kwargs.kind=carried"])
def test_the_command_line_takes_what_the_environment_is_made_with(override: str) -> None:
    env = compose("collect", ["out=x", "env=gymnasium", override]).env
    assert env == GymnasiumConfig(kwargs={"kind": "carried"})
    with pytest.raises(ConfigError, match=r"env\.kwargs"):
        compose("collect", ["out=x", "env=tabletop/reach", override])


def test_where_there_are_no_pictures_it_says_so() -> None:
    env = GymnasiumConfig(**DRIFT, success="nearly").build()
    env.reset(seed=0)
    with pytest.raises(EnvError, match=r"drawn|pictures"):
        env.render()
