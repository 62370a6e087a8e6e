"""The real lerobot package opens what we write, and we read what it writes (in its own environment)."""

import json
import os
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("pyarrow", reason="the extra lerobot-data is not installed")

import lerobot_package
import pyarrow.parquet as pq
from small_lerobot import write_v21

from imitate.datasets.importing import export_store, import_file
from imitate.datasets.store import DemoStore

ROOT = Path(__file__).parents[3]
PYTHON = ROOT / ".venv-lerobot/bin/python"
SCRIPT = ROOT / "tests/stand_ins/lerobot_package.py"
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        not PYTHON.exists(), reason="no .venv-lerobot with lerobot 0.4.4: scripts/benchmarks/loading makes it"
    ),
]


def run(verb: str, *paths: Path, home: Path) -> None:
    """Run lerobot offline, its caches in `home`."""
    env = {
        **os.environ,
        "HF_HUB_OFFLINE": "1",
        "HF_HOME": str(home),
        "HF_LEROBOT_HOME": str(home / "lerobot"),
    }
    done = subprocess.run(
        [PYTHON, SCRIPT, verb, *paths], env=env, capture_output=True, text=True, timeout=280
    )
    assert done.returncode == 0, done.stderr[-3000:]


def read(folder: Path, home: Path) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    run("read", folder, folder.with_suffix(".npz"), home=home)
    with np.load(folder.with_suffix(".npz")) as file:
        arrays = dict(file)
    return arrays, json.loads(str(arrays.pop("told")))


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A dataset that lerobot itself recorded."""
    folder = tmp_path_factory.mktemp("made") / "set"
    run("make", folder, home=folder.parent / "home")
    return folder


def schema(folder: Path, name: str) -> dict[str, str]:
    """{column: type}; which type of text pandas writes depends on its version."""
    [file] = folder.glob(name)
    return {field.name: str(field.type).replace("large_string", "string") for field in pq.read_schema(file)}


def test_what_lerobot_wrote_comes_in(made: Path, tmp_path: Path) -> None:
    report = import_file(made, tmp_path / "out.zarr")
    store = DemoStore.open(report.out)
    assert report.left_out == ()
    assert [store.record(i).success for i in range(3)] == [True, False, True]
    for episode, steps in enumerate(lerobot_package.LENGTHS):
        found = store.episode(episode)
        assert found.metadata["task"] == lerobot_package.task(episode)
        frames = [lerobot_package.frame(episode, step) for step in range(steps)]
        for key, name in (("observation.state", "state"), ("observation.speed", "speed")):
            np.testing.assert_array_equal(found.obs[name], [frame[key] for frame in frames])
        np.testing.assert_array_equal(found.obs["grid"], [frame["observation.grid"] for frame in frames])
        np.testing.assert_array_equal(found.obs["wrist"], [f["observation.images.wrist"] for f in frames])
        np.testing.assert_array_equal(found.action, [frame["action"] for frame in frames])
        front = np.stack([frame["observation.images.front"] for frame in frames]).astype(int)
        assert np.abs(found.obs["front"] - front).max() <= 3


def test_we_write_the_columns_that_lerobot_writes(made: Path, tmp_path: Path) -> None:
    store = DemoStore.open(import_file(made, tmp_path / "between.zarr").out)
    export_store(store, ours := tmp_path / "ours", "lerobot")
    for name in ("meta/episodes/*/*.parquet", "data/*/*.parquet", "meta/tasks.parquet"):
        theirs = schema(made, name)
        assert schema(ours, name) == theirs
    for name in ("meta/info.json", "meta/stats.json"):
        one, other = (json.loads((folder / name).read_text()) for folder in (ours, made))
        assert set(one) == set(other)
    info, expected = (json.loads((folder / "meta/info.json").read_text()) for folder in (ours, made))
    assert info["features"] == expected["features"]
    assert {**info, "features": 0} == {**expected, "features": 0}
    stats, expected = (json.loads((folder / "meta/stats.json").read_text()) for folder in (ours, made))
    for key, found in expected.items():
        for which in ("min", "max", "count") if key != "next.success" else ("count",):
            np.testing.assert_allclose(stats[key][which], found[which], atol=0.02, err_msg=f"{key} {which}")
        assert np.shape(stats[key]["q50"]) == np.shape(found["q50"])


def test_lerobot_opens_what_we_write(made: Path, tmp_path: Path) -> None:
    """The same numbers and windows, tasks and episodes; images within what video loses twice."""
    store = DemoStore.open(import_file(made, tmp_path / "between.zarr").out)
    export_store(store, tmp_path / "ours", "lerobot")
    theirs, told_of_theirs = read(made, tmp_path / "home")
    ours, told = read(tmp_path / "ours", tmp_path / "home")
    assert told == told_of_theirs
    assert set(ours) == set(theirs)
    for key, expected in theirs.items():
        if key == "observation.images.front":
            assert np.abs(ours[key] - expected).max() <= 5 / 255
        else:
            np.testing.assert_array_equal(ours[key], expected, err_msg=key)
    assert ours["observation.images.front"].shape == (15, 3, 64, 96)
    np.testing.assert_array_equal(ours["action"][:6], store.episode(0).action)


def test_a_set_of_version_2_becomes_one_that_lerobot_opens(tmp_path: Path) -> None:
    store = DemoStore.open(import_file(write_v21(tmp_path / "v21"), tmp_path / "between.zarr").out)
    export_store(store, tmp_path / "v3", "lerobot")
    arrays, told = read(tmp_path / "v3", tmp_path / "home")
    assert told["ends"] == [5, 13, 17]
    assert told["tasks"] == ["lift the cube"] * 13 + ["put it back"] * 4
    assert told["robot_type"] == "pointer"
    np.testing.assert_array_equal(arrays["observation.state"][5:13], store.episode(1).obs["state"])
    pictures = np.moveaxis(arrays["observation.images.hand"] * 255, 1, -1).round().astype(np.uint8)
    np.testing.assert_array_equal(pictures[13:], store.episode(2).obs["hand"])
