"""Replay buffers in zarr format 2 and 3, hostile ones among them; and written so that zarr 2 reads them."""

import json
import math
import re
import subprocess
import sys
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numcodecs
import numpy as np
import pytest
import zarr
from hypothesis import given
from hypothesis import strategies as st
from replay_buffers import ARRAYS, ENDS, write_buffer, write_store, zipped
from zarr.codecs import BloscCodec, Crc32cCodec, GzipCodec, ZstdCodec

from imitate.datasets.formats import format_of
from imitate.datasets.importing import export_store, import_file
from imitate.datasets.opening import open_store
from imitate.datasets.store import DemoStore
from imitate.datasets.zarr_chunks import positions
from imitate.errors import DataError

VERSION_3: dict[str, dict[str, Any]] = {
    "as zarr 3 writes it": {},
    "uncompressed": {"compressors": None},
    "gzip": {"compressors": GzipCodec()},
    "blosc": {"compressors": BloscCodec()},
    "zstd and a checksum": {"compressors": [ZstdCodec(), Crc32cCodec()]},
    "shards": {"shards": True},
    "names as in format 2": {"chunk_key_encoding": {"name": "v2", "separator": "."}},
}


@pytest.mark.parametrize("kind", VERSION_3)
def test_format_3_as_it_is(tmp_path: Path, kind: str) -> None:
    arrays = ARRAYS | {"reward": np.zeros(30, np.float32)}
    folder = write_buffer(tmp_path / "r.zarr", arrays, zarr_format=3, **VERSION_3[kind])
    for path in (folder, zipped(folder), zipped(folder, "inner/r.zarr/")):
        found = format_of(path)
        assert found
        assert found.key == "diffusion_policy"
        with open_store(path) as store:
            assert store.episode_ends.tolist() == ENDS.tolist()
            for name, values in arrays.items():
                assert np.array_equal(store.array(name)[:].reshape(values.shape), values)
            assert store.content_hash() == open_store(folder).content_hash()
            assert "chunk files of data/reward, which are absent" in "; ".join(store.left_out)


CODECS = {
    "blosc lz4": numcodecs.Blosc("lz4", 5, numcodecs.Blosc.NOSHUFFLE),
    "zlib": numcodecs.Zlib(),
    "gzip": numcodecs.GZip(),
    "bz2": numcodecs.BZ2(),
    "lzma": numcodecs.LZMA(),
    "zstd": numcodecs.Zstd(),
    "lz4": numcodecs.LZ4(),
    "none": None,
}


@pytest.mark.parametrize("codec", CODECS)
def test_format_2_with_every_codec(tmp_path: Path, codec: str) -> None:
    path = write_buffer(tmp_path / "r.zarr", compressors=CODECS[codec])
    report = import_file(path, tmp_path / "out.zarr")
    store = DemoStore.open(report.out)
    assert np.array_equal(store.array("state")[:], ARRAYS["state"])
    assert (report.episodes, report.steps) == (3, 30)


STAND_IN = """
import cv2, numpy
from numcodecs.abc import Codec
from numcodecs.registry import register_codec

class Jpeg2k(Codec):
    codec_id = "imagecodecs_jpeg2k"

    def encode(self, buf):
        return cv2.imencode(".png", buf[0])[1].tobytes()

    def decode(self, buf, out=None):
        return cv2.imdecode(numpy.frombuffer(buf, numpy.uint8), cv2.IMREAD_UNCHANGED)[None]

def register_codecs():
    register_codec(Jpeg2k)
"""


