"""Replay buffers of Diffusion Policy open as they are, and damaged or foreign files are named in one line."""

import json
import shutil
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import zarr
from replay_buffers import ARRAYS, ENDS, write_buffer, zipped

from imitate.datasets.opening import open_store
from imitate.datasets.store import DemoStore
from imitate.errors import DataError

PUSHT = Path(__file__).parents[3] / "shared/data/pusht"


@pytest.fixture
def buffer(tmp_path: Path) -> Path:
    return write_buffer(tmp_path / "replay.zarr")


@pytest.mark.parametrize("prefix", [None, "", "replay.zarr/"], ids=["folder", "zip", "zip of a folder"])
def test_replay_buffer_as_it_is(buffer: Path, prefix: str | None) -> None:
    path = buffer if prefix is None else zipped(buffer, prefix)
    before = sorted(path.rglob("*")) if path.is_dir() else path.read_bytes()
    with open_store(path) as store:
        assert store.keys == ("img", "reward", "state", "action")
        assert store.episode_ends.tolist() == ENDS.tolist()
        second = store.episode(1)
        assert np.array_equal(second.action, ARRAYS["action"][7:12])
        assert np.array_equal(second.obs["state"], ARRAYS["state"][7:12])
        assert second.obs["img"].dtype == np.uint8
        assert np.array_equal(second.obs["img"], ARRAYS["img"][7:12])
        assert second.obs["reward"].shape == (5, 1)
        assert store.spec.obs["img"].is_image
        assert store.content_hash() == open_store(buffer).content_hash()
    assert before == (sorted(path.rglob("*")) if path.is_dir() else path.read_bytes())


def test_float_images_in_0_to_1_are_brought_to_0_to_255(tmp_path: Path) -> None:
    path = write_buffer(tmp_path / "r.zarr", ARRAYS | {"img": ARRAYS["img"] / 255})
    assert np.array_equal(open_store(path).array("img")[:], ARRAYS["img"])


def test_image_values_out_of_range_are_refused(tmp_path: Path) -> None:
    path = write_buffer(tmp_path / "r.zarr", ARRAYS | {"img": ARRAYS["img"] - 300})
    with pytest.raises(DataError, match=r"data/img: image values reach outside 0\.\.255"):
        open_store(path).episode(0)


def change_header(path: Path, **fields: object) -> None:
    header = path / ".zarray"
    header.write_text(json.dumps(json.loads(header.read_text()) | fields))


DAMAGE: dict[str, tuple[Callable[[Path], object], str]] = {
    "no ends": (lambda p: shutil.rmtree(p / "meta/episode_ends"), "meta/episode_ends is missing"),
    "no action": (lambda p: shutil.rmtree(p / "data/action"), "data/action is missing"),
    "no chunk": (lambda p: (p / "data/state/2.0").unlink(), r"data/state/2\.0 is missing"),
    "no group": (lambda p: (p / ".zgroup").unlink(), r"\.zgroup is missing"),
    "short array": (
        lambda p: change_header(p / "data/state", shape=[20, 5]),
        "episode_ends ends at 30, past the 20 rows of data/state",
    ),
    "damaged header": (
        lambda p: (p / "data/state/.zarray").write_text("{"),
        r"data/state/\.zarray is missing or",
    ),
    "pickle": (
        lambda p: change_header(p / "data/state", dtype="|O", filters=[{"id": "pickle"}]),
        r"data/state holds Python objects \(pickle\), which are never unpickled",
    ),
    "pickled ends": (lambda p: change_header(p / "meta/episode_ends", dtype="|O"), "never unpickled"),
    "text": (lambda p: change_header(p / "data/state", dtype="<U9"), "expected rows of numbers"),
}


