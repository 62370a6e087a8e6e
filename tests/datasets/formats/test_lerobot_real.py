"""Real LeRobot datasets: an SO-101 arm (3.0, AV1 video) and a Unitree G1 (2.1, most videos missing)."""

import dataclasses
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("pyarrow", reason="the extra lerobot-data is not installed")

import av
import pyarrow.parquet as pq

from imitate.datasets.formats import PLAIN
from imitate.datasets.formats.lerobot import FORMAT
from imitate.datasets.formats.lerobot_episodes import Stretch
from imitate.datasets.formats.lerobot_reading import LeRobotFolder
from imitate.datasets.importing import import_file
from imitate.datasets.store import DemoStore

SHARED = Path(__file__).parents[4] / "shared/data"
SO101, G1 = SHARED / "lerobot_v3_so101_from_rosbag", SHARED / "lerobot_v21_g1_inspire"
needs_so101 = pytest.mark.skipif(not SO101.exists(), reason="../shared/data has no SO-101 set")
needs_g1 = pytest.mark.skipif(not G1.exists(), reason="../shared/data has no G1 set")


def read(path: Path) -> LeRobotFolder:
    found = FORMAT.read(path, PLAIN)
    assert isinstance(found, LeRobotFolder)
    return found


@needs_so101
def test_so101_episodes_share_one_video(tmp_path: Path) -> None:
    """Frames are those that a decoder of the whole file gives at the episodes' places."""
    foreign = read(SO101)
    assert len(foreign) == 6
    assert foreign.spec.rate_hz == 30.0
    assert foreign.spec.obs["wrist"].shape == (360, 640, 3)
    assert foreign.spec.action.names == ("j0", "j1", "j2", "j3", "j4", "j5")
    assert foreign.spec.action.units == ()
    [root] = SO101.glob("*/meta")
    rows = pq.read_table(root.parent / "data/chunk-000/file-000.parquet", columns=["action"])
    actions = np.array(rows.column("action").to_pylist(), np.float32)
    expected = dict(frames(next(root.parent.rglob("*.mp4")), {0, 382, 383, 768}))
    first, second = (episode for _, episode in zip(range(2), foreign.episodes(), strict=False))
    np.testing.assert_array_equal(first.action, actions[:383])
    np.testing.assert_array_equal(second.action, actions[383:769])
    for episode, step, frame in ((first, 0, 0), (first, -1, 382), (second, 0, 383), (second, -1, 768)):
        np.testing.assert_array_equal(episode.obs["wrist"][step], expected[frame])
    assert first.metadata["task"] == "pick and place"
    assert first.metadata["timing"]["gap_count"] == 0


def frames(path: Path, wanted: set[int]) -> list[tuple[int, np.ndarray]]:
    with av.open(str(path)) as container:
        decoded = zip(range(max(wanted) + 1), container.decode(video=0), strict=False)
        return [(number, frame.to_ndarray(format="rgb24")) for number, frame in decoded if number in wanted]


@needs_g1
@pytest.mark.slow
def test_g1_keeps_all_episodes_and_says_what_is_missing(tmp_path: Path) -> None:
    report = import_file(G1, tmp_path / "g1.zarr")
    assert (report.episodes, report.steps) == (100, 35_965)
    assert len(report.left_out) == 1
    assert "'observation.images.cam_high' of all 100 episodes: the videos of 97 of them" in report.left_out[0]
    store = DemoStore.open(report.out)
    assert set(store.spec.obs) == {"state"}
    assert store.spec.action.names[0] == "kLeftShoulderPitch"
    assert store.record(3).metadata["task"] == "Pick up the yellow bottle on the table."
    rows = pq.read_table(G1 / "data/chunk-000/episode_000003.parquet")
    state = np.array(rows.column("observation.state").to_pylist(), np.float32)
    np.testing.assert_array_equal(store.episode(3).obs["state"], state)


@needs_g1
def test_g1_videos_that_are_there_fit_their_rows() -> None:
    """The three episodes whose AV1 videos are there, read with the camera."""
    [key] = [key for key in read(G1).info.features if key.startswith("observation.images.")]
    whole = read(G1)
    there = [e for e in whole.entries if whole.info.video_file(key, **numbers(e.index)).is_file()]
    assert [entry.index for entry in there] == [1, 2, 4]
    entry = there[1]
    stretch = Stretch(whole.info.video_file(key, **numbers(entry.index)))
    keys = {**whole.keys, "cam_high": whole.info.features[key]}
    one = dataclasses.replace(whole, entries=(dataclasses.replace(entry, videos={key: stretch}),), keys=keys)
    [episode] = one.episodes()
    assert episode.obs["cam_high"].shape == (343, 480, 640, 3)
    assert one.left_out == whole.left_out


def numbers(index: int) -> dict[str, int]:
    return {"episode_chunk": 0, "episode_index": index}
