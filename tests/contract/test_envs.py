"""What every environment promises, checked for every YAML in imitate/configs/env."""

import dataclasses
import json
import subprocess
import sys
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import episode_digest as stand_in
import numpy as np
import pytest
import yaml
from episode_digest import episode_digest, sweep
from gymnasium.utils.env_checker import check_env

from imitate.env import Env, EnvConfig
from imitate.errors import ConfigError, EnvError, MissingExtraError
from imitate.parts import from_json, to_json

FOLDER = Path(__file__).resolve().parents[2] / "imitate/configs/env"
UNNAMED = {"gymnasium"}
"""Made from gymnasium's spaces, which tell neither names nor units."""
NAMES = sorted(str(path.relative_to(FOLDER).with_suffix("")) for path in FOLDER.rglob("*.yaml"))


def config_of(name: str) -> Any:
    return from_json(yaml.safe_load((FOLDER / f"{name}.yaml").read_text()), "env")


def built(config: EnvConfig) -> Env:
    try:
        return config.build()
    except MissingExtraError as error:
        pytest.skip(str(error))


@pytest.fixture(scope="module", params=NAMES)
def name(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.fixture(scope="module")
def config(name: str) -> Any:
    return config_of(name)


@pytest.fixture(scope="module")
def env(config: EnvConfig) -> Iterator[Env]:
    env = built(config)
    yield env
    env.close()


@pytest.fixture(scope="module")
def digests_elsewhere() -> dict[str, str]:
    """Episode 5 of every environment that can be made here, played in another process."""
    parts = {}
    for name in NAMES:
        try:
            config_of(name).build().close()
            parts[name] = to_json(config_of(name))
        except MissingExtraError:
            continue
    command = [sys.executable, stand_in.__file__, json.dumps(parts)]
    told = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    return json.loads(told.splitlines()[-1])


def has_expert(env: Env) -> bool:
    return type(env).expert is not Env.expert


def test_there_are_environments() -> None:
    assert {"pusht", "metaworld", "tabletop/pick_place"} <= set(NAMES)


def test_gymnasium_finds_no_fault(env: Env) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # advice on ranges that physical units cannot follow
        check_env(env, skip_render_check=True)


def test_its_spec_says_what_it_measures_in_what_units(name: str, env: Env) -> None:
    spec = env.data_spec
    assert spec.rate_hz and spec.rate_hz > 0
    assert env.success_definition and env.score_name
    assert len(spec.action.low) == len(spec.action.high) == spec.action.size
    for key, array in {**spec.obs, "action": spec.action}.items():
        if not array.is_image and name not in UNNAMED:
            assert len(array.names) == len(array.units) == array.size, key


def test_observations_are_in_their_space_whatever_is_done(env: Env) -> None:
    rng = np.random.default_rng(0)
    for seed in range(3):
        obs, _ = env.reset(seed=seed)
        for step in range(60):
            assert obs.keys() == env.data_spec.obs.keys()
            for key, value in obs.items():
                assert env.observation_space[key].contains(value), f"{key} of step {step}: {value}"
                assert np.isfinite(value).all(), f"{key} of step {step}"
            corner = rng.choice([env.action_space.low, env.action_space.high])
            obs, _, terminated, _, _ = env.step(rng.uniform(0.3, 1.0) * corner)
            if terminated:
                break


def test_an_observation_is_not_changed_by_what_comes_later(env: Env) -> None:
    obs, _ = env.reset(seed=0)
    copies = {key: value.copy() for key, value in obs.items()}
    for action in sweep(env, 5):
        env.step(action)
    env.reset(seed=1)
    assert all(np.array_equal(copies[key], obs[key]) for key in obs)


def test_a_seed_fixes_the_episode_whatever_was_played_before(config: EnvConfig) -> None:
    env = built(config)
    fresh = episode_digest(env, 5)
    for seed in (1, 2):
        episode_digest(env, seed, steps=17)
    if has_expert(env):
        env.reset(seed=3)
        expert = env.expert()
        for _ in range(40):
            if env.step(expert.act())[2]:
                break
    assert episode_digest(env, 5) == fresh
    assert episode_digest(env, 6) != fresh
    with_company = built(config)
    episode_digest(with_company, 4)
    assert episode_digest(env, 5) == fresh
    with_company.close()
    env.close()


def test_a_seed_fixes_the_episode_in_another_process(
    name: str, env: Env, digests_elsewhere: dict[str, str]
) -> None:
    assert episode_digest(env, 5) == digests_elsewhere[name]


def test_without_a_seed_the_next_episode_differs(env: Env) -> None:
    first, _ = env.reset(seed=0)
    second, _ = env.reset()
    assert any(not np.array_equal(first[key], second[key]) for key in first)


def test_success_and_score_never_fall(env: Env) -> None:
    _, info = env.reset(seed=0)
    for action in sweep(env, 40):
        _, _, terminated, _, after = env.step(action)
        assert isinstance(after["success"], bool) and isinstance(after["score"], float)
        assert after["success"] >= info["success"] and after["score"] >= info["score"]
        if terminated:
            break
        info = after


def test_an_action_beyond_the_range_is_clipped_to_it(env: Env) -> None:
    low, high = env.action_space.low, env.action_space.high
    middle, half = (low + high) / 2, (high - low) / 2
    for direction in (-1.0, 1.0):
        env.reset(seed=0)
        inside, *_ = env.step(middle + direction * half)
        env.reset(seed=0)
        beyond, *_ = env.step(middle + 9.0 * direction * half)
        assert all(np.array_equal(inside[key], beyond[key]) for key in inside)


@pytest.mark.parametrize("wrong", ["too short", "not a number"])
def test_an_action_that_is_none_is_refused(env: Env, wrong: str) -> None:
    env.reset(seed=0)
    action = env.action_space.low[:-1] if wrong == "too short" else np.full(env.action_space.shape, np.nan)
    with pytest.raises(EnvError, match="action"):
        env.step(action)


def test_an_episode_is_cut_off_after_max_steps(config: Any) -> None:
    env = built(dataclasses.replace(config, max_steps=4))
    assert env.max_steps == 4
    env.reset(seed=0)
    ended = [env.step(action)[3] for action in sweep(env, 4)]
    env.close()
    assert ended == [False, False, False, True]


def test_a_senseless_length_is_refused_by_its_key(config: Any) -> None:
    with pytest.raises(ConfigError, match=r"env\.max_steps"):
        dataclasses.replace(config, max_steps=0)


def test_the_expert_succeeds_within_the_range_of_actions(env: Env) -> None:
    if not has_expert(env):
        with pytest.raises(EnvError, match="no scripted expert"):
            env.expert()
        return
    for number, style in enumerate((None, *env.expert_styles)):
        env.reset(seed=number)
        expert, is_over, info = env.expert(style), False, {"success": False}
        while not is_over:
            action = expert.act()
            assert env.action_space.contains(np.asarray(action, np.float32)), f"{style}: {action}"
            _, _, terminated, truncated, info = env.step(action)
            is_over = terminated or truncated
        assert info["success"], f"style {style}, seed {number}"


def test_an_unknown_style_is_refused(env: Env) -> None:
    env.reset(seed=0)
    with pytest.raises(EnvError):
        env.expert("no_such_style")


def test_its_picture_can_be_a_video_frame(env: Env) -> None:
    env.reset(seed=0)
    try:
        frame = env.render()
    except EnvError as error:
        pytest.skip(str(error))
    assert isinstance(frame, np.ndarray) and frame.dtype == np.uint8
    height, width, channels = frame.shape
    assert channels == 3 and height % 2 == 0 and width % 2 == 0  # what H.264 asks for
    assert frame.std() > 0
