"""What makes rollouts fast changes nothing in them, and leaves nothing behind however they end."""

import multiprocessing
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from line_env import SPEC, LineConfig
from line_policy import LinePolicy
from own_machine import processes_of
from watched_env import WATCHED, WatchedConfig, WatchedEnv, Watcher

from imitate.datasets.store import DemoStore
from imitate.envs.pusht import PushTConfig
from imitate.errors import EnvError
from imitate.rollout import EpisodeResult, recording, rollout
from imitate.rollout.host import HostOrder
from imitate.rollout.shared import SharedObs
from imitate.rollout.workers import Worker, places
from imitate.types import ActionChunk, ArraySpec, DataSpec

SEEDS = list(range(100_000, 100_011))
OBS_STEPS, CHUNK = 3, 4  # of LinePolicy


@pytest.fixture(autouse=True)
def nothing_stays() -> Iterator[None]:
    yield
    assert multiprocessing.active_children() == []
    assert segments(os.getpid()) == []


def segments(pid: int) -> list[str]:
    """Files that hold shared memory of a process."""
    folder = Path("/dev/shm")
    return [path.name for path in folder.glob(f"*{pid}*")] if folder.exists() else []


@pytest.mark.parametrize("batch", [1, 3, 7])
def test_any_width_and_any_number_of_workers_give_the_same_episodes(batch: int) -> None:
    played = [rollout(LinePolicy(SPEC), LineConfig(), SEEDS, workers=w, batch=batch) for w in (0, 1, 2, 3)]
    assert all(done.episodes == played[0].episodes for done in played)
    # The same calls, too: how long things take has no say in what the policy is asked.
    assert {done.timing.policy_calls for done in played} == {played[0].timing.policy_calls}


@pytest.mark.parametrize("batch", [1, 2, 5])
def test_two_episodes_in_a_row_at_once_are_those_that_each_is_alone(batch: int) -> None:
    together = rollout(LinePolicy(SPEC), LineConfig(), SEEDS, workers=0, batch=batch).episodes
    alone = [rollout(LinePolicy(SPEC), LineConfig(), [s], workers=0, batch=batch).episodes[0] for s in SEEDS]
    assert list(together) == alone


def test_the_last_episodes_share_calls() -> None:
    """Rows of one, three and five episodes of the same length need about as many calls as the longest."""
    batch, chunks = 3, 3
    seeds = [0, *(1 + batch * k for k in range(3)), *(2 + batch * k for k in range(5))]
    env, policy = LineConfig(max_steps=CHUNK * chunks), LinePolicy(SPEC, gain=0.0, noise=0.0)
    done = rollout(policy, env, seeds, workers=0, batch=batch)
    assert {episode.length for episode in done.episodes} == {env.max_steps}
    assert done.timing.policy_calls <= (5 + 1) * chunks


def pictures_of(episode: EpisodeResult) -> int:
    """The first observation, then the last To of every chunk; none of those that a chunk begins with."""
    whole, rest = divmod(episode.length, CHUNK)
    return 1 + whole * OBS_STEPS + max(0, rest - (CHUNK - OBS_STEPS))


@pytest.fixture
def counted() -> Iterator[type[WatchedEnv]]:
    WatchedEnv.pictures = 0
    yield WatchedEnv


def test_only_what_the_policy_sees_is_drawn(counted: type[WatchedEnv]) -> None:
    done = rollout(Watcher(WATCHED), WatchedConfig(), SEEDS, workers=0, batch=4)
    assert counted.pictures == sum(map(pictures_of, done.episodes))
    assert counted.pictures < 0.9 * done.timing.env_steps


def test_nothing_is_drawn_for_a_policy_that_reads_no_image(counted: type[WatchedEnv]) -> None:
    rollout(LinePolicy(WATCHED.select(["position", "velocity"])), WatchedConfig(), SEEDS, workers=0, batch=4)
    assert counted.pictures == 0


@pytest.mark.parametrize("workers", [0, 2])
def test_the_policy_sees_the_pictures_of_an_environment_that_always_draws(workers: int) -> None:
    class Drawing(WatchedEnv):
        shows_images = property(lambda self: True, lambda self, value: None)  # type: ignore[assignment]

    class DrawingConfig(WatchedConfig):
        def build(self) -> WatchedEnv:
            return Drawing(self)

    some = rollout(Watcher(WATCHED), WatchedConfig(), SEEDS, workers=workers, batch=4).episodes
    always = rollout(Watcher(WATCHED), DrawingConfig(), SEEDS, workers=0, batch=4).episodes
    blind = LinePolicy(WATCHED.select(["position", "velocity"]))
    assert some == always != rollout(blind, WatchedConfig(), SEEDS, workers=0, batch=4).episodes


