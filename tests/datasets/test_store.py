"""The demonstration store gives back what was put in, and never half of it."""

import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import zarr
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from imitate.datasets.store import DemoStore
from imitate.errors import DataError, SpecError
from imitate.types import ArraySpec, DataSpec, Episode

Make = Callable[..., DemoStore]
MakeEpisode = Callable[..., Episode]


def require_same(found: Episode, expected: Episode) -> None:
    assert replace(found, obs={}, action=expected.action) == replace(expected, obs={})
    assert set(found.obs) == set(expected.obs)
    for key, array in {**expected.obs, "action": expected.action}.items():
        other = found.action if key == "action" else found.obs[key]
        assert other.dtype == array.dtype
        assert np.array_equal(other, array)


@settings(max_examples=8, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(lengths=st.lists(st.integers(1, 60), min_size=1, max_size=5))
def test_round_trip_of_any_lengths(
    lengths: list[int], make_episode: MakeEpisode, spec: DataSpec, tmp_path: Path
) -> None:
    shutil.rmtree(tmp_path / "s.zarr", ignore_errors=True)
    store = DemoStore.create(tmp_path / "s.zarr", spec)
    for number, steps in enumerate(lengths):
        store.append(make_episode(number, steps))
    opened = DemoStore.open(tmp_path / "s.zarr")
    assert opened.spec == spec
    assert opened.episode_ends.tolist() == np.cumsum(lengths).tolist()
    assert opened.episode_ends.dtype == np.int64
    for number, (steps, episode) in enumerate(zip(lengths, opened.episodes(), strict=True)):
        require_same(episode, make_episode(number, steps))
        opened.verify(number)


def test_layout_is_the_replay_buffer_of_diffusion_policy(make_store: Make) -> None:
    store = make_store(3)
    root = zarr.open_group(str(store.path), mode="r", zarr_format=2)
    ends = root["meta/episode_ends"][:]
    assert ends.tolist() == store.episode_ends.tolist()
    # What its ReplayBuffer asserts when it opens a file.
    assert all(root[f"data/{name}"].shape[0] == ends[-1] for name in store.keys)
    assert np.array_equal(root["data/action"][:], store.array("action")[:])


def test_create_refuses_an_existing_path(make_store: Make, spec: DataSpec) -> None:
    store = make_store(1)
    with pytest.raises(DataError, match="already exists"):
        DemoStore.create(store.path, spec)
    assert len(DemoStore.open(store.path)) == 1


def test_names_that_cannot_name_arrays_are_refused_and_leave_nothing(tmp_path: Path) -> None:
    for key in ("action", "a/b", ".hidden", ""):
        with pytest.raises(SpecError, match=r"cannot name an array"):
            DemoStore.create(tmp_path / "s.zarr", DataSpec({key: ArraySpec((1,))}, ArraySpec((1,))))
    assert not list(tmp_path.iterdir())


def test_appends_that_do_not_fit_change_nothing(make_store: Make, make_episode: MakeEpisode) -> None:
    store = make_store(2)
    before = store.content_hash()
    good = make_episode(7)
    state, camera = good.obs["state"], good.obs["camera"]
    bad = {
        "observations": replace(good, obs={"state": state}),
        r"\(4,\)": replace(good, action=np.zeros((len(good), 4), np.float32)),
        "float32": replace(good, obs={"state": state, "camera": camera.astype(np.float32)}),
        "Hz": replace(good, rate_hz=20.0),
        "another id": replace(good, id="demo_0"),
        "not JSON": replace(good, metadata={"seed": np.int64(3)}),
    }
    for message, episode in bad.items():
        with pytest.raises((SpecError, DataError), match=message):
            store.append(episode)
        assert DemoStore.open(store.path).content_hash() == before
    store.append(good)
    require_same(DemoStore.open(store.path).episode(2), good)


def test_content_hash_does_not_depend_on_chunks_but_on_every_number(
    make_store: Make, make_episode: MakeEpisode, monkeypatch: pytest.MonkeyPatch
) -> None:
    plain = make_store(4)
    monkeypatch.setattr("imitate.datasets.array_files.STATE_CHUNK_BYTES", 40)
    rechunked = make_store(4, "rechunked.zarr")
    assert rechunked.array("state").chunk_rows != plain.array("state").chunk_rows
    assert rechunked.content_hash() == plain.content_hash()
    rechunked.append(make_episode(9))
    assert rechunked.content_hash() != plain.content_hash()


def test_verify_notices_a_changed_number(make_store: Make) -> None:
    store = make_store(2)
    array = zarr.open_array(str(store.path / "data/state"), mode="r+", zarr_format=2)
    array[0, 1] = array[0, 1] + 1
    with pytest.raises(DataError, match="demo_0"):
        DemoStore.open(store.path).verify(0)
    DemoStore.open(store.path).verify(1)


def test_a_second_writer_is_refused_until_the_first_one_closes(
    make_store: Make, make_episode: MakeEpisode
) -> None:
    first = make_store(1)
    second = DemoStore.open(first.path)
    first.append(make_episode(1))
    with pytest.raises(DataError, match="is being written by process"):
        second.append(make_episode(2))
    first.close()
    second.append(make_episode(2))
    assert [second.record(i).id for i in range(3)] == ["demo_0", "demo_1", "demo_2"]
    require_same(DemoStore.open(first.path).episode(1), make_episode(1))


def test_another_process_that_writes_is_named(make_store: Make, make_episode: MakeEpisode) -> None:
    store = make_store(1)
    store.append(make_episode(1))
    code = (
        "import sys; from imitate.datasets.durable import WriterLock; from pathlib import Path\n"
        "from imitate.errors import DataError\n"
        "try: WriterLock(Path(sys.argv[1]))\n"
        "except DataError as error: print(error)"
    )
    command = [sys.executable, "-c", code, str(store.path)]
    out = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert "is being written by process" in out


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda p: (p / "data/state/0.0").unlink(), r"data/state/0\.0 is missing"),
        (lambda p: (p / "data/action/.zarray").unlink(), r"data/action/\.zarray is missing"),
        (lambda p: (p / ".zattrs").write_text("{"), r"\.zattrs is missing or damaged"),
        (lambda p: (p / "meta/episodes.jsonl").write_text(""), r"episodes\.jsonl has 0 lines, expected 3"),
        (lambda p: (p / "meta/episode_ends/.zarray").unlink(), r"episode_ends/\.zarray is missing"),
    ],
)
def test_damage_is_named(make_store: Make, damage: Callable[[Path], object], message: str) -> None:
    path = make_store(3).path
    damage(path)
    with pytest.raises(DataError, match=message):
        DemoStore.open(path)


def test_a_truncated_chunk_is_named(make_store: Make) -> None:
    store = make_store(3)
    chunk = store.path / "data/state/0.0"
    chunk.write_bytes(chunk.read_bytes()[:30])
    with pytest.raises(DataError, match=r"data/state/0\.0 is truncated: 30 bytes"):
        DemoStore.open(store.path)


def test_object_arrays_are_never_unpickled(make_store: Make) -> None:
    store = make_store(1)
    header = store.path / "data/state/.zarray"
    changed = json.loads(header.read_text()) | {"dtype": "|O", "filters": [{"id": "pickle"}]}
    header.write_text(json.dumps(changed))
    with pytest.raises(DataError, match="never unpickled"):
        DemoStore.open(store.path)
