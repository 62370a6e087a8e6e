"""Facts about mixtures: shares, ranges and statistics store by store, and what is refused."""

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from imitate.datasets.episode_store import ACTION
from imitate.datasets.fitting import fit_statistics
from imitate.datasets.keep_list import write_keep_list
from imitate.datasets.loader import DataConfig, TrainingData, prepare
from imitate.datasets.mixture import Mixture, shares_of
from imitate.datasets.mixture_loading import SharedOrder
from imitate.datasets.opening import open_store
from imitate.datasets.store import DemoStore
from imitate.datasets.views.criteria import Criteria
from imitate.datasets.views.making import derive, merge
from imitate.datasets.views.operations import Filter
from imitate.errors import DataError, ImitateError, SpecError
from imitate.normalize import VectorNormalizer
from imitate.policy import Horizons
from imitate.types import ArraySpec, DataSpec, Episode

HORIZONS = Horizons(2, 6, 3)
STATE = ArraySpec((3,), names=("x", "y", "angle"), units=("m", "m", "rad"), circular=(2,))
ACT = ArraySpec((2,), names=("dx", "dy"), units=("m", "m"))
SPEC = DataSpec({"state": STATE}, ACT, 10.0)


def make(
    folder: Path, name: str, episodes: int, scale: float = 1.0, spec: DataSpec = SPEC, steps: int = 12
) -> Path:
    """A store whose numbers are spread by `scale` and shifted by it, too."""
    rng = np.random.default_rng(episodes)
    with DemoStore.create(folder / f"{name}.zarr", spec, name) as store:
        for number in range(episodes):
            obs = {
                k: (scale * (1 + rng.normal(size=(steps, *a.shape)))).astype(a.dtype)
                for k, a in spec.obs.items()
            }
            action = (scale * (1 + rng.normal(size=(steps, *spec.action.shape)))).astype(spec.action.dtype)
            store.append(Episode(f"{name}_{number}", obs, action, success=True, rate_hz=spec.rate_hz))
    return store.path


def write(folder: Path, *stores: dict[str, Any], **more: Any) -> Path:
    path = folder / "mix.yaml"
    path.write_text(yaml.safe_dump({"stores": list(stores), **more}))
    return path


def entry(name: str, weight: float = 1.0, **more: Any) -> dict[str, Any]:
    return {"path": f"{name}.zarr", "weight": weight, **more}


def loaded(path: Path, seed: int = 3, **settings: Any) -> TrainingData:
    return prepare(DataConfig(str(path), **settings), HORIZONS, None, 16, seed=seed)


@settings(max_examples=60)
@given(
    sizes=st.lists(st.integers(1, 200), min_size=1, max_size=5),
    weights=st.lists(st.floats(0.01, 10), min_size=5, max_size=5),
    seed=st.integers(0, 99),
    weighted=st.booleans(),
)
def test_every_epoch_has_each_store_s_share(
    sizes: list[int], weights: list[float], seed: int, weighted: bool
) -> None:
    group = np.repeat(np.arange(len(sizes)), sizes)
    shares = np.array(weights[: len(sizes)]) / sum(weights[: len(sizes)])
    chances = np.random.default_rng(seed).uniform(0.1, 1, len(group)) if weighted else None
    order = SharedOrder(group, shares, chances)
    drawn = order.draw(np.random.default_rng(seed))
    assert len(drawn) == len(group)
    counts = np.bincount(group[drawn], minlength=len(sizes))
    assert (np.abs(counts - shares * len(group)) <= 1).all()
    assert np.array_equal(drawn, order.draw(np.random.default_rng(seed)))
    if not weighted:  # within a store every window comes as often as the others, up to one
        for number in range(len(sizes)):
            times = np.bincount(drawn, minlength=len(group))[group == number]
            assert times.max() - times.min() <= 1


