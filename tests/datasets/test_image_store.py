"""A store of encoded images: random access, no loss beyond the first encoding, whole or absent."""

import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
import zarr

from imitate.datasets import array_files
from imitate.datasets.image_array import ImageArray
from imitate.datasets.importing import LOSSY, import_file
from imitate.datasets.loader import DataConfig, prepare
from imitate.datasets.store import DemoStore
from imitate.envs.tabletop.reach import ReachConfig
from imitate.errors import DataError, EnvError
from imitate.policy import Horizons
from imitate.types import ArraySpec, DataSpec, Episode

SIZE = (72, 80)
SPEC = DataSpec(
    {
        "state": ArraySpec((2,)),
        "front": ArraySpec((*SIZE, 3), "uint8"),
        "front_depth": ArraySpec((*SIZE, 3), "uint8"),
    },
    ArraySpec((1,)),
    10.0,
)
ROWS = 7
"""Images per chunk in these tests."""


@pytest.fixture(autouse=True)
def small_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(array_files, "ENCODED_CHUNK_BYTES", ROWS * SIZE[0] * SIZE[1] * 3)


def made(number: int, steps: int) -> Episode:
    """Frames of a blob that moves over smooth colours, never two the same."""
    rng = np.random.default_rng(number)
    ground = cv2.resize(rng.integers(0, 256, (4, 4, 3), np.uint8), SIZE[::-1], interpolation=cv2.INTER_CUBIC)
    front = np.stack([cv2.circle(ground.copy(), (5 + 2 * t, 30), 8, (250, 20, 60), -1) for t in range(steps)])
    state = rng.normal(size=(steps, 2)).astype(np.float32)
    return Episode(
        f"demo_{number}",
        {"state": state, "front": front, "front_depth": front},
        rng.normal(size=(steps, 1)).astype(np.float32),
        rate_hz=10.0,
    )


def written(path: Path, lengths: list[int], first: int = 0) -> DemoStore:
    with DemoStore.create(path, SPEC, storage="jpeg") as store:
        for number, steps in enumerate(lengths, first):
            store.append(made(number, steps))
    return store


def front_of(store: DemoStore) -> ImageArray:
    array = store.array("front")
    assert isinstance(array, ImageArray)
    return array


def psnr(a: np.ndarray, b: np.ndarray) -> float:
    return float(10 * np.log10(255**2 / max(1e-9, np.mean((a.astype(np.float64) - b) ** 2))))


def test_appending_never_touches_what_was_encoded(tmp_path: Path) -> None:
    store = DemoStore.create(tmp_path / "s.zarr", SPEC, storage="jpeg")
    files: list[bytes] = []
    for number, steps in enumerate([3, 1, 9, 7, 2, 20]):
        store.append(made(number, steps))
        now = front_of(store).encoded(0, store.steps)
        assert now[: len(files)] == files
        files = now
    opened = DemoStore.open(tmp_path / "s.zarr")
    for number, episode in enumerate(opened.episodes()):
        expected = made(number, len(episode))
        assert psnr(episode.obs["front"], expected.obs["front"]) > 37
        assert np.array_equal(episode.obs["front_depth"], expected.obs["front_depth"])
        assert np.array_equal(episode.obs["state"], expected.obs["state"])
        opened.verify(number)


def test_rows_are_the_same_however_they_are_asked_for(tmp_path: Path) -> None:
    front = front_of(written(tmp_path / "s.zarr", [10, 13, 8]))
    everything = front[:]
    assert everything.shape == front.shape == (31, *SIZE, 3)
    assert front.nbytes == everything.nbytes
    assert front.chunk_rows == ROWS
    rng = np.random.default_rng(0)
    for rows in (
        rng.integers(0, 31, 50),
        np.array([30, 0, 0, 7, 6, 30]),
        np.array([-1, -31]),
        np.array([], int),
    ):
        assert np.array_equal(front[rows], everything[rows])
        wider = np.zeros((2 * len(rows), *everything.shape[1:]), np.uint8)
        front.read_into(rows, wider, np.arange(0, len(wider), 2)[::-1])
        assert np.array_equal(wider[::2][::-1], everything[rows])
        assert not wider[1::2].any()
    for rows in (slice(5, 9), slice(28, 99), slice(-3, None), slice(20, 3, -4), slice(4, 4)):
        assert np.array_equal(front[rows], everything[rows])
    assert np.array_equal(front[8], everything[8])
    assert np.array_equal(front[-2], everything[-2])
    picked = everything[:, 0, 0, 0] % 2 == 0
    assert np.array_equal(front[picked], everything[picked])
    with pytest.raises(IndexError):
        front[np.array([31])]
    with pytest.raises(IndexError):
        front[-32]


