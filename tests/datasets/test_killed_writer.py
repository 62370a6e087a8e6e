"""A writer killed at any moment leaves every finished episode as it was, and a store to append to."""

import os
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

from imitate.datasets.store import DemoStore
from imitate.types import DataSpec, Episode

SCRIPT = Path(__file__).with_name("append_until_killed.py")
KILLS, STORES = 208, 8

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

    def kill_one(self, path: Path, first: int, appends: int, share: float) -> int:
        """Kill a writer `share` of an append after `appends` of them; gives how many it finished."""
        assert self.process.stdin is not None
        self.process.stdin.write(f"{path} {first}\n")
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


def made(number: int) -> Episode:
    sys.path.insert(0, str(SCRIPT.parent))
    try:
        from append_until_killed import episode  # type: ignore[import-not-found]
    finally:
        sys.path.pop(0)
    return episode(number)  # type: ignore[no-any-return]


def require_intact(store: DemoStore, numbers: range) -> None:
    for number in numbers:
        found, expected = store.episode(number), made(number)
        assert (found.id, found.success, found.metadata) == (
            expected.id,
            expected.success,
            expected.metadata,
        )
        assert np.array_equal(found.action, expected.action)
        assert all(np.array_equal(found.obs[key], expected.obs[key]) for key in expected.obs)


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
def test_every_finished_episode_survives_kill_9(folder: Path, spec: DataSpec) -> None:
    rng = np.random.default_rng(0)
    writers = Writers()
    interrupted = 0
    for number in range(STORES):
        path = folder / f"{number}.zarr"
        DemoStore.create(path, spec)
        known = 0
        for _ in range(KILLS // STORES):
            done = writers.kill_one(path, known, int(rng.integers(0, 3)), float(rng.uniform(0, 1.1)))
            store = DemoStore.open(path)
            # One more may be whole: killed after it counted and before the append returned.
            assert len(store) - (known + done) in (0, 1)
            require_intact(store, range(max(0, known - 1), len(store)))
            interrupted += left_something(store)
            known = len(store)
        require_intact(DemoStore.open(path), range(known))
    writers.close()
    assert interrupted > KILLS // 5, f"{interrupted} kills fell into an append: too few to mean much"