def test_a_recording_holds_every_picture(tmp_path: Path, counted: type[WatchedEnv]) -> None:
    plain = rollout(Watcher(WATCHED), WatchedConfig(), SEEDS, workers=0, batch=4).episodes
    counted.pictures = 0
    with recording(tmp_path / "seen.zarr", "a test") as record:
        done = rollout(Watcher(WATCHED), WatchedConfig(), SEEDS, workers=0, batch=4, record=record)
    assert done.episodes == plain
    assert counted.pictures == sum(1 + episode.length for episode in plain)
    store = DemoStore.open(tmp_path / "seen.zarr")
    for number, episode in enumerate(plain):
        seen = store.episode(number).obs["camera"]
        assert seen[:, 0, 0, 0].tolist() == list(range(episode.length))


class PictureTaker(LinePolicy):
    """Pushes along a diagonal, and keeps every picture it is shown."""

    def predict(self, obs, generator):
        self.taken = [*getattr(self, "taken", []), obs["img"].clone()]
        return ActionChunk(obs["state"][:, -1:, :2] + torch.linspace(0, 60, CHUNK)[:, None])


def test_real_pictures_come_through_shared_memory_unchanged() -> None:
    pytest.importorskip("gym_pusht")
    env = PushTConfig(image=True, max_steps=8)
    policies = {workers: PictureTaker(env.build().data_spec) for workers in (0, 2)}
    for workers, policy in policies.items():
        rollout(policy, env, SEEDS[:5], workers=workers, batch=3)
    here, there = (policy.taken for policy in policies.values())
    assert len(here) == 4 and all(torch.equal(one, other) for one, other in zip(here, there, strict=True))
    assert here[0].shape == (3, OBS_STEPS, 96, 96, 3)
    # Two of the steps of a chunk are among the last three, so what moves must be seen to move.
    assert not torch.equal(here[2][:, 0], here[2][:, -1])


def order(config: LineConfig, batch: int = 4) -> HostOrder:
    queues = {row: [seed for seed in SEEDS if seed % batch == row] for row in range(batch)}
    return HostOrder(config, queues, batch, SPEC, OBS_STEPS, SharedObs.of(SPEC, 2 * batch, OBS_STEPS))


class Flat(WatchedEnv):
    """Says that it shows pictures, and shows their pixels in a row."""

    def _obs(self):
        return {key: value.ravel() for key, value in super()._obs().items()}


class FlatConfig(WatchedConfig):
    def build(self) -> WatchedEnv:
        return Flat(self)


def test_an_observation_of_another_shape_is_not_made_to_fit() -> None:
    with pytest.raises(EnvError, match=r"'camera' has shape \(72,\), expected \(4, 6, 3\)"):
        rollout(Watcher(WATCHED), FlatConfig(), SEEDS, workers=0, batch=4)


def test_no_worker_has_much_more_to_play_than_another() -> None:
    long, short = [1, 5, 9, 13], [0]
    queues = {0: short, 1: long, 2: [2], 3: [3, 7, 11, 15]}
    uneven = HostOrder(LineConfig(), queues, 4, SPEC, OBS_STEPS, SharedObs.of(SPEC, 8, OBS_STEPS))
    with places(uneven, 2) as opened:
        assert sorted(sum(len(queues[row]) for row in place.rows) for place in opened) == [5, 5]


@pytest.mark.parametrize("shape", [(1,), (5,), (5, 7, 3)])
def test_shared_memory_is_as_large_as_what_it_holds(shape: tuple[int, ...]) -> None:
    spec = DataSpec({"x": ArraySpec(shape), "y": ArraySpec((2,), dtype="float64")}, SPEC.action)
    opened, again = (SharedObs.of(spec, 6, 2).open() for _ in range(2))
    opened["x"][:] = 1
    assert opened["x"].shape == (6, 2, *shape)
    assert opened["y"].dtype == np.float64 and not opened["y"].any() and not again["x"].any()


