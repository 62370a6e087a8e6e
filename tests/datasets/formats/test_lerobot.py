"""LeRobot datasets come in whole: numbers, pictures at their steps, tasks and success; the rest is said."""

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("pyarrow", reason="the extra lerobot-data is not installed")

import pyarrow as pa
import pyarrow.parquet as pq
import small_lerobot as small
from hypothesis import given
from hypothesis import strategies as st
from small_lerobot import HAND, LENGTHS, TOP, Info, write_v3, write_v21

from imitate.datasets.formats import format_of
from imitate.datasets.formats.lerobot import FORMAT
from imitate.datasets.formats.lerobot_features import names_of
from imitate.datasets.formats.lerobot_info import flat_names
from imitate.datasets.importing import import_file
from imitate.datasets.opening import open_store
from imitate.datasets.store import NAME, DemoStore
from imitate.datasets.timing import timing
from imitate.errors import DataError

WRITERS = pytest.mark.parametrize("write", [write_v21, write_v3], ids=["v2.1", "v3.0"])


def imported(path: Path) -> tuple[DemoStore, str]:
    report = import_file(path, path.with_suffix(".zarr"))
    return DemoStore.open(report.out), "; ".join(report.left_out)


def require_levels(images: np.ndarray, episode: int) -> None:
    """Video is lossy: an even grey comes back within 2 of 255, and neighbours are 12 apart."""
    assert images.dtype == np.uint8
    for step, image in enumerate(images):
        assert np.abs(image.astype(int) - small.grey(episode, step)).max() <= 2, (episode, step)


@WRITERS
def test_all_that_a_dataset_holds(write: Any, tmp_path: Path) -> None:
    store, said = imported(write(tmp_path / "set"))
    assert len(store) == 3
    assert set(store.spec.obs) == {"state", "top", "hand"}
    assert store.spec.obs["state"].names == store.spec.action.names == ("x", "y")
    assert store.spec.obs["state"].units == ()
    assert store.spec.rate_hz == 10.0
    assert store.source == "LeRobot, pointer, set"
    assert store.metadata["lerobot"]["keys"]["top"] == TOP
    for episode, length in enumerate(LENGTHS):
        found = store.episode(episode)
        assert (found.id, len(found)) == (f"episode_{episode:06d}", length)
        assert found.success is small.SUCCESS_OF[episode]
        rows = small.rows_of(episode)
        np.testing.assert_array_equal(found.obs["state"], rows["observation.state"])
        np.testing.assert_array_equal(found.action, rows["action"])
        np.testing.assert_array_equal(
            found.obs["hand"], [small.hand(episode, step) for step in range(length)]
        )
        require_levels(found.obs["top"], episode)
        assert found.metadata["task"] == small.TASKS[small.TASK_OF[episode]]
        assert found.metadata["timing"] == timing(rows["timestamp"].astype(float), 10.0)
    assert said == "features that are no observations: next.reward, next.done"


@pytest.mark.parametrize("codec", ["libsvtav1", "libx265"])
def test_videos_of_other_codecs(codec: str, tmp_path: Path) -> None:
    store, _ = imported(write_v3(tmp_path / "set", codec=codec))
    for episode in range(len(LENGTHS)):
        require_levels(store.episode(episode).obs["top"], episode)


def test_the_folder_is_found_in_the_folder_that_was_unpacked(tmp_path: Path) -> None:
    write_v21(tmp_path / "outer/set")
    assert format_of(tmp_path / "outer") is FORMAT
    assert len(FORMAT.read(tmp_path / "outer", None)) == 3  # type: ignore[arg-type]


def test_opening_says_to_import(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="imitate import src="):
        open_store(write_v3(tmp_path / "set"))


def test_a_camera_whose_videos_are_missing_is_left_out_and_said(tmp_path: Path) -> None:
    path = write_v21(tmp_path / "set")
    (path / f"videos/chunk-000/{TOP}/episode_000001.mp4").unlink()
    store, said = imported(path)
    assert set(store.spec.obs) == {"state", "hand"}
    assert len(store) == 3
    assert f"camera {TOP!r} of all 3 episodes: the videos of 1 of them are missing" in said


def test_nothing_is_left_to_learn_from(tmp_path: Path) -> None:
    def only_video(info: Info) -> None:
        del info["features"]["observation.state"], info["features"][HAND]

    path = write_v3(tmp_path / "set", only_video)
    shutil.rmtree(path / "videos")
    with pytest.raises(DataError, match=r"no observation is left.*videos of 3 of them are missing"):
        import_file(path, tmp_path / "out.zarr")


def test_frames_that_belong_to_no_step_are_said(tmp_path: Path) -> None:
    path = write_v3(tmp_path / "set")
    levels = [small.grey(e, s) for e, length in enumerate(LENGTHS) for s in range(length)]
    small.write_video(path / f"videos/{TOP}/chunk-000/file-000.mp4", [*levels, 0, 0, 0])
    store, said = imported(path)
    require_levels(store.episode(2).obs["top"], 2)
    assert f"3 video frames of {TOP!r} that belong to no step" in said


def test_jittery_stamps_are_measured_and_frames_stay_with_their_steps(tmp_path: Path) -> None:
    path = write_v21(tmp_path / "set")
    rows = small.rows_of(1)
    rows["timestamp"] = rows["timestamp"] + np.array([0, 0.02, 0, 0, 0.03, 0, 0, 0], np.float32)
    small.write_rows(path / "data/chunk-000/episode_000001.parquet", [rows])
    store, said = imported(path)
    require_levels(store.episode(1).obs["top"], 1)
    assert store.record(1).metadata["timing"]["jitter_s"] == pytest.approx(0.0193, abs=1e-3)
    assert f"times of the video frames of {TOP!r}, up to 0.0300 s from their steps'" in said


