"""What is written as a LeRobot dataset comes back: the same numbers, names, tasks and records."""

import dataclasses
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("pyarrow", reason="the extra lerobot-data is not installed")

import pyarrow.parquet as pq
import small_lerobot as small
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from small_lerobot import HAND, TOP

from imitate.datasets.formats import lerobot_encoding, lerobot_tables
from imitate.datasets.formats.lerobot_stats import image_stats, together, vector_stats
from imitate.datasets.importing import export_store, import_file
from imitate.datasets.store import DemoStore
from imitate.errors import DataError
from imitate.types import ArraySpec, DataSpec, Episode

SPEC = DataSpec(
    {
        "state": ArraySpec((3,), names=("x", "y", "angle"), units=("m", "m", "rad"), circular=(2,)),
        "force": ArraySpec((1,), "float64", units=("N",)),
        "grid": ArraySpec((2, 3), "int16"),
        "touch": ArraySpec((4,), "bool"),
        "front": ArraySpec((64, 96, 3), "uint8"),
        "wrist": ArraySpec((9, 15, 3), "uint8"),
    },
    ArraySpec((2,), names=("x", "y"), units=("m", "m"), low=(-1.0, -1.0), high=(1.0, 1.0)),
    10.0,
)


def episode(number: int, steps: int, **known: Any) -> Episode:
    """Smooth pictures in front, which video keeps; noise at the wrist, which only PNG keeps."""
    rng = np.random.default_rng(number)
    row, column = np.mgrid[0:64, 0:96]
    front = np.stack([row + 2 * step + np.zeros((64, 96)) for step in range(steps)])
    pictures = np.stack([front, np.broadcast_to(column + 100, front.shape), 0 * front + 60], -1)
    known = {"success": bool(number % 2), "source": "test", "operator": "expert", "rate_hz": 10.0} | known
    return Episode(
        f"demo_{number}",
        {
            "state": rng.normal(size=(steps, 3)).astype(np.float32),
            "force": rng.normal(size=(steps, 1)),
            "grid": rng.integers(-99, 99, (steps, 2, 3)).astype(np.int16),
            "touch": rng.random((steps, 4)) < 0.5,
            "front": pictures.astype(np.uint8),
            "wrist": rng.integers(0, 256, (steps, 9, 15, 3), np.uint8),
        },
        rng.normal(size=(steps, 2)).astype(np.float32),
        metadata={"seed": number, **known.pop("metadata", {"task": f"task {number % 2}"})},
        **known,
    )


EPISODES = tuple(episode(number, steps) for number, steps in enumerate((5, 8, 1, 6)))


def stored(path: Path, episodes: tuple[Episode, ...] = EPISODES, spec: DataSpec = SPEC) -> DemoStore:
    with DemoStore.create(path, spec, "test store", {"note": 7}) as store:
        for one in episodes:
            store.append(one)
    return store


def read_back(store: DemoStore, out: Path) -> tuple[DemoStore, tuple[str, ...]]:
    export_store(store, out, "lerobot")
    report = import_file(out, out.with_suffix(".back.zarr"))
    return DemoStore.open(report.out), report.left_out


def require_same(found: Episode, expected: Episode) -> None:
    plain = (dataclasses.asdict(one) for one in (found, expected))
    for one, other in zip(*(d.items() for d in plain), strict=True):
        if one[0] not in ("obs", "action"):
            assert one == other
    np.testing.assert_array_equal(found.action, expected.action)
    for key, values in expected.obs.items():
        assert found.obs[key].dtype == values.dtype
        if key == "front":
            assert np.abs(found.obs[key].astype(int) - values).mean() < 2.0
        else:
            np.testing.assert_array_equal(found.obs[key], values)


def test_everything_comes_back(tmp_path: Path) -> None:
    store, said = read_back(stored(tmp_path / "demos.zarr"), tmp_path / "set")
    assert (store.spec, store.source, store.metadata) == (SPEC, "test store", {"note": 7})
    assert len(store) == len(EPISODES)
    for index, expected in enumerate(EPISODES):
        require_same(store.episode(index), expected)
    assert said == ()


