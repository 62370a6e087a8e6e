"""All checks together: stores and foreign files, groups that fit into memory, and real sets."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from recordings import SPEC, arm_episodes, changed

from imitate.datasets.health import copies, finite, outcomes
from imitate.datasets.health.diagnosis import BYTES_PER_NUMBER, diagnose
from imitate.datasets.importing import read_foreign
from imitate.datasets.store import DemoStore
from imitate.types import ArraySpec, Episode

SHARED = Path(__file__).parents[4] / "shared/data"


def stored(path: Path, episodes: list[Episode]) -> DemoStore:
    with DemoStore.create(path, SPEC, "test") as store:
        for episode in episodes:
            store.append(episode)
    return DemoStore.open(path)


def test_a_sound_store(tmp_path: Path) -> None:
    found = diagnose(stored(tmp_path / "demos.zarr", arm_episodes()))
    assert (found.episodes, found.groups) == (12, 1)
    assert [one.check for one in found.findings] == [outcomes.CHECK]


def test_what_does_not_fit_into_memory_is_compared_in_groups_and_copies_across_them(tmp_path: Path) -> None:
    episodes = [*arm_episodes(), replace(arm_episodes()[0], id="again")]
    store = stored(tmp_path / "demos.zarr", episodes)
    four_episodes = 4 * 65 * 11 * BYTES_PER_NUMBER / 2**30
    found = diagnose(store, four_episodes)
    assert found.groups == 4
    assert [one.episodes for one in found.findings if one.check == copies.CHECK] == [("again",)]
    assert len([one for one in found.findings if one.check == outcomes.CHECK]) == 1


def test_nothing_but_nan_is_still_diagnosed(tmp_path: Path) -> None:
    broken = [changed(e, joints=np.full_like(e.obs["joints"], np.nan)) for e in arm_episodes(3)]
    found = diagnose(stored(tmp_path / "demos.zarr", broken))
    assert [(one.check, len(one.episodes)) for one in found.findings] == [(finite.CHECK, 3)]


@pytest.mark.parametrize("steps", [1, 2, 3])
@pytest.mark.parametrize("count", [1, 2, 6])
def test_few_and_short_episodes(tmp_path: Path, steps: int, count: int) -> None:
    episodes = [
        replace(e, obs={k: v[:steps] for k, v in e.obs.items()}, action=e.action[:steps])
        for e in arm_episodes(count)
    ]
    assert diagnose(stored(tmp_path / "demos.zarr", episodes)).episodes == count


def test_images_alone_and_depth_beside_them(tmp_path: Path) -> None:
    obs = {"camera": ArraySpec((8, 8, 3), "uint8"), "depth": ArraySpec((40, 40))}
    rng = np.random.default_rng(0)
    with DemoStore.create(tmp_path / "demos.zarr", replace(SPEC, obs=obs), "test") as store:
        for i, episode in enumerate(arm_episodes(6)):
            images = rng.integers(0, 255, (len(episode), 8, 8, 3)).astype(np.uint8)
            depth = np.ones((len(episode), 40, 40), np.float32)
            depth[3, 4, 5] = np.nan if i == 2 else 1.0
            store.append(replace(episode, obs={"camera": images, "depth": depth}))
    found = diagnose(DemoStore.open(tmp_path / "demos.zarr")).findings
    assert [one.episodes for one in found if one.check == finite.CHECK] == [("e2",)]


REAL = {
    "pusht/pusht_lowdim.npz": [],
    "adroit_door/door_human.npz": ["action[1] after 8.0"],
    "lerobot_v3_so101_from_rosbag/lerobot_dataset_example": ["no number of the action changes"],
    "octo_bridge_rlds/tests/debug_dataset/bridge_dataset/1.0.0": ["image_3 is black or uniform"],
}


@pytest.mark.slow
@pytest.mark.parametrize("name", REAL)
def test_what_is_said_of_real_sets(name: str) -> None:
    if not (SHARED / name).exists():
        pytest.skip("../shared/data is not there")
    found = diagnose(read_foreign(SHARED / name)[0]).findings
    assert not [one for one in found if one.episodes]
    assert all(any(words in one.what for one in found) for words in REAL[name])


@pytest.mark.slow
def test_the_delay_of_a_teleoperated_humanoid_is_reported() -> None:
    """Its action agrees best with its own state 8 frames later, over all joints and fingers together."""
    path = SHARED / "lerobot_v21_g1_inspire"
    if not path.exists():
        pytest.skip("../shared/data is not there")
    [found] = [one for one in diagnose(read_foreign(path)[0]).findings if "follows the action" in one.what]
    steps = float(found.what.split("after ")[1].split(" steps")[0])
    assert (found.severity, found.episodes) == ("notice", ())
    assert steps == pytest.approx(8.0, abs=1.0)