def test_the_expected_share_of_a_batch_is_the_weight_whatever_the_sizes(tmp_path: Path) -> None:
    for name, episodes in (("a", 2), ("b", 20), ("c", 5)):
        make(tmp_path, name, episodes)
    data = loaded(write(tmp_path, entry("a", 5), entry("b", 3), entry("c", 2)), val_fraction=0.0)
    mixture = open_store(tmp_path / "mix.yaml")
    assert isinstance(mixture, Mixture)
    drawn = (
        np.array([np.bincount(mixture.store_of[data.train.episodes(k)], minlength=3) for k in range(800)])
        / 16
    )
    # 16 draws a batch: the standard error of the mean of 800 is below 0.0045
    assert np.allclose(drawn.mean(axis=0), [0.5, 0.3, 0.2], atol=0.015)
    assert np.allclose(drawn.std(axis=0), np.sqrt(np.array([0.25, 0.21, 0.16]) / 16), rtol=0.15)


def test_the_rounding_of_shares_is_right_on_average() -> None:
    order = SharedOrder(np.repeat([0, 1], [3, 4]), np.array([0.1, 0.9]), None)
    counts = [np.sum(order.draw(np.random.default_rng(seed)) < 3) for seed in range(4000)]
    assert set(counts) <= {0, 1}
    assert np.mean(counts) == pytest.approx(0.7, abs=0.03)


def test_batch_k_is_a_function_of_seed_and_k(tmp_path: Path) -> None:
    make(tmp_path, "a", 3)
    make(tmp_path, "b", 7, 10.0)
    path = write(tmp_path, entry("a", 0.7), entry("b", 0.3, normalise="own"))
    one, other = loaded(path), loaded(path)
    stream = other.train.stream(25)
    batches = [next(stream) for _ in range(3)]
    stream.close()
    for step, found in zip(range(25, 28), batches, strict=True):
        assert torch.equal(one.train.batch(step).action, found.action)
    assert not np.array_equal(one.train.indices(3), loaded(path, seed=4).train.indices(3))


def test_own_gives_what_a_normaliser_of_its_own_would(tmp_path: Path) -> None:
    make(tmp_path, "a", 4)
    make(tmp_path, "b", 6, 50.0)
    data = loaded(write(tmp_path, entry("a"), entry("b", normalise="own")), val_fraction=0.0)
    mixture, alone = open_store(tmp_path / "mix.yaml"), loaded(tmp_path / "b.zarr", val_fraction=0.0)
    reference = loaded(tmp_path / "a.zarr", val_fraction=0.0)
    for name in ("state", ACTION):
        assert np.array_equal(data.statistics[name].max, reference.statistics[name].max)
    normal, own = VectorNormalizer(2), VectorNormalizer(2)
    normal.fit(data.statistics[ACTION])
    own.fit(alone.statistics[ACTION])
    raw = torch.from_numpy(mixture.array(ACTION)[:])
    seen = 0
    for batch, step in ((data.train.batch(step), step) for step in range(8)):
        windows = data.train._sampler.windows(data.train.indices(step))
        is_b = torch.from_numpy(windows.action_rows[:, 0] >= 4 * 12)
        rows = torch.from_numpy(windows.action_rows)
        assert torch.equal(batch.action[~is_b], raw[rows[~is_b]])
        assert torch.allclose(normal(batch.action[is_b]), own(raw[rows[is_b]]), atol=1e-5)
        # The angle, which wraps, stays what it is.
        observed = torch.from_numpy(mixture.array("state")[:])[torch.from_numpy(windows.obs_rows)]
        assert torch.equal(batch.obs["state"][..., 2], observed[..., 2])
        seen += int(is_b.sum())
    assert seen > 30


def test_an_element_that_never_changes_is_brought_to_the_middle(tmp_path: Path) -> None:
    spec = DataSpec({"state": ArraySpec((2,))}, ArraySpec((1,)), 10.0)
    numbers = {"a": ([0.0, 5.0], [4.0, 5.0]), "b": ([7.0, 1.0], [7.0, 3.0])}
    for name, (low, high) in numbers.items():
        with DemoStore.create(tmp_path / f"{name}.zarr", spec) as store:
            state = np.linspace(low, high, 12).astype(np.float32)
            store.append(Episode(name, {"state": state}, np.zeros((12, 1), np.float32)))
    data = loaded(write(tmp_path, entry("a"), entry("b", normalise="own")), val_fraction=0.0)
    states = torch.cat([data.train.batch(k).obs["state"][data.train.episodes(k) == 1] for k in range(4)])
    assert torch.equal(states.reshape(-1, 2).unique(dim=0), torch.tensor([[2.0, 5.0]]))