def test_what_lerobot_cannot_hold_is_said(tmp_path: Path) -> None:
    report = export_store(stored(tmp_path / "demos.zarr"), tmp_path / "set", "lerobot")
    said = "; ".join(report.left_out)
    assert "units, ranges, ids" in said
    assert "exact pixels of observation.images.front:" in said
    assert "success" not in said


def test_files_begin_anew_when_they_are_large(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lerobot_encoding, "MOST_FILE_BYTES", 0)
    monkeypatch.setattr(lerobot_tables, "MOST_DATA_BYTES", 0)
    monkeypatch.setattr(lerobot_encoding, "FILES_PER_CHUNK", 3)
    monkeypatch.setattr(lerobot_tables, "FILES_PER_CHUNK", 3)
    store, _ = read_back(stored(tmp_path / "demos.zarr"), tmp_path / "set")
    names = ["chunk-000/file-000", "chunk-000/file-001", "chunk-000/file-002", "chunk-001/file-000"]
    # The encoder still holds the only frame of the third episode when the fourth begins.
    videos = tmp_path / "set/videos/observation.images.front"
    assert sorted(str(p.relative_to(videos).with_suffix("")) for p in videos.glob("*/*")) == names[:3]
    data = tmp_path / "set/data"
    assert sorted(str(p.relative_to(data).with_suffix("")) for p in data.glob("*/*")) == names
    for index, expected in enumerate(EPISODES):
        require_same(store.episode(index), expected)


def test_a_dataset_of_lerobot_keeps_its_names(tmp_path: Path) -> None:
    between = DemoStore.open(import_file(small.write_v21(tmp_path / "v21"), tmp_path / "between.zarr").out)
    export_store(between, tmp_path / "v3", "lerobot")
    info = json.loads((tmp_path / "v3/meta/info.json").read_text())
    expected = small.info_of("v3.0")
    assert set(info["features"]) == set(expected["features"]) - {"next.reward", "next.done"}
    for key in (TOP, "action", "next.success", "timestamp"):
        assert info["features"][key].items() >= expected["features"][key].items()
    assert info["features"][HAND]["dtype"] == "image", "its height and width are odd"
    assert info["robot_type"] == "pointer"
    rows = pq.read_table(tmp_path / "v3/data/chunk-000/file-000.parquet").to_pydict()
    for key in (
        "observation.state",
        "action",
        "timestamp",
        "frame_index",
        "episode_index",
        "index",
        "task_index",
    ):
        assert rows[key] == [v for e in range(3) for v in small.rows_of(e)[key].tolist()], key
    assert rows["next.success"] == [v for e in range(3) for v in small.rows_of(e)["next.success"].tolist()]


def test_without_our_own_notes_it_is_a_plain_dataset(tmp_path: Path) -> None:
    export_store(stored(tmp_path / "demos.zarr"), tmp_path / "set", "lerobot")
    (tmp_path / "set/meta/imitate.json").unlink()
    store = DemoStore.open(import_file(tmp_path / "set", tmp_path / "back.zarr").out)
    assert set(store.spec.obs) == set(SPEC.obs)
    assert store.spec.action.names == ("x", "y")
    assert [store.record(i).success for i in range(4)] == [False, True, False, True]
    assert [store.record(i).metadata["task"] for i in range(4)] == ["task 0", "task 1"] * 2


def test_notes_that_no_longer_fit_are_not_believed(tmp_path: Path) -> None:
    export_store(stored(tmp_path / "demos.zarr"), tmp_path / "set", "lerobot")
    notes = tmp_path / "set/meta/imitate.json"
    found = json.loads(notes.read_text())
    found["episodes"].reverse()
    notes.write_text(json.dumps(found))
    report = import_file(tmp_path / "set", tmp_path / "back.zarr")
    assert DemoStore.open(report.out).record(0).id == "episode_000000"
    assert "meta/imitate.json, which does not fit the dataset any more" in "; ".join(report.left_out)