@pytest.mark.slow
def test_codecs_of_imagecodecs_are_asked_for(tmp_path: Path) -> None:
    """A stand-in for the package (with PNG in it), in a process of its own: codecs stay registered."""
    (tmp_path / "imagecodecs").mkdir()
    (tmp_path / "imagecodecs/__init__.py").write_text("")
    (tmp_path / "imagecodecs/numcodecs.py").write_text(STAND_IN)
    program = (
        "import sys, numpy as np, zarr; sys.path[:0] = sys.argv[2:]\n"
        "from replay_buffers import ARRAYS, write_buffer\n"
        "from pathlib import Path\n"
        "import imagecodecs.numcodecs as known\n"
        "images = ARRAYS['img'].astype(np.uint8)\n"
        "path = write_buffer(Path(sys.argv[1]))\n"
        "data = zarr.open_group(str(path), mode='r+', zarr_format=2)['data']\n"
        "settings = {'chunks': (1, 6, 6, 3), 'compressors': known.Jpeg2k(), 'overwrite': True}\n"
        "known.register_codecs()\n"
        "data.create_array('img', shape=images.shape, dtype='u1', **settings)[:] = images\n"
        "from numcodecs.registry import codec_registry\n"
        "del codec_registry['imagecodecs_jpeg2k']\n"
        "from imitate.datasets.opening import open_store\n"
        "assert np.array_equal(open_store(path).array('img')[3:7], images[3:7])\n"
    )
    stand_ins = str(Path(__file__).parents[2] / "stand_ins")
    command = [sys.executable, "-c", program, str(tmp_path / "r.zarr"), str(tmp_path), stand_ins]
    subprocess.run(command, check=True, timeout=100)


@pytest.mark.parametrize(
    ("shape", "said"),
    [
        ((3, 8, 10), "turned from (3, H, W) to (H, W, 3)"),
        ((1, 8, 10), "turned from (1, H, W) to (H, W, 1); grey repeated"),
        ((8, 10, 1), "grey repeated"),
        ((8, 10, 4), "the fourth channel (alpha) left out"),
        ((8, 10, 3), ""),
    ],
)
def test_other_orders_of_axes_and_channels(tmp_path: Path, shape: tuple[int, ...], said: str) -> None:
    images = np.random.default_rng(0).integers(0, 256, (30, *shape)).astype(np.uint8)
    store = open_store(write_buffer(tmp_path / "r.zarr", ARRAYS | {"img": images}))
    last = images if shape[2] in (1, 3, 4) else np.moveaxis(images, 1, -1)
    expected = np.repeat(last, 3, -1) if 1 in shape else last[..., :3]
    assert store.spec.obs["img"].shape == (8, 10, 3)
    assert np.array_equal(store.array("img")[3:9], expected[3:9])
    assert np.array_equal(store.array("img")[np.array([20, 4])], expected[[20, 4]])
    assert (said in "; ".join(store.left_out)) == bool(said) or not said


def test_poses_and_depths_are_no_images(tmp_path: Path) -> None:
    poses, depth = np.full((30, 3, 4, 4), -0.5, np.float32), np.full((30, 8, 10, 1), 2.5, np.float32)
    store = open_store(write_buffer(tmp_path / "r.zarr", ARRAYS | {"poses": poses, "depth": depth}))
    assert np.array_equal(store.array("poses")[:], poses)
    assert np.array_equal(store.array("depth")[:], depth)


def header_of(path: Path) -> Path:
    return path / (".zarray" if (path / ".zarray").exists() else "zarr.json")


def change_header(path: Path, **fields: Any) -> None:
    found = json.loads(header_of(path).read_text())
    header_of(path).write_text(json.dumps(found | fields))


MAKE_BOMB: dict[str, Callable[[bytes], bytes]] = {
    "zlib": lambda data: zlib.compress(4 * data, 1),
    "bz2": numcodecs.BZ2(1).encode,
    "lzma": numcodecs.LZMA(preset=0).encode,
    "zstd": numcodecs.Zstd(1).encode,
    "lz4": numcodecs.LZ4().encode,
    "blosc": numcodecs.Blosc("zstd", 1).encode,
}


def bomb(codec: str) -> Callable[[Path], None]:
    """A chunk that unpacks to 20 MB or more in place of 160 bytes."""

    def change(path: Path) -> None:
        (path / "data/state/1.0").write_bytes(MAKE_BOMB[codec](bytes(20 * 10**6)))
        change_header(path / "data/state", compressor=numcodecs.get_codec({"id": codec}).get_config())
        for chunk in (path / "data/state").glob("[0-9]*"):
            chunk.write_bytes((path / "data/state/1.0").read_bytes())

    return change


