"""A writer killed at any moment leaves every finished episode as it was, and a store to append to.

An import killed at any moment leaves no store, and is repeated as if nothing had been.
"""

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import zarr

from imitate.datasets.image_chunks import ImageCodec, decode_into
from imitate.datasets.importing import import_file
from imitate.datasets.store import DemoStore
from imitate.types import ArraySpec, DataSpec, Episode

SCRIPT = Path(__file__).with_name("append_until_killed.py")
KILLS, STORES = 208, 8
ENCODED_SIDE = 72
"""Pictures of this size are encoded one by one; auto makes JPEG of noise, and keeps plain ones exactly."""

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")


class Writers:
    """The forking process, and what it and its children say."""

    def __init__(self) -> None:
        self.process = subprocess.Popen(
            [sys.executable, str(SCRIPT)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        self.append_s = [0.05, 0.05]  # how long a process's first append took lately, and a later one

    def heard(self) -> tuple[str, int]:
        assert self.process.stdout is not None
        word, *number = self.process.stdout.readline().split()
        return word, int(number[0]) if number else 0

    def kill_one(self, work: str, appends: int, share: float) -> int:
        """Kill a writer `share` of an append after `appends` of them; gives how many it finished."""
        assert self.process.stdin is not None
        self.process.stdin.write(f"{work}\n")
        self.process.stdin.flush()
        pid, done, began = 0, 0, 0.0
        while pid == 0 or began == 0.0 or done < appends:  # "pid" and "ready" come in either order
            word, number = self.heard()
            assert word in ("pid", "ready", "done"), word
            pid = number if word == "pid" else pid
            if word == "done":
                self.append_s[min(done, 1)] = time.monotonic() - began
                done += 1
            began = began if word == "pid" else time.monotonic()
        time.sleep(share * self.append_s[min(appends, 1)])
        os.kill(pid, signal.SIGKILL)
        while (said := self.heard())[0] == "done":
            done += 1
        assert said == ("dead", -signal.SIGKILL)
        return done

    def close(self) -> None:
        assert self.process.stdin is not None
        self.process.stdin.close()
        assert self.process.wait(timeout=10) == 0


def made(number: int, side: int = 8) -> Episode:
    sys.path.insert(0, str(SCRIPT.parent))
    try:
        from append_until_killed import episode  # type: ignore[import-not-found]
    finally:
        sys.path.pop(0)
    return episode(number, side)  # type: ignore[no-any-return]


def as_kept(camera: np.ndarray) -> np.ndarray:
    """What a store delivers of pictures (n, H, W, 3)."""
    if camera.shape[1] != ENCODED_SIDE:
        return camera
    codec, kept = ImageCodec((1, *camera.shape[1:]), "auto"), np.empty_like(camera)
    for image, out in zip(camera, kept, strict=True):
        decode_into(codec.encode_image(image), out)
    return kept


def require_intact(store: DemoStore, numbers: range) -> None:
    for number in numbers:
        found, expected = store.episode(number), made(number, store.spec.obs["camera"].shape[0])
        assert (found.id, found.success, found.metadata) == (
            expected.id,
            expected.success,
            expected.metadata,
        )
        assert np.array_equal(found.action, expected.action)
        assert np.array_equal(found.obs["state"], expected.obs["state"])
        assert np.array_equal(found.obs["camera"], as_kept(expected.obs["camera"]))


def left_something(store: DemoStore) -> bool:
    # The array that is written first.
    rows = zarr.open_array(str(store.path / "data/state"), mode="r", zarr_format=2).shape[0]
    lines = (store.path / "meta/episodes.jsonl").read_bytes().count(b"\n")
    unnamed = any(store.path.rglob("*.partial"))
    return unnamed or rows != store.steps or lines != len(store)


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    """In memory where there is such a file system: what waits for a disk says nothing about kill -9."""
    memory = Path("/dev/shm")
    with tempfile.TemporaryDirectory(dir=memory if os.access(memory, os.W_OK) else tmp_path) as name:
        yield Path(name)


@pytest.mark.slow
@pytest.mark.parametrize(("side", "kills", "stores"), [(8, KILLS, STORES), (ENCODED_SIDE, KILLS // 2, 4)])
def test_every_finished_episode_survives_kill_9(
    folder: Path, spec: DataSpec, side: int, kills: int, stores: int
) -> None:
    spec = DataSpec({**spec.obs, "camera": ArraySpec((side, side, 3), "uint8")}, spec.action, spec.rate_hz)
    rng = np.random.default_rng(side)
    writers = Writers()
    interrupted = 0
    for number in range(stores):
        path = folder / f"{number}.zarr"
        DemoStore.create(path, spec, storage="auto")
        known = 0
        for _ in range(kills // stores):
            work = f"append {path} {known}"
            done = writers.kill_one(work, int(rng.integers(0, 3)), float(rng.uniform(0, 1.1)))
            store = DemoStore.open(path)
            # One more may be whole: killed after it counted and before the append returned.
            assert len(store) - (known + done) in (0, 1)
            require_intact(store, range(max(0, known - 1), len(store)))
            interrupted += left_something(store)
            known = len(store)
        require_intact(DemoStore.open(path), range(known))
    writers.close()
    assert interrupted > kills // 8, f"{interrupted} kills fell into an append: too few to mean much"


@pytest.mark.slow
def test_an_import_with_a_camera_survives_kill_9(folder: Path) -> None:
    source, out = folder / "walks.npz", folder / "out.zarr"
    episodes = [made(number, ENCODED_SIDE) for number in range(4)]
    arrays = {key: np.concatenate([e.obs[key] for e in episodes]) for key in ("state", "camera")}
    ends = np.cumsum([len(e) for e in episodes])
    np.savez(source, action=np.concatenate([e.action for e in episodes]), episode_ends=ends, **arrays)
    expected = import_file(source, folder / "whole.zarr", storage="auto").data_hash
    writers, interrupted = Writers(), 0
    writers.kill_one(f"import {source} {folder}/timed.zarr", 1, 0.0)
    rng, there = np.random.default_rng(0), {"walks.npz", "whole.zarr", "timed.zarr"}
    for _ in range(40):
        done = writers.kill_one(f"import {source} {out}", 0, float(rng.uniform(0, 1.1)))
        left = {child.name for child in folder.iterdir()} - there
        # The next import takes away what this one had begun.
        assert all(name == "out.zarr" or name.lstrip(".").startswith("out.zarr.importing") for name in left)
        interrupted += (folder / ".out.zarr.importing").exists()
        if out.exists():  # killed once it was whole, perhaps before it could say so
            assert DemoStore.open(out).content_hash() == expected
            shutil.rmtree(out)
        else:
            assert done == 0
    writers.close()
    assert interrupted > 10, f"{interrupted} kills fell into an import: too few to mean much"
    assert import_file(source, out, storage="auto").data_hash == expected
    assert {child.name for child in folder.iterdir()} == there | {"out.zarr"}
    found = DemoStore.open(out)
    for index, episode in enumerate(episodes):
        found.verify(index)
        assert np.array_equal(found.episode(index).obs["camera"], as_kept(episode.obs["camera"]))