def test_success_that_not_everybody_judged(tmp_path: Path) -> None:
    store = stored(tmp_path / "demos.zarr", (episode(0, 4), episode(1, 4, success=None)))
    report = export_store(store, tmp_path / "set", "lerobot")
    assert "success, since not every episode was judged" in "; ".join(report.left_out)
    assert "next.success" not in json.loads((tmp_path / "set/meta/info.json").read_text())["features"]
    back = DemoStore.open(import_file(tmp_path / "set", tmp_path / "back.zarr").out)
    assert [back.record(i).success for i in range(2)] == [False, None]


def test_tasks_that_change_within_an_episode(tmp_path: Path) -> None:
    changing = {"task": "a", "tasks": [[0, "a"], [3, "b"], [4, "a"]]}
    store = stored(tmp_path / "demos.zarr", (episode(0, 6, metadata=changing), episode(1, 2, metadata={})))
    export_store(store, tmp_path / "set", "lerobot")
    rows = pq.read_table(tmp_path / "set/data/chunk-000/file-000.parquet")
    assert rows.column("task_index").to_pylist() == [0, 0, 0, 1, 0, 0, 2, 2]
    (tmp_path / "set/meta/imitate.json").unlink()
    back = DemoStore.open(import_file(tmp_path / "set", tmp_path / "back.zarr").out)
    assert {key: back.record(0).metadata[key] for key in changing} == changing
    assert "task" not in back.record(1).metadata


def test_a_rate_that_is_no_whole_number(tmp_path: Path) -> None:
    spec = dataclasses.replace(SPEC, rate_hz=12.5)
    store = stored(tmp_path / "demos.zarr", (episode(0, 6, rate_hz=12.5), episode(1, 5, rate_hz=12.5)), spec)
    back, _ = read_back(store, tmp_path / "set")
    assert back.spec.rate_hz == 12.5
    require_same(back.episode(1), episode(1, 5, rate_hz=12.5))


def test_what_cannot_be_written(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no episodes"):
        export_store(stored(tmp_path / "empty.zarr", ()), tmp_path / "a", "lerobot")
    nameless = dataclasses.replace(SPEC, rate_hz=None)
    store = stored(tmp_path / "rate.zarr", EPISODES[:1], nameless)
    with pytest.raises(DataError, match="no rate_hz, which LeRobot needs"):
        export_store(store, tmp_path / "b", "lerobot")
    assert not (tmp_path / "a").exists() and not (tmp_path / "b").exists()


def test_statistics_of_a_vector() -> None:
    found = vector_stats(np.array([[0, 10], [1, 10], [2, 10], [3, 10], [4, 10]], np.int64))
    assert found["min"].tolist() == [0, 10] and found["min"].dtype == np.int64
    assert found["max"].tolist() == [4, 10]
    assert found["mean"].tolist() == [2.0, 10.0]
    np.testing.assert_allclose(found["std"], [np.sqrt(2), 0])
    assert found["count"].tolist() == [5]
    assert found["q50"].tolist() == [2.0, 10.0]
    np.testing.assert_allclose(found["q10"], [0.4, 10.0])


@given(
    st.lists(st.integers(1, 9), min_size=1, max_size=4).flatmap(
        lambda sizes: st.tuples(*(arrays(np.float64, (n, 2), elements=st.floats(-1e3, 1e3)) for n in sizes))
    )
)
def test_statistics_of_episodes_together_are_those_of_all_rows(parts: tuple[np.ndarray, ...]) -> None:
    found, expected = together([vector_stats(part) for part in parts]), vector_stats(np.concatenate(parts))
    for key in ("min", "max", "mean", "std", "count"):
        np.testing.assert_allclose(found[key], expected[key], rtol=1e-9, atol=1e-6)


def test_statistics_of_images_are_those_of_their_pixels() -> None:
    images = np.random.default_rng(0).integers(0, 256, (7, 20, 30, 3), np.uint8)
    found, pixels = image_stats(images), images.reshape(-1, 3) / 255.0
    for key, expected in (("min", pixels.min(0)), ("mean", pixels.mean(0)), ("std", pixels.std(0))):
        assert found[key].shape == (3, 1, 1)
        np.testing.assert_allclose(found[key][:, 0, 0], expected, atol=1e-9)
    np.testing.assert_allclose(found["q90"][:, 0, 0], np.quantile(pixels, 0.9, axis=0), atol=1 / 255)
    assert found["count"].tolist() == [7]
