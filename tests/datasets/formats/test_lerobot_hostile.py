"""Damaged and hostile LeRobot datasets: one clear line that names the file, nothing read elsewhere."""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("pyarrow", reason="the extra lerobot-data is not installed")

import pyarrow as pa
import pyarrow.parquet as pq
import small_lerobot as small
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from small_lerobot import HAND, LENGTHS, TOP, Info, write_v3, write_v21

from imitate.datasets.formats import PLAIN
from imitate.datasets.formats.lerobot import FORMAT
from imitate.datasets.formats.lerobot_info import fill_template
from imitate.datasets.importing import import_file
from imitate.errors import DataError

DATA_0 = "data/chunk-000/episode_000000.parquet"
VIDEO_0 = f"videos/chunk-000/{TOP}/episode_000000.mp4"
VIDEO = f"videos/{TOP}/chunk-000/file-000.mp4"


def refused(path: Path) -> str:
    """The one line that an import of `path` ends with; nothing but the dataset may be there after it."""
    before = sorted(path.parent.iterdir())
    with pytest.raises(DataError) as caught:
        import_file(path, path.parent / "out.zarr")
    assert sorted(path.parent.iterdir()) == before
    assert "\n" not in str(caught.value)
    return str(caught.value)


def set_info(**entries: Any) -> Callable[[Info], None]:
    return lambda info: info.update(entries)


def set_feature(key: str, **entries: Any) -> Callable[[Info], None]:
    return lambda info: info["features"][key].update(entries)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (set_info(codebase_version="v1.6"), "codebase_version is 'v1.6', expected v2.0, v2.1 or v3.0"),
        (set_info(codebase_version=None), "codebase_version is None"),
        (set_info(fps=0), "fps is 0"),
        (set_info(fps="30"), "fps is '30'"),
        (set_info(fps=float("nan")), "fps is nan"),
        (set_info(total_episodes=10**12), "total_episodes is 1000000000000, but meta lists 3"),
        (set_info(total_frames=10**12), "total_frames is 1000000000000, but the episodes have 17"),
        (set_info(total_frames=-1), "total_frames is -1, expected a whole number"),
        (set_info(chunks_size=0), "chunks_size is 0"),
        (set_info(features=[]), "features is missing"),
        (set_info(features={"action": 3}), "feature 'action' is 3"),
        (set_info(data_path=3), "data_path is 3, expected a path template"),
        (set_info(data_path="../../etc/{episode_index}"), "leads out of the folder; refused"),
        (set_info(data_path="/etc/{episode_index}"), "leads out of the folder; refused"),
        (set_info(video_path="../{video_key}/{episode_index}.mp4"), "leads out of the folder; refused"),
        (set_info(data_path="{episode_index.__class__}"), "cannot be filled"),
        (set_info(data_path="{episode_index:999999999999d}"), "cannot be filled"),
        (set_info(data_path="{episode_index!r:99}"), "cannot be filled"),
        (set_info(data_path="{secret}"), "cannot be filled"),
        (set_info(data_path="{"), "cannot be filled"),
        (set_info(video_path=None), "video_path is missing"),
        (set_feature("action", dtype="string"), "no feature 'action' of shape [n]"),
        (set_feature("action", shape=[10**12]), "far more than a file of"),
        (set_feature("action", shape=[3]), "'action' is (2,) per step, info.json says (3,)"),
        (set_feature("action", shape=[-2]), "expected whole numbers above 0"),
        (set_feature("action", shape="2"), "expected whole numbers above 0"),
        (set_feature("action", dtype="int64"), "'action' is float32, info.json says int64"),
        (set_feature(TOP, shape=[48, 64, 3]), "has frames of (64, 96), info.json says (48, 64)"),
        (set_feature(HAND, shape=[6, 7, 3]), "image 0 of 'observation.images.hand' is (5, 7)"),
    ],
)
def test_info_that_is_wrong(change: Callable[[Info], None], said: str, tmp_path: Path) -> None:
    line = refused(write_v21(tmp_path / "set", change))
    assert said in line
    assert str(tmp_path / "set") in line


@pytest.mark.parametrize("text", ["", "{", "[]", "7", '{"codebase_version": ' + "[" * 100_000, "\xff"])
def test_info_that_is_no_json_object(text: str, tmp_path: Path) -> None:
    path = write_v21(tmp_path / "set")
    (path / "meta/info.json").write_bytes(text.encode("latin-1"))
    assert "meta/info.json" in refused(path) or text in ("[]", "7")