def test_only_the_chunks_with_the_rows_are_read(tmp_path: Path) -> None:
    front = front_of(written(tmp_path / "s.zarr", [30]))
    whole = front[:]
    (tmp_path / "s.zarr/data/front/1.0.0.0").unlink()
    assert np.array_equal(front[np.array([0, 6, 14, 29])], whole[[0, 6, 14, 29]])
    with pytest.raises(DataError, match=r"data/front/1\.0\.0\.0"):
        front[7]


def test_plain_zarr_reads_the_same(tmp_path: Path) -> None:
    store = written(tmp_path / "s.zarr", [10, 13])
    theirs = zarr.open_group(str(store.path), mode="r", zarr_format=2)["data/front"]
    assert np.array_equal(theirs[:], front_of(store)[:])
    assert np.array_equal(theirs[9], front_of(store)[9])


def test_copying_hands_the_encoded_images_on(tmp_path: Path) -> None:
    store = written(tmp_path / "s.zarr", [10, 13])
    with DemoStore.create(tmp_path / "copy.zarr", SPEC, storage="jpeg") as copy:
        for index in (1, 0):
            copy.append(store.episode(index), store.encoded(index))
    assert copy.record(0).digest == store.record(1).digest
    assert front_of(copy).encoded(0, 13) == front_of(store).encoded(10, 23)
    with pytest.raises(DataError, match=r"'front' of episode 'demo_9' has 13 encoded images, expected 4"):
        copy.append(made(9, 4), {"front": store.encoded(1)["front"]})
    with pytest.raises(DataError, match="cannot be stored: an image is neither JPEG nor zstd"):
        copy.append(made(9, 1), {"front": [b"\xff\xd8junk"]})
    assert len(DemoStore.open(copy.path)) == 2


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda chunk: chunk[:-1], "is truncated"),
        (lambda chunk: chunk[:9], "no chunk of images"),
        (lambda chunk: b"JUNK" + chunk[4:], "no chunk of images"),
        (lambda chunk: b"", "no chunk of images"),
    ],
)
def test_a_damaged_chunk_is_named_when_the_store_is_opened(
    tmp_path: Path, damage: Callable[[bytes], bytes], message: str
) -> None:
    store = written(tmp_path / "s.zarr", [10])
    chunk = store.path / "data/front/1.0.0.0"
    chunk.write_bytes(damage(chunk.read_bytes()))
    with pytest.raises(DataError, match=rf"data/front/1\.0\.0\.0.*{message}"):
        DemoStore.open(store.path)


def test_changed_images_are_noticed(tmp_path: Path) -> None:
    store = written(tmp_path / "s.zarr", [10, 10])
    chunk = store.path / "data/front/0.0.0.0"
    content = bytearray(chunk.read_bytes())
    files = front_of(store).encoded(0, 2)
    at = content.index(files[0]) + len(files[0]) // 2
    content[at] ^= 0x15
    chunk.write_bytes(content)
    with pytest.raises(DataError, match=r"demo_0|0\.0\.0\.0"):
        DemoStore.open(store.path).verify(0)
    content[content.index(b"\xff\xc0") + 6] += 1
    chunk.write_bytes(content)
    with pytest.raises(DataError, match=r"data/front/0\.0\.0\.0: an image is 73 x 80 px, expected 72 x 80"):
        DemoStore.open(store.path).episode(0)