@pytest.mark.parametrize("codec", ["zlib", "bz2", "lzma", "zstd", "lz4", "blosc"])
@pytest.mark.parametrize("as_zip", [False, True], ids=["folder", "zip"])
def test_bombs_are_named_and_not_unpacked(tmp_path: Path, codec: str, as_zip: bool) -> None:
    path = write_buffer(tmp_path / "r.zarr")
    bomb(codec)(path)
    with pytest.raises(DataError, match=r"data/state/\d\.0 is damaged .*(unpack to more|bytes for a chunk)"):
        open_store(zipped(path) if as_zip else path)


def streamed_zstd(blocks: int, kind: int = 1) -> bytes:
    """A zstd frame without its size: each block says one byte, 128 KiB times (RFC 8878, 3.1.1.2)."""
    head = b"\x28\xb5\x2f\xfd" + bytes([0, 0x38])
    block = (128 * 1024) << 3 | kind << 1
    rows = [(block | (number == blocks - 1)).to_bytes(3, "little") + b"\0" for number in range(blocks)]
    return head + b"".join(rows)


def test_a_zstd_bomb_that_does_not_tell_its_size(tmp_path: Path) -> None:
    path = write_buffer(tmp_path / "r.zarr", zarr_format=3)
    (path / "data/state/c/1/0").write_bytes(streamed_zstd(2000))
    with pytest.raises(DataError, match=r"data/state/c/1/0 is damaged .*unpack to more"):
        open_store(path)


def test_a_bomb_in_a_shard(tmp_path: Path) -> None:
    path = write_buffer(tmp_path / "r.zarr", zarr_format=3, shards=True)
    shard = path / "data/state/c/0/0"
    data = numcodecs.Zstd(19).encode(np.zeros(50 * 10**6, np.uint8))
    index = np.array([0, len(data), 0, len(data)], "<u8").tobytes()
    shard.write_bytes(data + index + bytes(4))
    with pytest.raises(DataError, match=r"data/state/c/0/0 is damaged .*unpack to more"):
        open_store(path)
    shard.write_bytes(shard.read_bytes()[-20:])
    with pytest.raises(DataError, match=r"data/state/c/0/0 is damaged|is truncated"):
        open_store(path)


def gone(name: str) -> Callable[[Path], None]:
    def change(path: Path) -> None:
        for chunk in (path / name).rglob("*"):
            if chunk.is_file() and chunk.name != "zarr.json":
                chunk.unlink()

    return change


def headers(name: str, **fields: Any) -> Callable[[Path], None]:
    return lambda path: change_header(path / name, **fields)


def deep_json(path: Path) -> None:
    (path / "data/state/.zarray").write_text("[" * 10**5)