def test_a_key_that_leads_elsewhere(tmp_path: Path) -> None:
    def rename(info: Info) -> None:
        info["features"]["observation.images/../../../../x"] = info["features"].pop(TOP)

    assert "leads out of the folder; refused" in refused(write_v21(tmp_path / "set", rename))


@given(st.text("{}:.!/\\0123456789dx_ab[]episode_index", max_size=30))
def test_templates_stay_below_the_folder(template: str) -> None:
    root = Path("/data/set")
    try:
        path = fill_template(root, template, {"episode_index": 3})
    except DataError:
        return
    assert path.is_relative_to(root)
    assert ".." not in path.parts
    assert len(str(path)) < 4000


@pytest.mark.parametrize("name", ["meta/episodes.jsonl", "meta/info.json"])
def test_metadata_that_are_missing(name: str, tmp_path: Path) -> None:
    path = write_v21(tmp_path / "set")
    (path / name).unlink()
    assert str(path) in refused(path)


def test_data_files_that_are_missing(tmp_path: Path) -> None:
    path = write_v3(tmp_path / "set")
    (path / "data/chunk-000/file-001.parquet").unlink()
    assert "file-001.parquet is missing (1 of 2 data files are)" in refused(path)


def test_episode_files_that_are_missing(tmp_path: Path) -> None:
    path = write_v3(tmp_path / "set")
    shutil.rmtree(path / "meta/episodes")
    assert "meta/episodes/chunk-…/file-….parquet is missing" in refused(path)


@pytest.mark.parametrize("share", [0.0, 0.3, 0.9])
@pytest.mark.parametrize("name", [DATA_0, VIDEO_0])
def test_files_that_are_cut_off(name: str, share: float, tmp_path: Path) -> None:
    path = write_v21(tmp_path / "set")
    file = path / name
    file.write_bytes(file.read_bytes()[: int(share * file.stat().st_size)])
    line = refused(path)
    assert file.name in line
    assert "damaged" in line or "has 0 frames for episode 0" in line


@pytest.mark.parametrize(
    ("key", "values", "said"),
    [
        ("action", np.full((5, 2), np.nan, np.float32), "'action' is NaN or infinite at step 0"),
        ("observation.state", np.full((5, 2), np.inf, np.float32), "'observation.state' is NaN or infinite"),
        ("timestamp", np.full(5, np.nan, np.float32), "'timestamp' is NaN or infinite"),
        ("episode_index", np.full(5, 1), "rows of episode 0 are 5 of episode 1, meta says 5"),
        ("frame_index", np.array([0, 1, 3, 2, 4]), "frame_index goes from 1 to 3"),
        ("timestamp", np.arange(5) / 5.0, "frame 1 of episode 0 is shown at 0.1000 s"),
        ("action", ["a"] * 5, "'action' is (1,) per step"),
        ("observation.state", [[0.0, 1.0]] * 4 + [None], "'observation.state' has rows of"),
        ("observation.state", [[0.0, 1.0]] * 4 + [[0.0]], "'observation.state' has rows of"),
        ("observation.state", [[0.0, None]] * 5, "'observation.state' has 5 empty values"),
        (HAND, [{"bytes": b"no picture", "path": None}] * 5, "is a damaged picture"),
        (HAND, [{"bytes": None, "path": "/etc/passwd"}] * 5, "has no bytes in the parquet file"),
    ],
)
def test_rows_that_are_wrong(key: str, values: Any, said: str, tmp_path: Path) -> None:
    path = write_v21(tmp_path / "set")
    small.write_rows(path / DATA_0, [{**small.rows_of(0), key: values}])
    line = refused(path)
    assert said in line
    assert DATA_0 in line or VIDEO_0 in line


def test_lengths_that_disagree(tmp_path: Path) -> None:
    path = write_v21(tmp_path / "set")
    rows = {key: values[:-1] for key, values in small.rows_of(0).items()}
    small.write_rows(path / DATA_0, [rows])
    assert "rows of episode 0 are 4 of episode 0, meta says 5" in refused(path)


def test_rows_that_metadata_do_not_list(tmp_path: Path) -> None:
    path = write_v21(tmp_path / "set")
    small.write_rows(path / DATA_0, [small.rows_of(0), small.rows_of(1)])
    assert "holds rows of episode 1, which meta does not list there" in refused(path)