@pytest.mark.parametrize("damage", DAMAGE)
@pytest.mark.parametrize("as_zip", [False, True], ids=["folder", "zip"])
def test_damage_is_named(buffer: Path, damage: str, as_zip: bool) -> None:
    spoil, message = DAMAGE[damage]
    spoil(buffer)
    if as_zip and damage == "no group":
        return  # the zip's other groups still have one: told as missing episode_ends
    with pytest.raises(DataError, match=message) as raised:
        open_store(zipped(buffer) if as_zip else buffer)
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize("ends", [[5, 5, 30], [9, 4, 30], [0, 9, 30], [-1, 9, 30]])
def test_ends_must_increase(tmp_path: Path, ends: list[int]) -> None:
    with pytest.raises(DataError, match="meta/episode_ends must increase"):
        open_store(write_buffer(tmp_path / "r.zarr", ends=np.array(ends)))


@pytest.mark.parametrize("kept", [0, 10, 40])
@pytest.mark.parametrize("as_zip", [False, True], ids=["folder", "zip"])
@pytest.mark.parametrize("name", ["data/state/1.0", "meta/episode_ends/0"])
def test_a_truncated_chunk_is_named(buffer: Path, kept: int, as_zip: bool, name: str) -> None:
    chunk = buffer / name
    chunk.write_bytes(chunk.read_bytes()[: min(kept, len(chunk.read_bytes()) - 1)])
    with pytest.raises(DataError, match=f"{name} is truncated"):
        open_store(zipped(buffer) if as_zip else buffer)


def test_a_chunk_of_nonsense_is_named_when_it_is_read(buffer: Path) -> None:
    chunk = buffer / "data/state/1.0"
    chunk.write_bytes(chunk.read_bytes()[:16] + bytes(len(chunk.read_bytes()) - 16))
    header = bytearray(chunk.read_bytes())
    header[:4] = b"\xff\xff\xff\xff"
    chunk.write_bytes(header)
    with pytest.raises(DataError, match=r"data/state: chunk file 1\.0 is damaged"):
        open_store(buffer).array("state")[:]


@pytest.mark.parametrize("share", [0.0, 0.3, 0.9, 0.999])
def test_a_truncated_zip_is_named(buffer: Path, share: float) -> None:
    path = zipped(buffer)
    content = path.read_bytes()
    path.write_bytes(content[: int(share * len(content))])
    with pytest.raises(DataError, match=r"replay\.zarr\.zip: is a truncated or damaged zip"):
        open_store(path)


def test_other_things_are_told_apart(tmp_path: Path, buffer: Path) -> None:
    (tmp_path / "notes.txt").write_text("hello")
    (tmp_path / "empty").mkdir()
    (tmp_path / "d.hdf5").write_bytes(b"\x89HDF\r\n\x1a\n" + bytes(100))
    with zipfile.ZipFile(tmp_path / "x.zip", "w") as archive:
        archive.writestr("readme", "hello")
    zarr.open_group(str(tmp_path / "three.zarr"), mode="w", zarr_format=3)
    for name, message in {
        "notes.txt": "neither a zarr folder",
        "empty": r"\.zgroup is missing",
        "d.hdf5": "imitate import",
        "x.zip": "holds no zarr group",
        "three.zarr": "meta/episode_ends is missing",
        "reply.zarr": r"does not exist \(did you mean 'replay.zarr'\?\)",
        "nowhere/deep/replay.zarr": "nowhere does not exist",
    }.items():
        with pytest.raises(DataError, match=message):
            open_store(tmp_path / name)


def test_our_own_store_is_recognised(make_store: Callable[..., DemoStore]) -> None:
    assert isinstance(open_store(make_store(1).path), DemoStore)


@pytest.mark.skipif(not PUSHT.exists(), reason="the Push-T demonstrations are not on this machine")
def test_the_real_push_t_demonstrations() -> None:
    store = open_store(PUSHT / "pusht_cchi_v7_replay.zarr")
    reference = np.load(PUSHT / "pusht_lowdim.npz")
    assert (len(store), store.steps) == (206, 25650)
    assert np.array_equal(store.array("state")[:], reference["state"])
    assert np.array_equal(store.array("action")[:], reference["action"])
    images = store.array("img")[1000:1010]
    assert images.dtype == np.uint8
    assert images.shape == (10, 96, 96, 3)
    assert images.max() > 200