GRID = {"name": "regular", "configuration": {"chunk_shape": [1, 5]}}
HOSTILE: dict[str, tuple[int, Callable[[Path], None], str]] = {
    "rows that are not there": (
        2,
        headers("meta/episode_ends", shape=[10**15], chunks=[1]),
        "meta/episode_ends/1 is missing",
    ),
    "many chunks": (2, headers("data/state", shape=[10**15, 5], chunks=[1, 1]), "data/state/0.1 is missing"),
    "a giant chunk": (
        2,
        headers("data/state", shape=[10**13, 5], chunks=[10**13, 5]),
        r"data/state/0\.0 is damaged",
    ),
    "no chunk size": (2, headers("data/state", chunks=[0, 5]), "does not go with chunks"),
    "negative shape": (2, headers("data/state", shape=[-1, 5]), "does not go with chunks"),
    "shape of text": (2, headers("data/state", shape="30"), r"data/state/\.zarray is missing or damaged"),
    "fractions": (2, headers("data/state", shape=[30.0, 5]), "must be whole numbers"),
    "pickle": (
        2,
        headers("data/state", filters=[{"id": "pickle"}]),
        r"Python objects \(pickle\), which are never",
    ),
    "objects": (2, headers("data/state", dtype="|O", filters=None), r"\(dtype object\), which are never"),
    "unknown codec": (
        2,
        headers("data/img", compressor={"id": "imagecodecs_jpeg2k", "level": 50}),
        "data/img is kept by 'imagecodecs_jpeg2k', which cannot be decoded here; install imagecodecs",
    ),
    "two compressors": (
        2,
        headers("data/state", filters=[{"id": "zlib", "level": 1}]),
        "expected one compressor",
    ),
    "deep JSON": (
        2,
        deep_json,
        "is missing or damaged",
    ),
    "rows that are not there, format 3": (
        3,
        headers("meta/episode_ends", shape=[10**15]),
        r"meta/episode_ends (lacks chunk files|declares 8,000,000,000,000,000 bytes)",
    ),
    "large absent array": (
        3,
        headers("data/state", shape=[10**15, 5], chunk_grid=GRID),
        r"data/state.* is damaged \(it would unpack to more",
    ),
    "no actions": (3, gone("data/action"), "data/action has no chunk files at all"),
    "no ends": (3, gone("meta/episode_ends"), "meta/episode_ends lacks chunk files"),
    "text": (3, headers("data/state", data_type="string"), "never unpickled"),
    "bytes of varying length": (
        3,
        headers("data/state", codecs=[{"name": "vlen-bytes"}]),
        r"Python objects \(vlen-bytes\)",
    ),
    "codec to come": (
        3,
        headers("data/state", codecs=[{"name": "bytes"}, {"name": "jpegxl"}]),
        "kept by 'jpegxl'",
    ),
    "no array": (3, headers("data/state", node_type="group"), r"data/state/zarr\.json is missing or damaged"),
    "complex": (3, headers("data/state", data_type="complex64"), "expected rows of numbers"),
}


@pytest.mark.parametrize("case", HOSTILE)
@pytest.mark.parametrize("as_zip", [False, True], ids=["folder", "zip"])
def test_hostile_headers_get_one_line(tmp_path: Path, case: str, as_zip: bool) -> None:
    zarr_format, change, message = HOSTILE[case]
    path = write_buffer(tmp_path / "r.zarr", zarr_format=zarr_format)
    change(path)
    with pytest.raises(DataError, match=message) as raised:
        open_store(zipped(path) if as_zip else path)
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize("name", ["../evil", "/etc/evil", "data/../../evil/.zarray", "..\\evil", "C:/evil"])
def test_names_that_lead_out_of_a_zip_are_refused(tmp_path: Path, name: str) -> None:
    path = zipped(write_buffer(tmp_path / "r.zarr"))
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr(name, "{}")
    with pytest.raises(DataError, match=re.escape(f"names a file outside itself ({name!r})")):
        import_file(path, tmp_path / "out.zarr")
    assert sorted(child.name for child in tmp_path.iterdir()) == ["r.zarr", "r.zarr.zip"]


def test_a_header_as_large_as_a_bomb_is_not_read(tmp_path: Path) -> None:
    path = write_buffer(tmp_path / "r.zarr")
    (path / "data/state/.zarray").write_bytes(b" " * (17 * 2**20))
    with pytest.raises(DataError, match=r"data/state/\.zarray is missing or damaged .*17,825,792 bytes"):
        open_store(zipped(path))


def test_nan_is_named_when_it_is_imported(tmp_path: Path) -> None:
    spoilt = ARRAYS["state"].copy()
    spoilt[9, 2] = np.nan
    path = write_buffer(tmp_path / "r.zarr", ARRAYS | {"state": spoilt})
    with pytest.raises(DataError, match=r"data/state: episode_1 holds NaN or infinity at its step 2"):
        import_file(path, tmp_path / "out.zarr")
    assert [child.name for child in tmp_path.iterdir()] == ["r.zarr"]


@given(st.lists(st.integers(1, 5), min_size=1, max_size=4))
def test_positions_are_all_of_a_grid(grid: list[int]) -> None:
    assert list(positions(tuple(grid))) == list(np.ndindex(*grid))


