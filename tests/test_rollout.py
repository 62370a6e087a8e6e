"""Rollouts: the same episodes whatever the workers, and clear ends when something breaks."""

import dataclasses
import multiprocessing
import os
import signal
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import torch
from dying_line import DyingLineConfig
from line_env import SPEC, LineConfig
from line_policy import LinePolicy

from imitate.envs.point_obstacle import PointObstacleConfig
from imitate.errors import ConfigError, EnvError, MissingExtraError, SpecError
from imitate.execution import ExecutionConfig, require_rest
from imitate.history import PLAN
from imitate.policies.bc import BehaviourCloningConfig
from imitate.rollout import EpisodeResult, rollout
from imitate.types import ArraySpec

SEEDS = list(range(100_000, 100_011))


def play(workers: int, seeds: list[int] = SEEDS, **settings) -> tuple[EpisodeResult, ...]:
    policy = LinePolicy(SPEC)
    return rollout(policy, LineConfig(), seeds, workers=workers, batch=4, **settings).episodes


@pytest.fixture(scope="module")
def in_process() -> tuple[EpisodeResult, ...]:
    return play(0)


@pytest.fixture(autouse=True)
def no_process_stays() -> Iterator[None]:
    yield
    assert multiprocessing.active_children() == []


@pytest.mark.parametrize("workers", [1, 2, 3, 9])
def test_any_number_of_workers_gives_the_same_episodes(workers: int, in_process: tuple) -> None:
    assert play(workers) == in_process


def test_a_real_policy_sees_the_same_from_a_real_environment() -> None:
    env = PointObstacleConfig(max_steps=40)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        policy = BehaviourCloningConfig(head="gmm", width=64, act_std=0.3).build(env.build().data_spec)
    played = {}
    for workers in (0, 2, 3):
        seen: list[torch.Tensor] = []
        hook = policy.normalizer.state.register_forward_hook(
            lambda _, __, vectors, seen=seen: seen.append(vectors)
        )
        episodes = rollout(policy, env, SEEDS, workers=workers, batch=5).episodes
        hook.remove()
        played[workers] = (episodes, torch.stack(seen))
    assert played[0][0] == played[2][0] == played[3][0]
    assert torch.equal(played[0][1], played[2][1])
    assert torch.equal(played[0][1], played[3][1])
    assert (played[0][1][0] != played[0][1][1]).any()


def test_the_stand_ins_can_tell_a_difference(in_process: tuple) -> None:
    lengths = {episode.length for episode in in_process}
    assert len(lengths) > 3
    assert {episode.success for episode in in_process} == {True}
    assert in_process != play(0, execution=ExecutionConfig(action_steps=1))


def test_an_episode_repeats_bitwise_alone_and_in_any_company(in_process: tuple) -> None:
    by_seed = {episode.seed: episode for episode in in_process}
    assert play(0, [SEEDS[6]]) == (by_seed[SEEDS[6]],)
    assert play(0, SEEDS[::-3]) == tuple(by_seed[seed] for seed in SEEDS[::-3])


def test_results_agree_with_stepping_the_environment_by_hand(in_process: tuple) -> None:
    policy, env, seed = LinePolicy(SPEC).eval(), LineConfig().build(), SEEDS[2]
    obs, info = env.reset(seed=seed)
    past, generator = [obs] * 3, torch.Generator().manual_seed(seed)
    total, length, done, first = 0.0, 0, False, None
    while not done:
        rows = {key: torch.from_numpy(np.stack([np.stack([o[key] for o in past[-3:]])] * 4)) for key in obs}
        generators = [torch.Generator(), torch.Generator(), generator, torch.Generator()]
        assert seed % 4 == 2
        with torch.inference_mode():
            chunk = policy.predict(rows, generators).values[2].numpy()
        for action in chunk:
            obs, reward, terminated, truncated, info = env.step(action)
            past.append(obs)
            total, length, done = total + reward, length + 1, terminated or truncated
            first = length if info["success"] and first is None else first
            if done:
                break
    found = in_process[2]
    assert found == dataclasses.replace(
        EpisodeResult(seed, info["success"], info["score"], length, total, first),
        smoothness=found.smoothness,
        violations=found.violations,
        final_obs={key: tuple(value.astype(float).tolist()) for key, value in obs.items()},
    )


def test_temporal_ensembling_asks_every_step() -> None:
    policy, config = LinePolicy(SPEC), ExecutionConfig("ensemble")
    done = rollout(policy, LineConfig(), SEEDS[:1], workers=0, batch=2, execution=config)
    assert done.timing.policy_calls == done.episodes[0].length


def test_timing_and_facts() -> None:
    done = rollout(LinePolicy(SPEC), LineConfig(), SEEDS, workers=0, batch=4)
    assert done.timing.env_steps == sum(episode.length for episode in done.episodes)
    assert 0 < done.timing.env_s + done.timing.policy_s <= done.timing.wall_s
    assert (done.env.spec, done.env.max_steps, done.env.score_name) == (SPEC, 30, "nearness")
    assert done.success_rate == np.mean([episode.success for episode in done.episodes])


def test_a_policy_in_training_goes_back_to_training() -> None:
    policy = LinePolicy(SPEC).train()
    rollout(policy, LineConfig(), SEEDS[:1], workers=0)
    assert policy.training


def test_only_the_observations_that_the_policy_reads_are_taken() -> None:
    seen = []

    class Reader(LinePolicy):
        def predict(self, obs, generator):
            seen.append({key: tuple(value.shape) for key, value in obs.items()})
            return super().predict({**obs, "velocity": torch.zeros(4, 3, 2)}, generator)

    rollout(Reader(SPEC.select(["position"])), LineConfig(), SEEDS[:1], workers=0, batch=4)
    assert seen[0] == {"position": (4, 3, 1)}