def test_shared_statistics_are_those_of_what_is_drawn(tmp_path: Path) -> None:
    a, b = make(tmp_path, "a", 2), make(tmp_path, "b", 9, 3.0)
    data = loaded(write(tmp_path, entry("a", 3), entry("b", 1)), val_fraction=0.0)
    found = data.statistics["state"]
    values = [DemoStore.open(path).array("state")[:].astype(np.float64) for path in (a, b)]
    weight = np.concatenate(
        [np.full(len(v), share / len(v)) for v, share in zip(values, (0.75, 0.25), strict=True)]
    )
    together = np.concatenate(values)
    mean = np.average(together, axis=0, weights=weight)
    assert np.allclose(found.mean, mean)
    assert np.allclose(found.std**2, np.average((together - mean) ** 2, axis=0, weights=weight))
    assert np.array_equal(found.max, together.max(axis=0))


def test_one_store_alone_is_that_store(tmp_path: Path) -> None:
    make(tmp_path, "a", 5)
    mixed, plain = loaded(write(tmp_path, entry("a"))), loaded(tmp_path / "a.zarr")
    assert mixed.val_episodes == plain.val_episodes
    for name in ("state", ACTION):
        assert np.allclose(mixed.statistics[name].std, plain.statistics[name].std)
    windows = np.concatenate([mixed.train.indices(k) for k in range(mixed.train.batches_per_epoch)])
    assert set(windows.tolist()) == set(range(len(mixed.train)))


def test_names_and_action_elements_are_mapped(tmp_path: Path) -> None:
    theirs = DataSpec(
        {"pose": dataclasses.replace(STATE, names=("x", "y", "angle")), "force": ArraySpec((1,))},
        ArraySpec((3,), names=("gripper", "north", "east"), units=("m", "m", "m")),
        10.0,
    )
    a, b = make(tmp_path, "a", 2), make(tmp_path, "b", 3, 2.0, theirs)
    mixture = open_store(write(tmp_path, entry("a"), entry("b", keys={"pose": "state"}, action=["east", 1])))
    stores = [DemoStore.open(path) for path in (a, b)]
    assert set(mixture.spec.obs) == {"state"}
    assert np.array_equal(mixture.array("state")[24:], stores[1].array("pose")[:])
    assert np.array_equal(mixture.array(ACTION)[24:], stores[1].array(ACTION)[:][:, [2, 1]])
    assert np.array_equal(mixture.episode(0).action, stores[0].episode(0).action)
    assert "observation 'force' of b.zarr" in mixture.left_out
    assert mixture.spec.action == ACT


def test_every_store_is_split_and_keep_lists_hold(tmp_path: Path) -> None:
    make(tmp_path, "a", 2)
    make(tmp_path, "b", 40)
    path = write(tmp_path, entry("a"), entry("b"))
    mixture = open_store(path)
    assert isinstance(mixture, Mixture)
    data = loaded(path, val_fraction=0.1)
    assert np.bincount(mixture.store_of[list(data.val_episodes)]).tolist() == [1, 4]
    assert data.validation is not None
    share = np.mean([(mixture.store_of[data.validation.episodes(k)] == 0).mean() for k in range(60)])
    assert share == pytest.approx(0.5, abs=0.05)
    ids = [mixture.record(i).id for i in range(len(mixture))]
    listed: list[dict[str, Any]] = [{"id": ids[5], "keep": False}, {"id": ids[6], "weight": 0.25}]
    write_keep_list(tmp_path / "keep.json", listed, mixture.content_hash(), {})
    kept = loaded(path, keep=str(tmp_path / "keep.json"), val_fraction=0.0)
    assert 5 not in kept.train_episodes
    weights = {float(w) for k in range(40) for w in kept.train.batch(k).weight}
    assert weights == {1.0, 0.25}
    drawn = loaded(path, keep=str(tmp_path / "keep.json"), val_fraction=0.0, weighting="sampling").train
    episodes = np.concatenate([drawn.episodes(k) for k in range(600)])
    assert (mixture.store_of[episodes] == 0).mean() == pytest.approx(0.5, abs=0.02)
    assert np.sum(episodes == 6) / np.sum(episodes == 7) == pytest.approx(0.25, abs=0.12)
    write_keep_list(
        tmp_path / "none.json", [{"id": i, "keep": False} for i in ids[:2]], mixture.content_hash(), {}
    )
    with pytest.raises(DataError, match=r"no episode of a\.zarr is left to train on"):
        loaded(path, keep=str(tmp_path / "none.json"))