def test_positions_of_a_huge_grid_come_one_by_one() -> None:
    assert next(positions((10**18, 10**18))) == (0, 0)


@pytest.mark.parametrize("seed", range(10))
@pytest.mark.parametrize("zarr_format", [2, 3])
def test_spoilt_bytes_never_cause_another_error(tmp_path: Path, seed: int, zarr_format: int) -> None:
    path, rng = write_buffer(tmp_path / "r.zarr", zarr_format=zarr_format), np.random.default_rng(seed)
    files = sorted(file for file in path.rglob("*") if file.is_file())
    for file in rng.choice(np.array(files), 3, replace=False):
        content = bytearray(file.read_bytes())
        for place in rng.integers(0, len(content), 2):
            content[place] = rng.integers(32, 127)
        file.write_bytes(content[: len(content) if seed % 2 else rng.integers(1, len(content))])
    import_or_refuse(path, tmp_path / "out.zarr")


@pytest.mark.parametrize("seed", range(16))
def test_spoilt_zips_never_cause_another_error(tmp_path: Path, seed: int) -> None:
    path, rng = zipped(write_buffer(tmp_path / "r.zarr"), packed=True), np.random.default_rng(seed)
    content = bytearray(path.read_bytes())
    for place in rng.integers(0, len(content), 1 + seed):
        content[place] = rng.integers(256)
    path.write_bytes(content)
    import_or_refuse(path, tmp_path / "out.zarr")


def import_or_refuse(path: Path, out: Path) -> None:
    """Import what cannot be told from whole, or refuse it in one line and leave nothing."""
    try:
        import_file(path, out)
    except DataError as error:
        assert "\n" not in str(error)
        assert not [child for child in out.parent.iterdir() if "out" in child.name]


def test_an_array_may_be_a_link_but_a_circle_ends(tmp_path: Path) -> None:
    path = write_buffer(tmp_path / "r.zarr")
    (path / "data/state").rename(tmp_path / "state")
    (path / "data/state").symlink_to(tmp_path / "state")
    (path / "data/img/round").symlink_to(path)
    (path / "round").symlink_to(path)
    assert np.array_equal(open_store(path).array("state")[:], ARRAYS["state"])
    (path / "data/state/gone").symlink_to(tmp_path / "nothing")
    with pytest.raises(DataError, match="cannot be listed"):
        open_store(path)


def test_written_for_zarr_2_and_read_back(tmp_path: Path) -> None:
    store = open_store(write_store(tmp_path / "demos.zarr"))
    report = export_store(store, tmp_path / "replay.zarr", "diffusion_policy")
    root = zarr.open_group(str(report.out), mode="r", zarr_format=2)
    assert sorted(root["data"]) == ["action", "state"]
    assert root["meta/episode_ends"][:].tolist() == store.episode_ends.tolist()
    assert not (report.out / ".zattrs").exists() or "imitate" not in (report.out / ".zattrs").read_text()
    for name in store.keys:
        header = json.loads((report.out / "data" / name / ".zarray").read_text())
        assert (header["zarr_format"], header["compressor"]["id"], header["filters"]) == (2, "blosc", None)
        assert np.array_equal(root["data"][name][:], store.array(name)[:])
    said = "; ".join(report.left_out)
    for item in ("names, units", "control rate of 10 Hz", "success of 3 episodes", "ids"):
        assert item in said


def test_converted_straight_from_another_format(tmp_path: Path) -> None:
    source = write_buffer(tmp_path / "r.zarr", ARRAYS | {"reward": np.zeros(30, np.float32)}, zarr_format=3)
    report = import_file(source, tmp_path / "out.zarr", key="diffusion_policy")
    store = open_store(report.out)
    assert np.array_equal(store.array("img")[:], ARRAYS["img"])
    assert np.array_equal(store.array("reward")[:][:, 0], np.zeros(30))
    assert math.prod(store.array("img").shape) == ARRAYS["img"].size