@pytest.mark.parametrize("workers", [0, 2])
def test_an_environment_that_does_not_fit_is_refused(workers: int) -> None:
    wider = dataclasses.replace(SPEC, obs={**SPEC.obs, "force": ArraySpec((2,))})
    with pytest.raises(SpecError, match="LineEnv: observation 'force' is missing"):
        rollout(LinePolicy(wider), LineConfig(), SEEDS, workers=workers)


@pytest.mark.parametrize("workers", [0, 2])
def test_a_failing_environment_names_seed_and_reason(workers: int) -> None:
    env = LineConfig(trouble="raise", trouble_seed=SEEDS[5])
    with pytest.raises(EnvError, match=rf"LineEnv failed in the episode of seed {SEEDS[5]}.*the belt is off"):
        rollout(LinePolicy(SPEC), env, SEEDS, workers=workers, batch=4)


def test_workers_that_fail_later_have_nothing_to_add(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    env = DyingLineConfig(graves=str(tmp_path), how="absent")
    with pytest.raises(MissingExtraError, match="line is not installed"):
        rollout(LinePolicy(SPEC), env, SEEDS, workers=3)
    assert capfd.readouterr().err == ""


def test_an_environment_that_never_ends_is_stopped() -> None:
    env = LineConfig(trouble="endless", trouble_seed=0, max_steps=5)
    with pytest.raises(EnvError, match="no end after max_steps=5"):
        rollout(LinePolicy(SPEC, gain=0.0), env, SEEDS, workers=0)


def test_an_action_that_is_not_finite_is_never_executed() -> None:
    with pytest.raises(EnvError, match=f"seed {SEEDS[0]} is not finite"):
        rollout(LinePolicy(SPEC, gain=float("nan")), LineConfig(), SEEDS[:1], workers=0)


def test_a_killed_worker_is_an_error_and_not_a_hang() -> None:
    env = LineConfig(trouble="die", trouble_seed=SEEDS[5])
    began = time.monotonic()
    with pytest.raises(EnvError, match=r"worker died \(signal 9\)"):
        rollout(LinePolicy(SPEC), env, SEEDS, workers=3, batch=4)
    assert time.monotonic() - began < 30


def test_ctrl_c_ends_all_workers() -> None:
    env = LineConfig(trouble="sleep", trouble_seed=SEEDS[0])
    timer = threading.Timer(2.0, os.kill, (os.getpid(), signal.SIGINT))
    timer.start()
    with pytest.raises(KeyboardInterrupt):
        rollout(LinePolicy(SPEC), env, SEEDS, workers=2, batch=4)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"seeds": []}, "no seeds"),
        ({"seeds": [1, 1]}, "repeat"),
        ({"workers": -1}, "rollout.workers is -1"),
        ({"batch": 0}, "rollout.batch is 0"),
    ],
)
def test_wrong_settings_are_named(settings: dict, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        rollout(LinePolicy(SPEC), LineConfig(), **{"seeds": [1], **settings})


@dataclass(frozen=True)
class Frames:
    """Counts frames per seed, in this process."""

    kept: dict

    def open(self, seed: int, rate_hz: float | None) -> "Frames":
        self.kept["open"] = self.kept.get("open", 0) + 1
        assert rate_hz == 10.0
        return Frames(self.kept.setdefault(seed, {}))

    def add(self, frame: np.ndarray) -> None:
        self.kept["frames"] = self.kept.get("frames", 0) + 1

    def close(self) -> None:
        self.kept["closed"] = True


def test_chosen_episodes_are_recorded_from_reset_to_end(in_process: tuple) -> None:
    frames = Frames({})
    assert play(0, recorder=frames, video_seeds=SEEDS[1:3]) == in_process
    assert frames.kept.pop("open") == 2
    assert frames.kept == {
        episode.seed: {"frames": episode.length + 1, "closed": True} for episode in in_process[1:3]
    }


class GoingOn(LinePolicy):
    """Counts its steps: every action is one more than the last one planned for that moment."""

    plan_steps = 4

    def __init__(self) -> None:
        super().__init__(SPEC)
        self.told: list[torch.Tensor] = []

    def predict(self, obs, generator):  # type: ignore[no-untyped-def]
        chunk = super().predict(obs, generator)
        self.told.append(obs[PLAN].clone())
        chunk.values = torch.arange(len(self.told) * 10.0, len(self.told) * 10.0 + 4)[None, :, None].expand(
            len(chunk.values), 4, SPEC.action.size
        )
        return chunk


@pytest.mark.parametrize(
    ("execution", "left"),
    [
        (ExecutionConfig(action_steps=3), [13.0, None, None, None]),
        (ExecutionConfig(action_steps=1), [11.0, 12.0, 13.0, None]),
        (ExecutionConfig("ensemble"), [11.0, 12.0, 13.0, None]),
    ],
)
def test_a_policy_that_goes_on_is_told_what_it_planned(execution: ExecutionConfig, left: list) -> None:
    policy = GoingOn()
    rollout(policy, LineConfig(), SEEDS[:1], workers=0, batch=1, execution=execution)
    assert policy.told[0].isnan().all(), "an episode begins with no plan"
    second = [None if step.isnan() else step.item() for step in policy.told[1][0, :, 0]]
    assert second == left


@pytest.mark.parametrize("execution", [ExecutionConfig(), ExecutionConfig(action_steps=4)])
def test_a_plan_that_is_executed_whole_leaves_nothing_to_go_on_with(execution: ExecutionConfig) -> None:
    with pytest.raises(ConfigError, match="all 4 steps of policy"):
        require_rest(execution, 4)
    require_rest(execution, 0)
    require_rest(ExecutionConfig("ensemble"), 4)