def test_the_hash_covers_stores_weights_and_settings(tmp_path: Path) -> None:
    make(tmp_path, "a", 2)
    make(tmp_path, "b", 2)
    first = open_store(write(tmp_path, entry("a"), entry("b", 2))).content_hash()
    for other in (
        (entry("a"), entry("b", 3)),
        (entry("a"), entry("b", 2, normalise="own")),
        (entry("b", 2), entry("a")),
    ):
        assert open_store(write(tmp_path, *other)).content_hash() != first
    (tmp_path / "deep").mkdir()
    write(tmp_path / "deep", {"path": "../a.zarr", "weight": 1}, {"path": "../b.zarr", "weight": 2.0})
    assert open_store(tmp_path / "deep/mix.yaml").content_hash() == first
    assert loaded(tmp_path / "deep/mix.yaml").data_hash == first


def test_views_may_be_mixed_but_mixtures_not_edited(tmp_path: Path) -> None:
    store = DemoStore.open(make(tmp_path, "a", 4))
    derive(store, [Filter(Criteria(ids=("a_2",)))], tmp_path / "x.view.json")
    path = write(tmp_path, entry("a"), {"path": "x.view.json", "weight": 1})
    mixture = open_store(path)
    assert [mixture.record(i).id for i in range(5)] == ["a_0", "a_1", "a/a_2", "a_3", "x/a_2"]
    assert shares_of(mixture) == {"a.zarr": 0.5, "x.view.json": 0.5}
    with pytest.raises(DataError, match="is a mixture: edit the stores that it names"):
        derive(mixture, [Filter(Criteria(success=True))], tmp_path / "y.view.json")
    with pytest.raises(DataError, match="is a mixture"):
        merge([path, store.path], tmp_path / "y.view.json")
    (tmp_path / "more.yaml").write_text("stores: [{path: mix.yaml, weight: 1}]")
    with pytest.raises(DataError, match="is a mixture itself"):
        open_store(tmp_path / "more.yaml")
    (tmp_path / "self.yaml").write_text("stores: [{path: self.yaml, weight: 1}]")
    with pytest.raises(DataError, match="names itself"):
        open_store(tmp_path / "self.yaml")


MILLIMETRES = dataclasses.replace(STATE, units=("mm", "m", "rad"))
SWAPPED = dataclasses.replace(ACT, names=("dy", "dx"))
FASTER = DataSpec({"state": STATE}, ACT, 20.0)
POSE = DataSpec({"pose": STATE}, ACT, 10.0)
BOTH = DataSpec({"pose": STATE, "state": STATE}, ACT, 10.0)


def changed(**arrays: ArraySpec) -> DataSpec:
    return DataSpec({"state": arrays.get("state", STATE)}, arrays.get("action", ACT), 10.0)


@pytest.mark.parametrize(
    ("spec", "more", "message"),
    [
        (changed(state=MILLIMETRES), {}, r"b\.zarr: observation 'state': units are \['mm'"),
        (changed(action=SWAPPED), {}, r"action: names are \['dy', 'dx'\], expected"),
        (changed(state=ArraySpec((4,))), {}, r"shape is \(4,\), expected \(3,\)"),
        (FASTER, {}, r"b\.zarr runs at 20 Hz, a\.zarr at 10 Hz.*import it again at 10 Hz"),
        (POSE, {}, r"b\.zarr has no observation 'state' as a\.zarr has, but \['pose'\]: .*keys"),
        (SPEC, {"keys": {"stat": "state"}}, r"keys names 'stat', which is not there \(did you mean 'state'"),
        (BOTH, {"keys": {"pose": "state"}}, "both 'pose' and 'state' would be"),
        (SPEC, {"action": ["dx", "dz"]}, "action names 'dz', which is no element"),
        (SPEC, {"action": ["dx"]}, r"action: shape is \(1,\), expected \(2,\)"),
        (changed(state=dataclasses.replace(STATE, dtype="float64")), {}, ""),
    ],
)
def test_what_differs_is_refused_by_name(
    tmp_path: Path, spec: DataSpec, more: dict[str, Any], message: str
) -> None:
    make(tmp_path, "a", 2)
    make(tmp_path, "b", 2, spec=spec)
    path = write(tmp_path, entry("a"), entry("b", **more))
    if not message:
        assert open_store(path).array("state")[:].dtype == np.float32
        return
    with pytest.raises(SpecError, match=message) as caught:
        open_store(path)
    assert "\n" not in str(caught.value)
    assert "mix.yaml" in str(caught.value)


