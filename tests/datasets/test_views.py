"""Facts about views: what they hold is what the operations say, and their sources stay as they are."""

import dataclasses
import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import zarr
from episodes_compared import ids, require_equal
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from replay_buffers import write_buffer, zipped

from imitate.datasets.formats import format_of
from imitate.datasets.importing import import_file
from imitate.datasets.loader import DataConfig, prepare
from imitate.datasets.opening import open_store
from imitate.datasets.replay_buffer import ReplayBuffer
from imitate.datasets.store import DemoStore
from imitate.datasets.views.criteria import Criteria
from imitate.datasets.views.making import derive, undo
from imitate.datasets.views.operations import Filter, Operation, Relabel, Rename, Trim
from imitate.datasets.views.view import View
from imitate.errors import ConfigError, DataError
from imitate.policy import Horizons
from imitate.types import ArraySpec, DataSpec, Episode

Make = Callable[..., DemoStore]


def contents(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


class NothingLeftError(Exception):
    """A cut would leave an episode without a step."""


@dataclasses.dataclass
class Model:
    """What operations do to episodes in memory."""

    episodes: list[Episode]

    def apply(self, operation: Operation) -> None:
        if isinstance(operation, Filter):
            self.episodes = [
                e for e in self.episodes if (e.success is operation.where.success) != operation.drop
            ]
        elif isinstance(operation, Trim):
            self.episodes = [self._trimmed(e, operation) for e in self.episodes]
        elif isinstance(operation, Relabel):
            assert operation.operator is not None
            self.episodes = [dataclasses.replace(e, operator=operation.operator) for e in self.episodes]

    def _trimmed(self, e: Episode, trim: Trim) -> Episode:
        if trim.start + trim.end >= len(e):
            raise NothingLeftError
        part = slice(trim.start, len(e) - trim.end)
        return dataclasses.replace(e, obs={k: v[part] for k, v in e.obs.items()}, action=e.action[part])


operations = st.lists(
    st.one_of(
        st.builds(Filter, st.builds(Criteria, success=st.booleans()), drop=st.booleans()),
        st.builds(Trim, start=st.integers(0, 4), end=st.integers(0, 4)),
        st.builds(Relabel, operator=st.sampled_from(["anna", "ben"])),
    ),
    min_size=1,
    max_size=4,
)


@settings(max_examples=15, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(chosen=operations)
def test_a_view_holds_what_the_operations_leave(
    chosen: list[Operation], make_store: Make, tmp_path: Path
) -> None:
    if not (tmp_path / "demos.zarr").exists():
        make_store(6)
    store, out = DemoStore.open(tmp_path / "demos.zarr"), tmp_path / "x.view.json"
    before = contents(store.path)
    out.unlink(missing_ok=True)
    model = Model(list(store.episodes()))
    try:
        for operation in chosen:
            model.apply(operation)
    except NothingLeftError:
        with pytest.raises((ConfigError, DataError), match=r"trim|no episode would be left"):
            derive(store, chosen, out)
        return
    if not model.episodes:
        with pytest.raises(DataError, match="no episode would be left"):
            derive(store, chosen, out)
        return
    derive(store, chosen, out)
    view = open_store(out)
    assert ids(view) == [e.id for e in model.episodes]
    assert view.steps == sum(map(len, model.episodes))
    for found, expected in zip(view.episodes(), model.episodes, strict=True):
        require_equal(found, expected)
    assert contents(store.path) == before


def test_everything_that_reads_stores_reads_views(make_store: Make, spec: DataSpec, tmp_path: Path) -> None:
    store = make_store(6, steps=12)
    view = derive(
        store, [Filter(Criteria(ids=("demo_4", "demo_1", "demo_2"))), Trim(start=2)], tmp_path / "x.view.json"
    )
    report = import_file(view.path, tmp_path / "copy.zarr")
    made = DemoStore.open(tmp_path / "copy.zarr")
    assert (report.episodes, report.steps, ids(made)) == (3, 30, ["demo_1", "demo_2", "demo_4"])
    for a, b in zip(made.episodes(), view.episodes(), strict=True):
        require_equal(a, b)
        assert a.metadata == b.metadata
    for memory in (0.0, 1.0):
        config = DataConfig(str(view.path), memory_gib=memory, val_fraction=0.3)
        seen = prepare(config, Horizons(2, 6, 3), spec, 16, seed=0)
        copied = prepare(
            dataclasses.replace(config, path=str(made.path)), Horizons(2, 6, 3), spec, 16, seed=0
        )
        assert seen.data_hash == view.content_hash()
        for step in range(3):
            a, b = seen.train.batch(step), copied.train.batch(step)
            assert all(bool((a.obs[key] == b.obs[key]).all()) for key in a.obs)
            assert bool((a.action == b.action).all())


def test_a_view_of_a_view_goes_on_with_its_history(make_store: Make, tmp_path: Path) -> None:
    store = make_store(6)
    first = derive(store, [Filter(Criteria(success=True))], tmp_path / "a.view.json")
    second = derive(first, [Relabel(operator="anna")], tmp_path / "deep" / "b.view.json")
    assert [entry.operation for entry in second.file.history] == ["filter", "relabel"]
    assert json.loads(second.path.read_text())["sources"][0]["path"] == "../demos.zarr"
    first.path.unlink()
    assert ids(open_store(second.path)) == ["demo_1", "demo_3", "demo_5"]
    undone = undo(second, tmp_path / "c.view.json")
    assert undone.content_hash() == first.content_hash()
    with pytest.raises(DataError, match="history of one operation"):
        undo(undone, tmp_path / "d.view.json")
    with pytest.raises(DataError, match="no view"):
        undo(store, tmp_path / "d.view.json")


def test_a_file_may_name_a_view_as_its_source(make_store: Make, tmp_path: Path) -> None:
    view = derive(make_store(6), [Filter(Criteria(success=True))], tmp_path / "a.view.json")
    plain = {
        "kind": "imitate view",
        "format": 1,
        "sources": [{"path": "a.view.json", "hash": view.content_hash()}],
        "history": [{"operation": "trim", "ranges": {"demo_3": [0, 1]}}],
    }
    path = tmp_path / "b.view.json"
    path.write_text(json.dumps(plain))
    assert [open_store(path).record(i).steps for i in range(3)][1] == 1


def test_the_hash_covers_sources_and_operations_and_nothing_else(make_store: Make, tmp_path: Path) -> None:
    store = make_store(4)
    view = derive(store, [Trim(where=Criteria(min_steps=2), start=1)], tmp_path / "a.view.json")
    plain = json.loads(view.path.read_text())
    plain["history"][0]["date"] = "yesterday"
    (tmp_path / "b.view.json").write_text(json.dumps(plain))
    assert open_store(tmp_path / "b.view.json").content_hash() == view.content_hash()
    shutil.copytree(tmp_path, moved := tmp_path.with_name(f"{tmp_path.name}_moved"))
    assert open_store(moved / "a.view.json").content_hash() == view.content_hash()
    plain["history"][0]["where"]["min_steps"] = 3
    (tmp_path / "c.view.json").write_text(json.dumps(plain))
    assert open_store(tmp_path / "c.view.json").content_hash() != view.content_hash()
    assert view.content_hash() != store.content_hash()


def test_a_changed_source_is_refused(make_store: Make, make_episode: Any, tmp_path: Path) -> None:
    store = make_store(3)
    derive(store, [Filter(Criteria(success=True))], path := tmp_path / "a.view.json")
    with store:
        store.append(make_episode(9))
    with pytest.raises(
        DataError, match=r"a\.view\.json: its source .*demos\.zarr has changed.*make the view again"
    ):
        open_store(path)
    shutil.rmtree(store.path)
    with pytest.raises(DataError, match=r"its source cannot be read: .*demos\.zarr does not exist"):
        open_store(path)


def test_a_view_that_names_itself_is_refused(tmp_path: Path) -> None:
    for name, other in (("a", "b"), ("b", "a")):
        plain = {
            "kind": "imitate view",
            "format": 1,
            "sources": [{"path": f"{other}.view.json", "hash": ""}],
            "history": [],
        }
        (tmp_path / f"{name}.view.json").write_text(json.dumps(plain))
    with pytest.raises(DataError, match="names itself"):
        open_store(tmp_path / "a.view.json")


def test_damage_behind_a_view_is_found(make_store: Make, tmp_path: Path) -> None:
    store = make_store(2, steps=10)
    view = derive(store, [Trim(start=1), Rename(observations={"state": "pose"})], tmp_path / "a.view.json")
    for index in range(2):
        view.verify(index)
    chunk = next((store.path / "data" / "action").glob("[0-9]*"))
    chunk.write_bytes(chunk.read_bytes()[:-3] + b"abc")
    with pytest.raises(DataError):
        open_store(view.path).verify(0)


def test_only_one_format_recognises_a_view(make_store: Make, tmp_path: Path) -> None:
    view = derive(make_store(2), [Trim(end=0)], tmp_path / "a.view.json")
    found = format_of(view.path)
    assert found is not None
    assert found.key == "imitate"
    (tmp_path / "keep.json").write_text('{"episodes": [], "data_hash": ""}')
    assert format_of(tmp_path / "keep.json") is None


def test_nothing_is_overwritten(make_store: Make, tmp_path: Path) -> None:
    store = make_store(2)
    (tmp_path / "a.view.json").write_text("mine")
    with pytest.raises(DataError, match="already exists"):
        derive(store, [Trim(end=0)], tmp_path / "a.view.json")
    assert (tmp_path / "a.view.json").read_text() == "mine"
    with pytest.raises(DataError, match=r"expected a name such as x\.view\.json"):
        derive(store, [Trim(end=0)], tmp_path / "x.zarr")


def test_encoded_images_are_copied_as_they_are(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    spec = DataSpec({"camera": ArraySpec((80, 80, 3), "uint8"), "state": ArraySpec((1,))}, ArraySpec((1,)))
    with DemoStore.create(tmp_path / "a.zarr", spec, storage="jpeg") as store:
        images = rng.integers(0, 256, (6, 80, 80, 3), np.uint8)
        numbers = np.zeros((6, 1), np.float32)
        store.append(Episode("e", {"camera": images, "state": numbers}, numbers))
    view = derive(
        store, [Trim(start=2, end=1), Rename(observations={"camera": "front"})], tmp_path / "x.view.json"
    )
    assert view.encoded(0) == {"front": store.encoded(0)["camera"][2:5]}
    import_file(view.path, tmp_path / "b.zarr", storage="jpeg")
    seen = [
        DemoStore.open(tmp_path / "b.zarr").array("front")[:],
        view.array("front")[:],
        store.array("camera")[2:5],
    ]
    assert np.array_equal(seen[0], seen[1])
    assert np.array_equal(seen[1], seen[2])
    assert np.array_equal(view.array("front")[np.array([2, 0, 2])], seen[2][[2, 0, 2]])


def test_a_view_is_a_view(make_store: Make, tmp_path: Path) -> None:
    view = derive(make_store(2), [Trim(end=0)], tmp_path / "a.view.json")
    assert isinstance(open_store(view.path), View)
    assert view.metadata["view"]["history"][0]["operation"] == "trim"


@pytest.mark.parametrize("is_zip", [False, True])
def test_a_replay_buffer_is_read_again_only_once_its_files_were_touched(
    tmp_path: Path, is_zip: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = write_buffer(tmp_path / "buffer.zarr")
    source = zipped(folder) if is_zip else folder
    view = derive(open_store(source), [Trim(start=1)], tmp_path / "a.view.json")
    touched = source if is_zip else source / "data/state/1.0"
    hashed: list[Path] = []
    content_hash = ReplayBuffer.content_hash
    monkeypatch.setattr(ReplayBuffer, "content_hash", lambda s: hashed.append(s.path) or content_hash(s))
    assert open_store(view.path).content_hash() == view.content_hash() and not hashed
    os.utime(touched, ns=(0, 0))  # what a copy does: then the numbers tell
    assert open_store(view.path).content_hash() == view.content_hash() and len(hashed) == 1
    if not is_zip:
        written = zarr.open_array(str(folder / "data/state"), mode="r+", zarr_format=2)
        written[9] = 0.0
        with pytest.raises(DataError, match="has changed"):
            open_store(view.path)
    plain = json.loads(view.path.read_text())
    del plain["sources"][0]["files"]  # as a view was written before, or by hand
    view.path.write_text(json.dumps(plain))
    if is_zip:
        assert open_store(view.path).content_hash() == view.content_hash()