def test_a_task_that_changes_within_an_episode(tmp_path: Path) -> None:
    path = write_v21(tmp_path / "set")
    rows = small.rows_of(0)
    rows["task_index"] = np.array([0, 0, 1, 1, 1])
    small.write_rows(path / "data/chunk-000/episode_000000.parquet", [rows])
    store, _ = imported(path)
    assert store.record(0).metadata["task"] == small.TASKS[0]
    assert store.record(0).metadata["tasks"] == [[0, small.TASKS[0]], [2, small.TASKS[1]]]


def test_sets_without_names_of_lerobot(tmp_path: Path) -> None:
    """Some writers call their features state, image and actions."""
    path = write_v21(tmp_path / "set")
    short = {"observation.state": "state", "action": "actions", HAND: "wrist_image"}
    for file in path.glob("data/*/*.parquet"):
        table = pq.read_table(file)
        pq.write_table(table.rename_columns([short.get(n, n) for n in table.column_names]), file)
    info = json.loads((path / "meta/info.json").read_text())
    info["features"] = {short.get(key, key): value for key, value in info["features"].items() if key != TOP}
    (path / "meta/info.json").write_text(json.dumps(info))
    store, _ = imported(path)
    assert set(store.spec.obs) == {"state", "wrist_image"}
    np.testing.assert_array_equal(store.episode(2).action, small.rows_of(2)["action"])


def test_arrays_of_more_dimensions_and_whole_numbers(tmp_path: Path) -> None:
    def add(info: Info) -> None:
        info["features"]["observation.grid"] = {"dtype": "int16", "shape": [2, 3], "names": None}

    path = write_v21(tmp_path / "set", add)
    for episode, length in enumerate(LENGTHS):
        file = path / f"data/chunk-000/episode_{episode:06d}.parquet"
        table = pq.read_table(file)
        grid = np.arange(6 * length, dtype=np.int16).reshape(length, 2, 3)
        pq.write_table(table.append_column("observation.grid", pa.array(grid.tolist())), file)
    store, _ = imported(path)
    assert store.spec.obs["grid"].dtype == "int16"
    np.testing.assert_array_equal(store.episode(1).obs["grid"], np.arange(48).reshape(8, 2, 3))


def test_what_cannot_be_an_array_is_said(tmp_path: Path) -> None:
    def add(info: Info) -> None:
        features = info["features"]
        features["observation.note"] = {"dtype": "string", "shape": [1], "names": None}
        features["observation.depth"] = {"dtype": "image", "shape": [5, 7, 1], "names": None}
        features["observation.state"]["names"] = ["x", "y", "z"]

    store, said = imported(write_v21(tmp_path / "set", add))
    assert store.spec.obs["state"].names == ()
    assert "feature 'observation.note': its dtype is string" in said
    assert "feature 'observation.depth': it is no colour camera (shape [5, 7, 1])" in said
    assert "names of the elements of 'observation.state': 3 for 2" in said


@pytest.mark.parametrize("names", [["channels", "height", "width"], None])
def test_a_camera_that_is_described_channels_first(names: list[str] | None, tmp_path: Path) -> None:
    def turn(info: Info) -> None:
        info["features"][TOP] |= {"shape": [3, *small.TOP_SIZE], "names": names}

    store, _ = imported(write_v3(tmp_path / "set", turn))
    assert store.spec.obs["top"].shape == (*small.TOP_SIZE, 3)


def test_success_in_the_metadata_of_episodes(tmp_path: Path) -> None:
    path = write_v3(tmp_path / "set")
    file = path / "meta/episodes/chunk-000/file-000.parquet"
    table = pq.read_table(file)
    pq.write_table(table.append_column("success", pa.array([False, None, True])), file)
    store, _ = imported(path)
    assert [store.record(i).success for i in range(3)] == [False, False, True]


def test_an_episode_that_only_ended_was_not_judged(tmp_path: Path) -> None:
    path = write_v21(tmp_path / "set", lambda info: info["features"].pop("next.success"))
    for file in path.glob("data/*/*.parquet"):
        pq.write_table(pq.read_table(file).drop_columns("next.success"), file)
    store, _ = imported(path)
    assert [store.record(i).success for i in range(3)] == [None, None, None]


@pytest.mark.parametrize(
    ("written", "names"),
    [
        (["a", "b"], ("a", "b")),
        ([["a", "b"]], ("a", "b")),
        ({"motors": ["a", "b"]}, ("a", "b")),
        ({"left": ["a"], "right": {"motors": ["b"]}}, ("a", "b")),
        ({"b": 1, "a": 0}, ("a", "b")),
        (None, ()),
        (7, ()),
    ],
)
def test_element_names_however_they_are_written(written: Any, names: tuple[str, ...]) -> None:
    assert flat_names(written) == names


def test_names_are_short_where_that_is_unambiguous() -> None:
    assert names_of(("observation.state", "observation.images.wrist")) == {
        "observation.state": "state",
        "observation.images.wrist": "wrist",
    }
    assert names_of(("observation.images.a", "observation.a")) == {
        "observation.images.a": "observation.images.a",
        "observation.a": "observation.a",
    }
    assert names_of(("observation.action",)) == {"observation.action": "observation.action"}
    assert names_of(("observation.my cam",)) == {"observation.my cam": "my_cam"}


@given(st.lists(st.text("ab ._/é", min_size=1, max_size=4) | st.text(max_size=9), unique=True, max_size=6))
def test_names_can_always_name_arrays(keys: list[str]) -> None:
    names = list(names_of(tuple(keys)).values())
    assert all(NAME.fullmatch(name) for name in names)
    assert len({*names, "action"}) == len(keys) + 1
