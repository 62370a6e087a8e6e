"""imitate inspect as a person calls it: any format, a page, and one line for whatever is wrong."""

import json
from pathlib import Path

import h5py
import numpy as np
import pytest
import sample_pages
from format_samples import SAMPLES

from imitate.cli.main import main
from imitate.datasets.store import DemoStore

DATA = Path(__file__).parents[3] / "shared/data"
PUSHT = DATA / "pusht/pusht_cchi_v7_replay.zarr"
BAG = DATA / "plotjuggler_bags/datasamples/fake_joint_state.bag"
ABSENT = "no real demonstrations beside this clone (shared/data)"


@pytest.fixture
def store(tmp_path: Path) -> DemoStore:
    return sample_pages.store(tmp_path / "d.zarr", [sample_pages.episode(i, 20 + i) for i in range(3)])


def test_the_table_has_every_dimension(store: DemoStore, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["inspect", f"data.path={store.path}"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[1] == "episodes  3 of 20 to 22 steps, 63 steps in all, 10 Hz"
    for name in ("x", "y", "angle", "vx", "vy"):
        assert any(line.split()[:1] == [name] for line in lines), name
    assert any(line.startswith("camera  8 × 8 × 3 uint8 image") for line in lines)
    assert max(map(len, lines)) < 130


def test_a_page_is_written_and_named(store: DemoStore, capsys: pytest.CaptureFixture[str]) -> None:
    page = store.path.parent / "deep/page.html"
    for _ in range(2):
        assert main(["inspect", f"data.path={store.path}", f"out={page}", "--json"]) == 0
    found = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert found["page"] == str(page) and found["episodes_read"] == 3
    assert found["dimensions"]["action"][0]["unit"] == "m/s"
    assert "<h2>Over time</h2>" in page.read_text()
    assert sorted(child.name for child in page.parent.iterdir()) == ["page.html"]


def test_fewer_episodes_are_read_where_asked(store: DemoStore, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["inspect", f"data.path={store.path}", "episodes=2"]) == 0
    assert "2 of 3 episodes were read, evenly spread (episodes=… reads more)" in capsys.readouterr().out


@pytest.mark.parametrize("key", sorted(SAMPLES))
def test_every_format_is_inspected_without_an_import(
    key: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    sample = SAMPLES[key](tmp_path)
    before = sorted(path for path in tmp_path.rglob("*"))
    page = tmp_path / "page.html"
    assert main(["inspect", f"data.path={sample}", f"out={page}"]) == 0, capsys.readouterr().err
    assert capsys.readouterr().out.splitlines()[0].startswith(str(sample))
    assert sorted(path for path in tmp_path.rglob("*")) == sorted([*before, page])


@pytest.mark.skipif(not PUSHT.exists(), reason=ABSENT)
def test_human_demonstrations_of_push_t(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["inspect", f"data.path={PUSHT}", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["episodes"], found["steps"], found["episodes_read"]) == (206, 25650, 206)
    angle = found["dimensions"]["state"][4]
    assert angle["min"] >= 0 and angle["max"] <= 2 * np.pi


@pytest.mark.skipif(not BAG.exists(), reason=ABSENT)
def test_of_a_bag_without_topics_the_topics_are_shown(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("rosbags")
    page = tmp_path / "page.html"
    assert main(["inspect", f"data.path={BAG}", f"out={page}"]) == 0
    said = capsys.readouterr().out
    assert "ROS 1 bag" in said and "sensor_msgs/msg/JointState" in said and "topics=…" in said
    assert "<h2>Topics</h2>" in page.read_text()
    assert main(["inspect", f"data.path={BAG}", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["topics"][0]["count"] > 100 and found["topics"][0]["rate_hz"] > 1
    assert main(["inspect", f"data.path={BAG}", "verify=true"]) == 2
    assert "verify of a recorded log needs topics" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("data.path=FOLDER/e.zarr", "does not exist (did you mean 'd.zarr'?)"),
        ("data.path=FOLDER/d.zarr out=FOLDER/page.txt", "expected the name of an .html file"),
        ("data.path=FOLDER/d.zarr out=FOLDER", "expected the name of an .html file"),
        ("data.path=FOLDER/d.zarr viewer=FOLDER/x.mp4", "expected true, or a name that ends in .rrd"),
        ("data.path=FOLDER/d.zarr episodes=0", "episodes is 0, expected at least 1"),
        ("data.path=FOLDER/d.zarr episodes=many", "episodes is 'many', expected"),
        ("data.path=FOLDER/empty.zarr", "holds no episodes yet"),
        ("data.path=FOLDER/cut.hdf5", "truncated or damaged HDF5"),
        ("data.path=FOLDER/notes.txt", "notes.txt is in no known format"),
        ("data.path=FOLDER/nothing", "FOLDER/nothing"),
    ],
)
def test_whatever_is_wrong_is_one_line(
    store: DemoStore, words: str, message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = store.path.parent
    sample_pages.store(folder / "empty.zarr", [])
    with h5py.File(folder / "cut.hdf5", "w") as file:
        file.create_dataset("data/demo_0/actions", data=np.zeros((9, 2)))
    (folder / "cut.hdf5").write_bytes((folder / "cut.hdf5").read_bytes()[:900])
    (folder / "notes.txt").write_text("not a data set")
    (folder / "nothing").mkdir()
    before = sorted(folder.rglob("*"))
    assert main(["inspect", *words.replace("FOLDER", str(folder)).split()]) == 2
    out, err = capsys.readouterr()
    assert not out and err.count("\n") == 1 and message.replace("FOLDER", str(folder)) in err
    assert sorted(folder.rglob("*")) == before


def test_the_viewer_can_be_asked_for_as_an_option(
    store: DemoStore, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["inspect", f"data.path={store.path}", "--viewer=x.mp4"]) == 2
    assert "viewer is 'x.mp4'" in capsys.readouterr().err
    assert main(["train", "--viewer"]) == 2
    assert "unknown key viewer" in capsys.readouterr().err
