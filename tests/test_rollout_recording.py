"""Rollouts recorded as a store: what was seen and done, in the order of seeds, and nothing changes by it."""

import multiprocessing
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from line_env import SPEC, LineConfig
from line_policy import LinePolicy

from imitate.datasets.store import DemoStore
from imitate.envs.point_obstacle import PointObstacleConfig
from imitate.errors import DataError, EnvError
from imitate.policies.bc import BehaviourCloningConfig
from imitate.rollout import Rollout, recording, rollout
from imitate.rollout.steps import Steps, read_steps
from imitate.types import ArraySpec, DataSpec

SEEDS = [*range(100_000, 100_009), 99_990]
ENV = LineConfig(max_steps=15)


def policy() -> LinePolicy:
    # The weak gain lets some episodes fail, the noise lets some actions leave their range.
    return LinePolicy(SPEC, gain=0.4, noise=2.0)


def play(path: Path | None, workers: int = 0, env: LineConfig = ENV, seeds: list[int] = SEEDS) -> Rollout:
    if path is None:
        return rollout(policy(), env, seeds, workers=workers, batch=4)
    with recording(path, "rollout of a test", {"why": "test"}) as record:
        return rollout(policy(), env, seeds, workers=workers, batch=4, record=record)


@pytest.fixture(scope="module")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> tuple[Rollout, DemoStore]:
    path = tmp_path_factory.mktemp("recorded") / "rollouts.zarr"
    return play(path), DemoStore.open(path)


@pytest.fixture(autouse=True)
def nothing_stays(tmp_path: Path) -> Iterator[None]:
    yield
    assert multiprocessing.active_children() == []
    assert not [entry for entry in tmp_path.iterdir() if "unfinished" in entry.name]


def test_episodes_are_bitwise_what_they_are_unrecorded(recorded: tuple[Rollout, DemoStore]) -> None:
    assert recorded[0].episodes == play(None).episodes


def test_every_episode_stands_in_the_store_in_the_order_of_seeds(
    recorded: tuple[Rollout, DemoStore],
) -> None:
    done, store = recorded
    assert {episode.success for episode in done.episodes} == {True, False}
    records = [store.record(i) for i in range(len(store))]
    assert [(one.metadata["seed"], one.steps, one.success, one.metadata["score"]) for one in records] == [
        (episode.seed, episode.length, episode.success, episode.score) for episode in done.episodes
    ]
    assert [one.metadata["seed"] for one in records] == SEEDS
    assert {one.source for one in records} == {store.source} == {"rollout of a test"}
    assert (store.spec, store.metadata) == (SPEC, {"why": "test"})


def test_the_recorded_actions_repeat_the_recorded_episode(recorded: tuple[Rollout, DemoStore]) -> None:
    done, store = recorded
    env = ENV.build()
    at_limit = 0
    for episode, result in zip(store.episodes(), done.episodes, strict=True):
        obs, info = env.reset(seed=result.seed)
        for step, action in enumerate(episode.action):
            assert all(np.array_equal(obs[key], episode.obs[key][step]) for key in SPEC.obs)
            obs, _, terminated, truncated, info = env.step(action)
        assert terminated or truncated
        assert info["success"] == result.success
        at_limit += int(np.sum(np.abs(episode.action) == 1.0))
    assert at_limit > 0  # actions beyond the range are recorded as they are executed
    assert np.abs(store.array("action")[:]).max() == 1.0


@pytest.mark.parametrize("workers", [1, 3])
def test_any_number_of_workers_records_the_same(
    workers: int, recorded: tuple[Rollout, DemoStore], tmp_path: Path
) -> None:
    assert play(tmp_path / "r.zarr", workers).episodes == recorded[0].episodes
    assert DemoStore.open(tmp_path / "r.zarr").content_hash() == recorded[1].content_hash()


def test_all_observations_are_recorded_though_the_policy_reads_one(tmp_path: Path) -> None:
    env = PointObstacleConfig(max_steps=20)
    spec = env.build().data_spec
    some = BehaviourCloningConfig(width=16).build(spec.select([next(iter(spec.obs))]))
    with recording(tmp_path / "r.zarr", "rollout of a test") as record:
        rollout(some, env, [7, 8], workers=0, batch=2, record=record)
    store = DemoStore.open(tmp_path / "r.zarr")
    assert len(spec.obs) > 1
    assert (store.spec, len(store)) == (spec, 2)
    store.verify(0)


def test_images_stay_images_and_what_is_seen_is_copied(tmp_path: Path) -> None:
    spec = DataSpec({"camera": ArraySpec((4, 5, 3), "uint8")}, ArraySpec((1,), low=(-1.0,), high=(1.0,)))
    steps, seen = Steps(spec), np.zeros((4, 5, 3), np.uint8)
    steps.see({"camera": seen})
    for value in (0.5, -3.0):
        steps.act(np.array([value]))
        seen += 1
        steps.see({"camera": seen})
    steps.save(tmp_path / "7.npz")
    obs, action = read_steps(tmp_path / "7.npz", spec)
    assert (obs["camera"].dtype, obs["camera"].shape) == (np.uint8, (2, 4, 5, 3))
    assert obs["camera"][:, 0, 0, 0].tolist() == [0, 1]
    assert action.tolist() == [[0.5], [-1.0]]


def test_an_existing_path_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "mine").write_text("mine")
    with pytest.raises(DataError, match=r"mine already exists: .* record="):
        play(tmp_path / "mine")
    assert (tmp_path / "mine").read_text() == "mine"


@pytest.mark.parametrize("trouble", ["raise", "die"])
def test_a_rollout_that_fails_leaves_no_store(trouble: str, tmp_path: Path) -> None:
    with pytest.raises(EnvError):
        play(tmp_path / "r.zarr", 2, LineConfig(trouble=trouble, trouble_seed=SEEDS[5]))
    assert list(tmp_path.iterdir()) == []


def test_an_interruption_after_the_rollout_leaves_no_store(tmp_path: Path) -> None:
    with (
        pytest.raises(KeyboardInterrupt),
        recording(tmp_path / "below" / "r.zarr", "rollout of a test") as record,
    ):
        rollout(policy(), ENV, SEEDS[:2], workers=0, batch=2, record=record)
        raise KeyboardInterrupt
    assert list((tmp_path / "below").iterdir()) == []
