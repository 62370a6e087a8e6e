"""Facts about the observation that  imitate data instruct  makes of each episode's text."""

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from episodes_compared import ids

from imitate.datasets.importing import import_file
from imitate.datasets.loader import DataConfig, prepare
from imitate.datasets.opening import open_store
from imitate.datasets.store import DemoStore
from imitate.datasets.views.criteria import Criteria
from imitate.datasets.views.instructing import Instruct
from imitate.datasets.views.making import derive, merge, undo
from imitate.datasets.views.operations import Filter, Relabel, Rename, Trim
from imitate.errors import ConfigError, DataError, SpecError
from imitate.instruction import WORDS, vector
from imitate.policy import Horizons
from imitate.types import ArraySpec, DataSpec

TEXTS = ("push the block", "open the drawer", "push the block", "close the lid")


@pytest.fixture
def store(tmp_path: Path, spec: DataSpec, make_episode: Callable[..., Any]) -> DemoStore:
    """Four episodes, each with a text."""
    with DemoStore.create(tmp_path / "demos.zarr", spec) as made:
        for number, text in enumerate(TEXTS):
            episode = make_episode(number, 5 + number)
            made.append(dataclasses.replace(episode, metadata={"task": text}))
    return made


def sentence(text: str, size: int = 64) -> np.ndarray:
    return vector(text, ArraySpec((size,), encoder=WORDS))


def test_every_step_of_an_episode_has_its_text(store: DemoStore, tmp_path: Path) -> None:
    view = derive(store, [Instruct()], tmp_path / "told.view.json")
    assert view.spec.obs["instruction"] == ArraySpec(
        (64,), encoder="words", sentences=("push the block", "open the drawer", "close the lid")
    )
    again = open_store(tmp_path / "told.view.json")
    assert again.content_hash() == view.content_hash() != store.content_hash()
    for found, before, text in zip(again.episodes(), store.episodes(), TEXTS, strict=True):
        assert np.array_equal(found.obs["instruction"], np.tile(sentence(text), (len(before), 1)))
        assert np.array_equal(found.obs["state"], before.obs["state"])
    array = again.array("instruction")
    rows = np.array([20, 0, 6, 6])
    whole = array[:]
    assert array.shape == whole.shape == (26, 64)
    assert np.array_equal(array[rows], whole[rows])
    assert np.array_equal(array[-1], whole[-1])
    mask = np.arange(26) % 3 == 0
    assert np.array_equal(array[mask], whole[mask])
    out = np.zeros((4, 64), np.float32)
    array.read_into(rows, out)
    assert np.array_equal(out, whole[rows])


def test_a_view_of_it_is_edited_like_any_other(store: DemoStore, tmp_path: Path) -> None:
    view = derive(store, [Instruct(size=32)], tmp_path / "a.view.json")
    edits = [
        Rename(observations={"instruction": "goal"}),
        Trim(start=2),
        Filter(Criteria(ids=("demo_1", "demo_3"))),
        Relabel(metadata={"task": "lift the lid"}),
        Instruct(size=16),
        Rename(parts={"first": ("goal.3", "goal.1")}),
    ]
    found = derive(view, edits, tmp_path / "b.view.json")
    assert [len(episode) for episode in found.episodes()] == [4, 6]
    for episode, text in zip(found.episodes(), ("open the drawer", "close the lid"), strict=True):
        assert np.array_equal(episode.obs["goal"][3], sentence(text, 32))
        assert np.array_equal(episode.obs["first"][0], sentence(text, 32)[[3, 1]])
        assert np.array_equal(episode.obs["instruction"][0], sentence("lift the lid", 16))
    assert found.spec.obs["first"].encoder == ""
    assert set(undo(found, tmp_path / "c.view.json").spec.obs) == {"state", "camera", "goal", "instruction"}