@pytest.mark.parametrize("change", [-1, 1])
def test_a_video_with_more_or_fewer_frames(change: int, tmp_path: Path) -> None:
    path = write_v21(tmp_path / "set")
    small.write_video(path / VIDEO_0, [50] * (LENGTHS[0] + change))
    line = refused(path)
    assert f"{VIDEO_0} has {LENGTHS[0] + change} frames for episode 0, whose rows are {LENGTHS[0]}" in line


def test_a_shared_video_that_ends_early(tmp_path: Path) -> None:
    path = write_v3(tmp_path / "set")
    small.write_video(path / VIDEO, [50] * (sum(LENGTHS) - 2))
    assert f"{VIDEO} has 2 frames for episode 2, whose rows are 4" in refused(path)


@pytest.mark.parametrize(
    "playlist", ["#EXTM3U\n#EXTINF:1,\nsecret.mp4\n", "ffconcat version 1.0\nfile secret.mp4\n"]
)
def test_a_playlist_opens_no_other_file(playlist: str, tmp_path: Path) -> None:
    path = write_v21(tmp_path / "set")
    shutil.copy(path / VIDEO_0, path / f"videos/chunk-000/{TOP}/secret.mp4")
    (path / VIDEO_0).write_text(playlist)
    assert "is truncated or damaged" in refused(path)


@pytest.mark.parametrize("value", [float("nan"), -1.0, 1e300, None])
def test_stretches_of_video_that_are_nowhere(value: float | None, tmp_path: Path) -> None:
    path = write_v3(tmp_path / "set")
    file = path / "meta/episodes/chunk-000/file-000.parquet"
    table = pq.read_table(file)
    key = f"videos/{TOP}/from_timestamp"
    column = pa.array([value, 0.5, 1.3], pa.float64())
    pq.write_table(table.set_column(table.column_names.index(key), key, column), file)
    assert "meta/episodes" in refused(path) or VIDEO in refused(path)


@pytest.mark.parametrize("length", [0, -3, "5", None, True])
def test_lengths_that_are_no_lengths(length: Any, tmp_path: Path) -> None:
    path = write_v21(tmp_path / "set")
    small.write_lines(path / "meta/episodes.jsonl", [{"episode_index": 0, "tasks": [], "length": length}])
    assert "length" in refused(path)


def test_an_episode_twice(tmp_path: Path) -> None:
    path = write_v21(tmp_path / "set")
    small.write_lines(path / "meta/episodes.jsonl", [{"episode_index": 0, "length": 5}] * 3)
    assert "an episode_index appears twice" in refused(path)


def test_a_small_file_that_claims_millions_of_rows(tmp_path: Path) -> None:
    """A constant column of any length takes a few bytes."""
    path = write_v21(tmp_path / "set", set_info(total_frames=4 * 10**6 + 12))
    values = pa.array(np.zeros(10**6, np.float32))
    schema = pa.schema([(key, pa.float32()) for key in ("timestamp", "x")])
    with pq.ParquetWriter(path / DATA_0, schema, compression="zstd") as writer:
        for _ in range(4):
            writer.write_table(pa.table([values, values], schema))
    lines = [{"episode_index": e, "length": n} for e, n in enumerate((4 * 10**6, *LENGTHS[1:]))]
    small.write_lines(path / "meta/episodes.jsonl", lines)
    assert "far more than a file of" in refused(path)


def test_a_picture_that_is_far_larger_than_its_bytes(tmp_path: Path) -> None:
    header = small.png_header(9000, 9000)
    path = write_v21(tmp_path / "set")
    small.write_rows(path / DATA_0, [{**small.rows_of(0), HAND: [{"bytes": header, "path": None}] * 5}])
    assert "is (9000, 9000) in mode RGB" in refused(path)


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_v3(tmp_path_factory.mktemp("whole") / "set")


@given(data=st.data())
@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_changed_byte_gives_a_dataset_or_one_line(whole: Path, data: st.DataObject) -> None:
    names = sorted(str(file.relative_to(whole)) for file in whole.rglob("*") if file.is_file())
    file = whole / data.draw(st.sampled_from(names))
    kept = file.read_bytes()
    place = data.draw(st.integers(0, len(kept) - 1))
    changed = data.draw(st.binary(min_size=1, max_size=8))
    try:
        file.write_bytes(kept[:place] + changed + kept[place + len(changed) :])
        if FORMAT.recognises(whole):
            assert len(list(FORMAT.read(whole, PLAIN).episodes())) == len(LENGTHS)
    except DataError as error:
        assert "\n" not in str(error)
    finally:
        file.write_bytes(kept)