def test_an_append_is_whole_or_absent_wherever_it_stops(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = written(tmp_path / "s.zarr", [10, 3]).path
    before = DemoStore.open(path).content_hash()
    write, calls = array_files.write_durably, 0

    class PowerCutError(Exception):
        pass

    def stopping(file: Path, content: object) -> None:
        nonlocal calls
        calls -= 1
        if calls < 0:
            file.with_name(file.name + ".partial").write_bytes(bytes(content)[:5])  # type: ignore[call-overload]
            raise PowerCutError
        write(file, content)

    writes = 0
    with monkeypatch.context() as patch:
        patch.setattr(array_files, "write_durably", stopping)
        while True:
            calls = writes
            with DemoStore.open(path) as store:
                try:
                    store.append(made(2, 9))
                    break
                except PowerCutError:
                    pass
            left = DemoStore.open(path)
            assert (len(left), left.content_hash()) == (2, before)
            left.verify(0)
            left.verify(1)
            writes += 1
    assert writes >= 8
    whole = DemoStore.open(path)
    for index in range(3):
        whole.verify(index)
    assert whole.content_hash() == written(tmp_path / "other.zarr", [10, 3, 9]).content_hash()


def test_training_reads_the_windows_from_disk_as_from_memory(tmp_path: Path) -> None:
    store = written(tmp_path / "s.zarr", [10, 13, 8])
    batches = []
    one_camera = store.array("front").nbytes / 2**30
    for gib in (0.0, 1.0, 0.5 * one_camera, 1.7 * one_camera):
        config = DataConfig(str(store.path), val_fraction=0.0, memory_gib=gib)
        train = prepare(config, Horizons(2, 4, 2), SPEC, 16, seed=0).train
        stream = train.stream()
        batches.append([next(stream) for _ in range(4)])
        stream.close()
    for one, *others in zip(*batches, strict=True):
        assert all(one.obs[key].equal(other.obs[key]) for key in SPEC.obs for other in others)


def test_an_import_says_what_became_jpeg_and_copies_keep_every_bit(tmp_path: Path) -> None:
    exact = tmp_path / "exact.zarr"
    with DemoStore.create(exact, SPEC) as store:
        noisy = made(0, 9)
        front = noisy.obs["front"] ^ np.random.default_rng(0).integers(
            0, 32, noisy.obs["front"].shape, np.uint8
        )
        store.append(replace(noisy, obs={**noisy.obs, "front": front}))
    assert np.array_equal(store.episode(0).obs["front"], front)
    report = import_file(exact, tmp_path / "auto.zarr", storage="auto")
    assert [line for line in report.left_out if "JPEG" in line] == [f"front: {LOSSY}"]
    lossless = import_file(exact, tmp_path / "same.zarr")
    assert lossless.left_out == ()
    assert lossless.data_hash == store.content_hash()
    copy = import_file(tmp_path / "auto.zarr", tmp_path / "copy.zarr", storage="jpeg")
    assert (copy.data_hash, copy.left_out) == (report.data_hash, ())
    assert DemoStore.open(copy.out).encoded(0) == DemoStore.open(report.out).encoded(0)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_forked_child_still_reads(tmp_path: Path) -> None:
    front = front_of(written(tmp_path / "s.zarr", [30]))
    whole = front[:]
    child = os.fork()
    if child == 0:
        os._exit(0 if np.array_equal(front[:], whole) else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


def test_training_sees_nearly_what_the_environment_draws(tmp_path: Path) -> None:
    env = ReachConfig(cameras=("front", "wrist"), image_size=(96, 96)).build()
    try:
        seen = [env.reset(seed=seed)[0] for seed in range(3)]
    except EnvError as error:
        pytest.skip(str(error))
    finally:
        env.close()
    spec = DataSpec({key: env.data_spec.obs[key] for key in ("front", "wrist")}, ArraySpec((1,)))
    with DemoStore.create(tmp_path / "s.zarr", spec, storage="jpeg") as store:
        obs = {key: np.stack([each[key] for each in seen]) for key in spec.obs}
        store.append(Episode("seen", obs, np.zeros((3, 1), np.float32)))
    with DemoStore.create(tmp_path / "auto.zarr", spec, storage="auto") as auto:
        auto.append(Episode("seen", obs, np.zeros((3, 1), np.float32)))
    stored = store.episode(0).obs
    for key, images in obs.items():
        if key not in auto.changed:
            assert np.array_equal(auto.episode(0).obs[key], images)
        assert psnr(stored[key], images) > 38
        assert abs(stored[key].mean(dtype=float) - images.mean(dtype=float)) < 0.5


def test_an_episode_of_another_type_is_refused_before_anything_is_encoded(tmp_path: Path) -> None:
    store = written(tmp_path / "s.zarr", [4])
    good = made(1, 4)
    with pytest.raises(Exception, match="float32 per step"):
        store.append(replace(good, obs={**good.obs, "front": good.obs["front"].astype(np.float32)}))
    assert len(store) == 1