def test_copying_merging_and_loading_keep_it(store: DemoStore, tmp_path: Path) -> None:
    told = derive(store, [Instruct()], tmp_path / "told.view.json")
    labelled = [Relabel(metadata={"task": "lift the lid"}), Instruct()]
    derive(store, labelled, tmp_path / "more.view.json")
    both = merge([told.path, tmp_path / "more.view.json"], tmp_path / "both.view.json")
    assert both.spec.obs["instruction"].sentences[-1] == "lift the lid"
    assert np.array_equal(both.episode(len(both) - 1).obs["instruction"][0], sentence("lift the lid"))
    import_file(both.path, tmp_path / "copy.zarr")
    copy = DemoStore.open(tmp_path / "copy.zarr")
    assert copy.spec == both.spec
    assert ids(copy) == ids(both)
    assert np.array_equal(copy.array("instruction")[:], both.array("instruction")[:])
    # An environment that does not know sentences does not hide them from the policy.
    env = DataSpec({"state": store.spec.obs["state"]}, store.spec.action, 10.0)
    data = prepare(DataConfig(str(both.path)), Horizons(2, 4, 2), env, 4, 0)
    assert set(data.spec.obs) == {"state", "instruction"}
    assert data.spec.obs["instruction"].sentences == both.spec.obs["instruction"].sentences
    data = prepare(DataConfig(str(both.path), obs=("instruction",)), Horizons(2, 4, 2), env, 4, 0)
    assert set(data.spec.obs) == {"instruction"}
    batch = data.train.batch(0).obs["instruction"].numpy()
    possible = {sentence(text).tobytes() for text in (*TEXTS, "lift the lid")}
    assert {row.tobytes() for row in batch.reshape(-1, 64)} <= possible


@pytest.mark.parametrize("normalise", ["shared", "own"])
def test_a_mixture_knows_all_sentences_and_changes_none(
    store: DemoStore, tmp_path: Path, normalise: str
) -> None:
    derive(store, [Instruct()], tmp_path / "a.view.json")
    other = [Relabel(metadata={"task": "lift the lid"}), Instruct()]
    derive(store, other, tmp_path / "b.view.json")
    mixed = tmp_path / "mix.yaml"
    mixed.write_text(
        "stores:\n- {path: a.view.json, weight: 1}\n"
        f"- {{path: b.view.json, weight: 3, normalise: {normalise}}}\nobs: [state, instruction]\n"
    )
    data = prepare(DataConfig(str(mixed), val_fraction=0.0), Horizons(1, 1, 1), None, 32, 0)
    assert data.spec.obs["instruction"].sentences == (*dict.fromkeys(TEXTS), "lift the lid")
    found = {row.tobytes() for row in data.train.batch(0).obs["instruction"].numpy()[:, 0]}
    assert sentence("lift the lid").tobytes() in found
    assert found <= {sentence(text).tobytes() for text in (*TEXTS, "lift the lid")}


def test_stores_of_other_vectors_do_not_fit(store: DemoStore, tmp_path: Path) -> None:
    derive(store, [Instruct()], tmp_path / "a.view.json")
    derive(store, [Instruct(size=32)], tmp_path / "b.view.json")
    with pytest.raises(SpecError, match=r"'instruction': shape is \(32,\), expected \(64,\)"):
        merge([tmp_path / "a.view.json", tmp_path / "b.view.json"], tmp_path / "c.view.json")


@pytest.mark.parametrize("silent", [None, "", " … ", 3])
def test_an_episode_without_a_text_is_named(store: DemoStore, tmp_path: Path, silent: Any) -> None:
    labels = Relabel(Criteria(ids=("demo_1", "demo_2")), metadata={"task": silent})
    with pytest.raises(ConfigError, match=r"2 of 4 episodes do not say .*where.ids=\[demo_1,demo_2\]"):
        derive(store, [labels, Instruct()], tmp_path / "told.view.json")
    assert not (tmp_path / "told.view.json").exists()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda: Instruct("state"), "there is an observation 'state'"),
        (lambda: Instruct("action"), "instruct: 'action' cannot name an observation"),
        (lambda: Instruct(size=1), "become the same 1 numbers; choose a larger size"),
        (lambda: Instruct(size=0), "size is 0"),
        (lambda: Instruct(encoder="bert"), "encoder is 'bert', expected 'words'"),
    ],
)
def test_what_does_not_fit_is_refused(
    store: DemoStore, tmp_path: Path, change: Callable[[], Instruct], message: str
) -> None:
    with pytest.raises((ConfigError, DataError), match=message):
        derive(store, [change()], tmp_path / "told.view.json")