def test_what_a_worker_says_before_it_leaves_is_not_lost() -> None:
    """It is sent more while it fails, and has left when that is noticed."""
    worker = Worker(order(LineConfig(trouble="raise", trouble_seed=SEEDS[0])))
    try:
        worker.begin()
        reports = worker.receive() | worker.receive()
        actions = np.zeros((4, 1), np.float32)
        worker.send(dict.fromkeys(reports, actions))
        worker._process.join(30)
        with pytest.raises(EnvError, match=f"seed {SEEDS[0]}: RuntimeError: the belt is off"):
            for _ in range(3):
                worker.send(dict.fromkeys(reports, actions))
    finally:
        worker.close()


def test_a_worker_killed_half_way_is_one_clear_error() -> None:
    policy = LinePolicy(SPEC, gain=0.0, noise=0.0)
    episodes = rollout(policy, LineConfig(), SEEDS, workers=0, batch=3).episodes
    longest = max(episodes, key=lambda episode: episode.length)
    assert longest.length > 4 * CHUNK
    env = LineConfig(trouble="die", trouble_seed=longest.seed, trouble_step=longest.length // 2)
    message = r"a rollout worker died \(signal 9\) while it played rows \[.*fewer workers"
    with pytest.raises(EnvError, match=message):
        rollout(policy, env, SEEDS, workers=2, batch=3)


def test_rollouts_again_and_again_hold_no_more_memory() -> None:
    def held() -> int:
        lines = Path("/proc/self/maps").read_text().splitlines()
        return sum("pym-" in line for line in lines)

    if not Path("/proc/self/maps").exists():
        pytest.skip("the system does not say what memory a process holds")
    counts = []
    for _ in range(6):
        rollout(LinePolicy(SPEC), LineConfig(), SEEDS[:2], workers=1, batch=2)
        counts.append(held())
    assert counts[-1] == counts[1]


class SlowPolicy(LinePolicy):
    def predict(self, obs, generator):
        time.sleep(0.04)
        return super().predict(obs, generator)


def test_environments_go_on_while_a_slow_policy_thinks() -> None:
    """In turn both sides would take the sum of their times; at the same time, hardly more than one."""
    env, policy = (
        WatchedConfig(max_steps=24, camera=False, step_s=0.005),
        SlowPolicy(SPEC, gain=0.0, noise=0.0),
    )
    shares = []
    for _ in range(3):  # a busy machine may spoil a try
        timing = rollout(policy, env, range(24), workers=2, batch=4).timing
        in_turn = timing.policy_s + timing.env_steps * env.step_s / 2
        shares.append((timing.policy_s + timing.env_s) / in_turn)
        if shares[-1] < 0.75:
            return
    raise AssertionError(f"playing took {shares} of the time that taking turns would")


ENDLESS = """
import line_policy, watched_env
from imitate.rollout import rollout
policy = line_policy.LinePolicy(watched_env.SPEC, gain=0.0)
config = watched_env.WatchedConfig(max_steps=10**6, camera=False, step_s=0.01)
class Telling(line_policy.LinePolicy):
    def predict(self, obs, generator):
        print("playing", flush=True)
        return super().predict(obs, generator)
rollout(Telling(watched_env.SPEC, gain=0.0), config, range(8), workers=2, batch=2)
"""


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc").exists(), reason="needs /proc to find processes")
@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_nothing_outlives_a_rollout_that_is_ended_from_outside(how: signal.Signals) -> None:
    path = os.pathsep.join([str(Path(__file__).parent / "stand_ins"), *sys.path])
    process = subprocess.Popen(
        [sys.executable, "-c", ENDLESS],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env={**os.environ, "PYTHONPATH": path},
        start_new_session=True,
        text=True,
    )
    assert process.stdout
    for _ in range(3):
        assert process.stdout.readline() == "playing\n"
    family = processes_of(process.pid)
    assert len(family) >= 4  # it, the fork server, two workers
    if how is signal.SIGINT:
        os.killpg(process.pid, how)  # as a terminal does
    else:
        process.send_signal(how)
    process.wait(30)
    until = time.monotonic() + 30
    while processes_of(process.pid) and time.monotonic() < until:
        time.sleep(0.1)
    assert processes_of(process.pid) == []
    assert [left for pid in family for left in segments(pid)] == []