def test_observations_that_not_all_have_can_be_left_out(tmp_path: Path) -> None:
    make(tmp_path, "a", 2, spec=DataSpec({"state": STATE, "force": ArraySpec((1,))}, ACT, 10.0))
    make(tmp_path, "b", 2)
    with pytest.raises(SpecError, match=r"b\.zarr has no observation 'force' as a\.zarr has: .* obs: "):
        open_store(write(tmp_path, entry("a"), entry("b")))
    assert set(open_store(write(tmp_path, entry("a"), entry("b"), obs=["state"])).spec.obs) == {"state"}
    with pytest.raises(SpecError, match=r"obs names 'stat'.*did you mean 'state'"):
        open_store(write(tmp_path, entry("a"), entry("b"), obs=["stat"]))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("stores: []", "stores is empty"),
        ("stores: a.zarr", "expected a list of"),
        ("stores: [a.zarr]", "expected a list of"),
        ("stores:\n- path: a.zarr", r"stores\[0\].weight is missing"),
        ("stores:\n- {path: a.zarr, weight: 0}", "weight of 'a.zarr' is 0"),
        ("stores:\n- {path: a.zarr, weight: .nan}", "expected a number above 0"),
        ("stores:\n- {path: a.zarr, weight: .inf}", "expected a number above 0"),
        ("stores:\n- {path: a.zarr, weight: much}", r"weight is 'much'"),
        ("stores:\n- {path: b.zarr, weight: 1}", "b.zarr does not exist .did you mean 'a.zarr'"),
        ("stores:\n- {path: a.zarr, weight: 1, normalize: own}", "did you mean 'normalise'"),
        ("stores:\n- {path: a.zarr, weight: 1, normalise: mine}", "expected one of own, shared"),
        ("stores:\n- {path: a.zarr, weight: 1}\n- {path: a.zarr, weight: 2}", "lists one store twice"),
        ("stores:\n- {path: a.zarr, weight: 1, keys: {_target_: os.system}}", "which no mixture has"),
        ("stores: &a [1]\nobs: *a", "holds an alias"),
        ("stores:\n  - {path: [", "cannot be read as YAML"),
        ("stores: !!python/object/apply:os.system [ls]", "cannot be read as YAML"),
        ("stores: " + "[" * 500_000, "nested more than 10 deep"),
        ("stores:\n- {path: a.zarr, weight: 1}\nstoers: 3", "unknown key stoers"),
    ],
)
def test_a_wrong_file_is_one_clear_line(tmp_path: Path, text: str, message: str) -> None:
    make(tmp_path, "a", 1)
    (tmp_path / "mix.yaml").write_text(text)
    with pytest.raises(ImitateError, match=message) as caught:
        open_store(tmp_path / "mix.yaml")
    assert "mix.yaml" in str(caught.value)


def test_statistics_of_plain_stores_are_as_before(tmp_path: Path) -> None:
    store = DemoStore.open(make(tmp_path, "a", 5))
    data = loaded(store.path)
    expected = fit_statistics(store, ["state"], list(data.train_episodes))["state"]
    assert np.array_equal(data.statistics["state"].std, expected.std)


Make = Callable[..., DemoStore]


def test_images_are_left_alone(make_store: Make, tmp_path: Path) -> None:
    make_store(3, "a.zarr")
    make_store(4, "b.zarr")
    path = write(tmp_path, entry("a"), entry("b", normalise="own"))
    data = prepare(
        DataConfig(str(path), val_fraction=0.0, obs=("camera", "state")), HORIZONS, None, 16, seed=0
    )
    mixture = open_store(path)
    windows = data.train._sampler.windows(data.train.indices(0))
    assert data.train.batch(0).obs["camera"].dtype == torch.uint8
    assert np.array_equal(
        data.train.batch(0).obs["camera"].numpy(), mixture.array("camera")[:][windows.obs_rows]
    )
