"""Facts about views: what they hold is what the operations say, and their sources stay as they are."""

import copy
import dataclasses
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from imitate.datasets import timing
from imitate.datasets.episode_store import EpisodeStore
from imitate.datasets.formats import format_of
from imitate.datasets.importing import import_file
from imitate.datasets.keep_list import write_keep_list
from imitate.datasets.loader import DataConfig, prepare
from imitate.datasets.opening import open_store
from imitate.datasets.store import DemoStore
from imitate.datasets.views.contents import TRIMMED
from imitate.datasets.views.criteria import Criteria
from imitate.datasets.views.idle import moving_ranges
from imitate.datasets.views.keeping import kept_by
from imitate.datasets.views.making import derive, derive_parts, merge, undo
from imitate.datasets.views.operations import Filter, Operation, Relabel, Rename, Trim
from imitate.datasets.views.splitting import parts_by, random_parts
from imitate.datasets.views.view import View
from imitate.errors import ConfigError, DataError, ImitateError, SpecError
from imitate.policy import Horizons
from imitate.types import ArraySpec, DataSpec, Episode

Make = Callable[..., DemoStore]
IDS = [f"demo_{number}" for number in range(6)]


def contents(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


def require_equal(found: Episode, expected: Episode, renamed: dict[str, str] | None = None) -> None:
    names = renamed or {}
    assert {names.get(key, key) for key in expected.obs} == set(found.obs)
    for key, values in expected.obs.items():
        assert np.array_equal(found.obs[names.get(key, key)], values)
    assert np.array_equal(found.action, expected.action)
    for field in ("id", "success", "source", "operator", "rate_hz"):
        assert getattr(found, field) == getattr(expected, field)


def ids(store: EpisodeStore) -> list[str]:
    return [store.record(index).id for index in range(len(store))]


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
    for operation in chosen:
        model.apply(operation)
    shortest = min(len(e) for e in store.episodes())
    try:
        derive(store, chosen, out)
    except ConfigError as error:
        assert "trim" in str(error)
        assert shortest <= 16  # four cuts of four steps at most
    except DataError as error:
        assert "no episode would be left" in str(error)
        assert not model.episodes
    if not out.exists():
        return
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


def test_merging_keeps_ids_apart_and_asks_for_equal_specs(
    make_store: Make, make_episode: Any, spec: DataSpec, tmp_path: Path
) -> None:
    a, b = make_store(3, "a.zarr"), make_store(4, "b.zarr")
    view = merge([a.path, b.path], tmp_path / "m.view.json")
    assert ids(view) == ["a/demo_0", "a/demo_1", "a/demo_2", "b/demo_0", "b/demo_1", "b/demo_2", "demo_3"]
    for found, expected in zip(view.episodes(), [*a.episodes(), *b.episodes()], strict=True):
        require_equal(dataclasses.replace(found, id=expected.id), expected)
    other = dataclasses.replace(
        spec, obs={**spec.obs, "state": dataclasses.replace(spec.obs["state"], units=("mm", "m", "rad"))}
    )
    with DemoStore.create(tmp_path / "c.zarr", other) as store:
        store.append(make_episode(0))
    for wrong, message in (
        (["a.zarr", "c.zarr"], r"c: observation 'state': units are \['mm', 'm', 'rad'\], expected"),
        (["a.zarr"], "1 stores to merge"),
    ):
        with pytest.raises(ImitateError, match=message):
            merge([tmp_path / name for name in wrong], tmp_path / "n.view.json")
    assert not (tmp_path / "n.view.json").exists()


def test_merging_names_the_type_and_the_observation_that_differ(
    make_store: Make, make_episode: Any, spec: DataSpec, tmp_path: Path
) -> None:
    a = make_store(1, "a.zarr")
    more = DataSpec({**spec.obs, "force": ArraySpec((1,))}, spec.action, spec.rate_hz)
    wide = DataSpec(
        {**spec.obs, "state": dataclasses.replace(spec.obs["state"], dtype="float64")}, spec.action, 10.0
    )
    for name, other in (("more", more), ("wide", wide)):
        with DemoStore.create(tmp_path / f"{name}.zarr", other) as store:
            e = make_episode(0)
            store.append(
                dataclasses.replace(
                    e, obs={k: np.zeros((len(e), *s.shape), s.dtype) for k, s in other.obs.items()}
                )
            )
    with pytest.raises(SpecError, match="more: observation 'force' is not in a"):
        merge([a.path, tmp_path / "more.zarr"], tmp_path / "m.view.json")
    with pytest.raises(SpecError, match="dtype of 'state' is float64, expected float32 as in a"):
        merge([a.path, tmp_path / "wide.zarr"], tmp_path / "m.view.json")


@given(count=st.integers(2, 60), share=st.floats(0.01, 0.99), seed=st.integers(0, 9))
def test_a_split_divides_all_episodes(count: int, share: float, seed: int) -> None:
    from imitate.datasets.episode_store import EpisodeRecord

    records = [EpisodeRecord(str(n), 1) for n in range(count)]
    parts = random_parts(records, share, seed)
    train, test = (set(parts[name].ids) for name in ("train", "test"))
    assert train | test == {str(n) for n in range(count)}
    assert not train & test
    assert train and test
    assert abs(len(train) - share * count) <= 1
    assert parts == random_parts(records, share, seed)


def test_parts_are_written_all_or_none(make_store: Make, tmp_path: Path) -> None:
    store = make_store(5)
    records = [store.record(i) for i in range(5)]
    views = derive_parts(store, random_parts(records, 0.6, 0), tmp_path / "parts")
    assert sorted(ids(views["train"]) + ids(views["test"])) == IDS[:5]
    assert ids(open_store(tmp_path / "parts" / "test.view.json")) == ids(views["test"])
    with pytest.raises(DataError, match="already exists"):
        derive_parts(store, random_parts(records, 0.6, 1), tmp_path / "parts")
    wrong = {"a": parts_by(records, "success")["true"], "b": Trim(start=1000)}
    with pytest.raises(ConfigError, match="trim"):
        derive_parts(store, wrong, tmp_path / "wrong")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["demos.zarr", "parts"]


def test_parts_by_an_attribute_are_called_after_its_values(make_store: Make, tmp_path: Path) -> None:
    store = make_store(4)
    labelled = derive(
        store,
        [
            Relabel(Criteria(ids=("demo_0",)), operator="Anna B."),
            Relabel(Criteria(ids=("demo_1",)), operator="anna/b"),
            Relabel(Criteria(ids=("demo_2",)), operator=""),
        ],
        tmp_path / "l.view.json",
    )
    parts = parts_by([labelled.record(i) for i in range(4)], "operator")
    assert {name: part.ids for name, part in parts.items()} == {
        "anna_b": ("demo_0",), "anna_b__2": ("demo_1",), "unknown": ("demo_2",), "expert": ("demo_3",)
    }  # fmt: skip
    by_seed = parts_by([labelled.record(i) for i in range(4)], "metadata.seed")
    assert [part.value for part in by_seed.values()] == [0, 1, 2, 3]
    for wrong, message in (("operators", "did you mean 'operator'"), ("source", "one value in all 4")):
        with pytest.raises(ConfigError, match=message):
            parts_by([labelled.record(i) for i in range(4)], wrong)


@pytest.mark.parametrize(
    ("where", "expected"),
    [
        (Criteria(success=True), ["demo_1", "demo_3", "demo_5"]),
        (Criteria(success="unknown"), []),
        (Criteria(source="test", operator="expert", metadata={"seed": 4}), ["demo_4"]),
        (Criteria(metadata={"seed": True}), []),  # 1 is not true
        (Criteria(ids=("demo_5", "demo_0")), ["demo_0", "demo_5"]),
        (Criteria(ids=()), []),
        (Criteria(operator="nobody"), []),
    ],
)
def test_criteria_mean_what_they_say(make_store: Make, where: Criteria, expected: list[str]) -> None:
    store = make_store(6)
    records = [store.record(i) for i in range(6)]
    assert [
        r.id for r, is_meant in zip(records, where.select(records, "filter"), strict=True) if is_meant
    ] == expected


def test_labels_are_set_and_removed(make_store: Make, tmp_path: Path) -> None:
    judged = Relabel(Criteria(ids=("demo_1",)), success="unknown", metadata={"task": "push", "seed": None})
    view = derive(make_store(2), [judged], tmp_path / "a.view.json")
    assert (view.record(1).success, view.record(1).metadata) == (None, {"task": "push"})
    assert (view.record(0).success, view.record(0).metadata) == (False, {"seed": 0})


def test_renaming_changes_no_number(make_store: Make, spec: DataSpec, tmp_path: Path) -> None:
    store = make_store(2)
    names = Rename(
        observations={"state": "pose", "camera": "front.rgb"},
        ids={"demo_0": "first"},
        elements={"action": ("dx", "dy")},
        units={"pose": ("mm", "mm", "deg")},
    )
    view = derive(store, [names], tmp_path / "a.view.json")
    assert view.spec.obs["pose"].units == ("mm", "mm", "deg")
    assert view.spec.action.names == ("dx", "dy")
    first = store.episode(0)
    require_equal(
        view.episode(0), dataclasses.replace(first, id="first"), {"state": "pose", "camera": "front.rgb"}
    )


@pytest.mark.parametrize(
    ("operation", "message"),
    [
        (Rename(observations={"stat": "pose"}), "no observation 'stat' .did you mean 'state'"),
        (Rename(observations={"state": "camera"}), "called the same"),
        (Rename(observations={"state": "action"}), "cannot name an observation"),
        (Rename(observations={"state": "../x"}), "cannot name an observation"),
        (Rename(ids={"demo_0": "demo_1"}), "two episodes would be called 'demo_1'"),
        (Rename(ids={"demo_9": "x"}), "no episode 'demo_9'"),
        (Rename(units={"state": ("m",)}), "units has 1 entries, expected 3"),
        (Rename(elements={"stat": ("m",)}), "no array 'stat'"),
        (Trim(ranges={"demo_0": (3, 2)}), "cannot be what is left"),
        (Trim(ranges={"demo_0": (0, 2000)}), "cannot be what is left"),
        (Trim(ranges={"demo_0": (-1, 2)}), "cannot be what is left"),
        (Trim(ranges={"demo_7": (0, 2)}), "no episode 'demo_7'"),
        (Filter(Criteria(ids=("demo_9",))), "no episode 'demo_9'"),
        (Filter(Criteria(operator="nobody")), "no episode would be left"),
    ],
)
def test_what_does_not_fit_is_refused_and_nothing_is_written(
    make_store: Make, tmp_path: Path, operation: Operation, message: str
) -> None:
    store = make_store(3, steps=9)
    with pytest.raises(ImitateError, match=message):
        derive(store, [operation], tmp_path / "a.view.json")
    assert [p.name for p in tmp_path.iterdir()] == ["demos.zarr"]


def test_steps_told_in_metadata_are_counted_from_what_is_left(
    spec: DataSpec, make_episode: Any, tmp_path: Path
) -> None:
    stamps = np.arange(20) * 0.1 + np.array([0.0] * 5 + [1.0] * 15)  # a gap after step 4
    metadata = {"corrected": [[0, 3], [4, 9], [15, 20]], timing.KEY: timing.timing(stamps)}
    with DemoStore.create(tmp_path / "a.zarr", spec) as store:
        store.append(dataclasses.replace(make_episode(0, 20), metadata=metadata))
    view = derive(store, [Trim(start=2), Trim(end=6)], tmp_path / "a.view.json")
    found = view.record(0).metadata
    assert found["corrected"] == [[0, 1], [2, 7]]
    assert [step for step, _ in found[timing.KEY]["gaps"]] == [2]
    assert found[TRIMMED] == [2, 14]
    after = derive(view, [Trim(start=3)], tmp_path / "b.view.json").record(0).metadata
    assert (after[timing.KEY]["gap_count"], after[TRIMMED]) == (0, [5, 14])


def test_idle_ends_are_found(tmp_path: Path) -> None:
    spec = DataSpec({"state": ArraySpec((1,))}, ArraySpec((1,)), 10.0)
    with DemoStore.create(tmp_path / "a.zarr", spec) as store:
        for number, (before, after) in enumerate([(5, 3), (0, 0), (0, 4)]):
            path = np.concatenate([np.zeros(before), np.arange(10.0), np.full(after, 9.0)])[:, None]
            store.append(Episode(f"e{number}", {"state": path.astype(np.float32)}, path.astype(np.float32)))
    assert moving_ranges(store, range(3)) == {"e0": (5, 15), "e2": (0, 10)}
    assert moving_ranges(store, [2]) == {"e2": (0, 10)}


def test_a_keep_list_becomes_a_view(make_store: Make, tmp_path: Path) -> None:
    store = make_store(4, steps=10)
    listed = [
        {"id": "demo_0", "keep": False},
        {"id": "demo_1", "weight": 0.0},
        {
            "id": "demo_2",
            "segments": [{"start": 0, "stop": 2, "weight": 0.0}, {"start": 5, "stop": 6, "weight": 0.0}],
        },
        {"id": "demo_3", "weight": 0.5},
    ]
    write_keep_list(tmp_path / "keep.json", listed, store.content_hash(), {})
    found, notes = kept_by(tmp_path / "keep.json", store)
    view = derive(store, found, tmp_path / "a.view.json")
    assert [(view.record(i).id, view.record(i).steps) for i in range(len(view))] == [
        ("demo_2", 8),
        ("demo_3", 10),
    ]
    assert "1 episodes have steps cut out in the middle" in notes[0]
    assert "1 episodes have weights" in notes[1]


def test_only_one_format_recognises_a_view(make_store: Make, tmp_path: Path) -> None:
    view = derive(make_store(2), [Trim(end=0)], tmp_path / "a.view.json")
    found = format_of(view.path)
    assert found is not None
    assert found.key == "imitate"
    (tmp_path / "keep.json").write_text('{"episodes": [], "data_hash": ""}')
    assert format_of(tmp_path / "keep.json") is None


GOOD: dict[str, Any] = {
    "kind": "imitate view",
    "format": 1,
    "sources": [{"path": "demos.zarr", "hash": ""}],
    "history": [{"operation": "filter", "date": "", "where": {"success": True}}],
}


@pytest.mark.parametrize(
    ("place", "value", "message"),
    [
        (("format",), 2, "view format 2, expected 1"),
        (("sources",), [], "at least one"),
        (("sources",), {"a": 1}, "at least one"),
        (("sources", 0), "demos.zarr", r"sources\[0\] is 'demos.zarr'"),
        (("sources", 0, "path"), "", "expected where a store lies"),
        (("sources", 0, "path"), "a\0b", "expected where a store lies"),
        (("sources", 0, "path"), "x" * 5000, "cannot be read"),
        (("history",), None, "a list of operations"),
        (("history", 0), 3, r"history\[0\] is 3"),
        (("history", 0, "operation"), "filer", "did you mean 'filter'"),
        (("history", 0), {"operation": "merge", "names": ["a"]}, "begins with a merge"),
        (("history", 0, "wher"), {}, r"unknown key history\[0\].wher"),
        (("history", 0, "where"), 3, r"history\[0\].where is 3"),
        (("history", 0, "where", "success"), "maybe", "success is 'maybe'"),
        (("history", 0, "where", "min_steps"), "3", "min_steps is '3'"),
        (("history", 0, "where", "ids"), [1], r"ids\[0\] is 1"),
        (("history", 0, "where", "metadata"), {"_target_": "os.system"}, "'_target_', which no view has"),
        (("history", 0, "drop"), "yes", "drop is 'yes'"),
    ],
)
def test_a_wrong_file_is_one_clear_line(
    make_store: Make, tmp_path: Path, place: tuple[Any, ...], value: Any, message: str
) -> None:
    plain = copy.deepcopy(GOOD)
    plain["sources"][0]["hash"] = make_store(3).content_hash()
    item: Any = plain
    for key in place[:-1]:
        item = item[key]
    item[place[-1]] = value
    (tmp_path / "a.view.json").write_text(json.dumps(plain))
    with pytest.raises(ImitateError, match=message) as caught:
        open_store(tmp_path / "a.view.json")
    assert "\n" not in str(caught.value)
    assert "a.view.json" in str(caught.value)


@settings(max_examples=100, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_damaged_files_are_never_another_error(data: st.DataObject, tmp_path: Path, make_store: Make) -> None:
    path, text = tmp_path / "a.view.json", json.dumps(GOOD).encode()
    if not (tmp_path / "demos.zarr").exists():
        make_store(1)
    start = data.draw(st.integers(0, len(text)))
    stop = data.draw(st.integers(start, min(len(text), start + 20)))
    path.write_bytes(text[:start] + data.draw(st.binary(max_size=12) | st.just(b"[" * 50_000)) + text[stop:])
    try:
        open_store(path)
    except ImitateError as error:
        assert "\n" not in " ".join(str(error).split())


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
