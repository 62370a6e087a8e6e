"""What an append costs does not grow with the store, and what another process appended is seen."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from imitate.datasets.array_files import append_rows, create_ends
from imitate.datasets.store import DemoStore
from imitate.errors import DataError
from imitate.types import Episode

COUNTED = Path("/proc/self/io")
STEPS = 2


def grown(store: DemoStore, episodes: int) -> Path:
    """The store, with its one episode of `episodes` times STEPS steps cut into so many episodes."""
    meta = store.path / "meta"
    record = json.loads((meta / "episodes.jsonl").read_bytes())
    lines = [json.dumps({**record, "id": f"part_{i}", "steps": STEPS}) for i in range(episodes)]
    (meta / "episodes.jsonl").write_text("\n".join(lines) + "\n")
    shutil.rmtree(meta / "episode_ends")
    create_ends(meta / "episode_ends")
    append_rows(meta / "episode_ends", 0, STEPS * np.arange(1, episodes + 1))
    return store.path


def bytes_read() -> int:
    return int(COUNTED.read_text().split()[1])


@pytest.mark.skipif(not COUNTED.exists(), reason="needs Linux, which counts what a process reads")
def test_an_append_reads_as_much_in_a_large_store_as_in_a_small_one(
    make_store: Callable[..., DemoStore], make_episode: Callable[..., Episode]
) -> None:
    read = {}
    for episodes in (100, 20_000):
        path = grown(make_store(1, f"{episodes}.zarr", STEPS * episodes), episodes)
        with DemoStore.open(path) as store:
            store.append(make_episode(1, 5))  # takes the lock, and looks through the records
            before = bytes_read()
            store.append(make_episode(2, 5))
            read[episodes] = bytes_read() - before
            with pytest.raises(DataError, match="already an episode 'part_7'"):
                store.append(Episode(**{**vars(make_episode(3, 5)), "id": "part_7"}))
        assert [r.id for r in map(DemoStore.open(path).record, (-3, -2, -1))][1:] == ["demo_1", "demo_2"]
    # The last chunk of each array is read again: at most those of state, camera and action, unpacked.
    assert read[20_000] < read[100] + 1024 * 1024, read


def test_what_another_has_appended_since_opening_comes_first(
    make_store: Callable[..., DemoStore], make_episode: Callable[..., Episode]
) -> None:
    path = make_store(2).path
    mine, other = DemoStore.open(path), DemoStore.open(path)
    with other:
        other.append(make_episode(5))
    with mine:
        with pytest.raises(DataError, match="already an episode 'demo_5'"):
            mine.append(make_episode(5))
        mine.append(make_episode(6))
    with other:  # it was closed, and goes on
        other.append(make_episode(7))
    found = DemoStore.open(path)
    assert [found.record(i).id for i in range(len(found))] == [
        "demo_0",
        "demo_1",
        "demo_5",
        "demo_6",
        "demo_7",
    ]
    for index in range(len(found)):
        found.verify(index)


def test_another_store_of_as_many_episodes_in_its_place_is_noticed(
    make_store: Callable[..., DemoStore], make_episode: Callable[..., Episode]
) -> None:
    first = make_store(2, steps=7)
    shutil.rmtree(first.path)
    with DemoStore.create(first.path, first.spec, "test") as second:
        for number in (8, 9):
            second.append(make_episode(number, 7))
    with first:
        first.append(make_episode(1, 7))
    found = DemoStore.open(first.path)
    assert [found.record(i).id for i in range(len(found))] == ["demo_8", "demo_9", "demo_1"]
