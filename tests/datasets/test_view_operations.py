"""Facts about what can be done to the episodes of a view, operation by operation."""

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from episodes_compared import ids, require_equal
from hypothesis import given
from hypothesis import strategies as st

from imitate.datasets import timing
from imitate.datasets.episode_store import EpisodeRecord
from imitate.datasets.keep_list import write_keep_list
from imitate.datasets.opening import open_store
from imitate.datasets.store import DemoStore
from imitate.datasets.views.contents import TRIMMED
from imitate.datasets.views.criteria import Criteria
from imitate.datasets.views.idle import moving_ranges
from imitate.datasets.views.keeping import kept_by
from imitate.datasets.views.making import derive, derive_parts, merge
from imitate.datasets.views.operations import Filter, Operation, Relabel, Rename, Trim
from imitate.datasets.views.splitting import parts_by, random_parts
from imitate.errors import ConfigError, DataError, ImitateError, SpecError
from imitate.types import ArraySpec, DataSpec, Episode

Make = Callable[..., DemoStore]
IDS = [f"demo_{number}" for number in range(6)]


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
        rate_hz=7.5,
    )
    view = derive(store, [names], tmp_path / "a.view.json")
    assert view.spec.obs["pose"].units == ("mm", "mm", "deg")
    assert view.spec.action.names == ("dx", "dy")
    assert view.spec.rate_hz == 7.5
    first = store.episode(0)
    require_equal(
        view.episode(0), dataclasses.replace(first, id="first"), {"state": "pose", "camera": "front.rgb"}
    )


def test_a_part_repeats_elements_and_a_part_of_a_part_and_a_new_name_do_too(
    make_store: Make, spec: DataSpec, tmp_path: Path
) -> None:
    store = make_store(2)
    first, _, third = (f"state.{name}" for name in spec.obs["state"].names)
    part = derive(store, [Rename(parts={"some": (third, first)})], tmp_path / "a.view.json")
    state = store.array("state")[:]
    assert np.array_equal(part.array("some")[:], state[:, [2, 0]])
    assert np.array_equal(part.array("some")[np.array([3, 1])], state[[3, 1]][:, [2, 0]])
    assert np.array_equal(part.array("state")[:], state), "what it is part of stays"
    assert part.spec.obs["some"] == spec.obs["state"].part((2, 0))
    again = Rename(observations={"some": "few", "state": "pose"}, parts={"one": (f"few.{first[6:]}",)})
    view = derive(part, [again], tmp_path / "b.view.json")
    assert np.array_equal(view.array("one")[:], state[:, [0]])
    assert np.array_equal(open_store(view.path).array("few")[:], state[:, [2, 0]])
    assert np.array_equal(
        derive(view, [Trim(start=1)], tmp_path / "c.view.json").episode(1).obs["one"],
        store.episode(1).obs["state"][1:, :1],
    )


def test_elements_without_names_go_by_their_numbers(tmp_path: Path) -> None:
    nameless = DataSpec({"state": ArraySpec((3,))}, ArraySpec((1,)))
    with DemoStore.create(tmp_path / "demos.zarr", nameless) as store:
        state = np.arange(12, dtype=np.float32).reshape(4, 3)
        store.append(Episode("e", {"state": state}, np.zeros((4, 1), np.float32)))
    view = derive(store, [Rename(parts={"ends": ("state.0", "state.2")})], tmp_path / "a.view.json")
    assert np.array_equal(view.array("ends")[:], state[:, [0, 2]])


@pytest.mark.parametrize(
    ("operation", "message"),
    [
        (Rename(parts={"state": ("state.x",)}), "there is an observation of this name"),
        (Rename(parts={"../x": ("state.x",)}), "cannot name an observation"),
        (Rename(parts={"new": ("stat.x",)}), r"parts\.new: there is no element 'stat\.x'"),
        (Rename(parts={"new": ()}), r"parts\.new is \[\], expected elements of one observation"),
        (Rename(observations={"stat": "pose"}), "no observation 'stat' .did you mean 'state'"),
        (Rename(observations={"state": "camera"}), "called the same"),
        (Rename(observations={"state": "action"}), "cannot name an observation"),
        (Rename(observations={"state": "../x"}), "cannot name an observation"),
        (Rename(ids={"demo_0": "demo_1"}), "two episodes would be called 'demo_1'"),
        (Rename(ids={"demo_9": "x"}), "no episode 'demo_9'"),
        (Rename(units={"state": ("m",)}), "units has 1 entries, expected 3"),
        (Rename(elements={"stat": ("m",)}), "no array 'stat'"),
        (Rename(rate_hz=0.0), "rate_hz is 0, expected a rate above 0"),
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
