"""Facts about preparing data: what is held, split, measured, mirrored, moved and refused."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from loaded_windows import HORIZONS, loaded, require_same

from imitate.alignment import Alignment
from imitate.datasets.loader import DataConfig, prepare
from imitate.datasets.rows import StoredRows, open_rows
from imitate.datasets.store import DemoStore
from imitate.errors import ConfigError, DataError, SpecError
from imitate.symmetry import Mirror, Reflection
from imitate.types import ArraySpec, DataSpec, Episode

Make = Callable[..., DemoStore]


def test_memory_disk_and_both_give_the_same_batches(make_store: Make, spec: DataSpec) -> None:
    store = make_store(6)
    state_only = 40 * 6 * (3 + 2) * 4 / 2**30
    with_some_frames = state_only + 0.4 * store.array("camera").nbytes / 2**30
    a_few_rows = 20 * (3 + 2) * 4 / 2**30
    room = (1.0, 0.0, state_only, with_some_frames, a_few_rows)
    sources = [loaded(store, spec, memory_gib=gib).train for gib in room]
    for step in range(5):
        first, *others = (source.batch(step) for source in sources)
        for other in others:
            require_same(first, other)


def test_no_more_than_the_room_given_is_held(make_store: Make) -> None:
    store = make_store(6)
    bytes_of = {name: 4 * store.steps * size for name, size in (("state", 3), ("action", 2))}
    bytes_of["camera"] = store.array("camera").nbytes
    for share in (0.0, 0.2, 0.5, 0.9, 1.0):
        room = share * sum(bytes_of.values())
        rows = open_rows(store, [*bytes_of], room / 2**30)
        held = sum(found._values.nbytes for found in rows.values() if not isinstance(found, StoredRows))
        assert room - max(a // store.steps for a in bytes_of.values()) <= held <= room


def test_mirroring_is_for_training_windows_and_repeats(make_store: Make, spec: DataSpec) -> None:
    store = make_store(6)
    turned = Reflection(tuple(range(3)), (-1.0,) * 3, (0.0,) * 3)
    mirror = Mirror({"state": turned}, Reflection((1, 0), (1.0, 1.0), (0.0, 0.0)))
    config = DataConfig(str(store.path), obs=("state",), val_fraction=0.3, mirror=True)
    plain = prepare(replace(config, mirror=False), HORIZONS, spec, 16, 3, mirror)
    data = prepare(config, HORIZONS, spec, 16, 3, mirror)
    states, before = data.train.batch(4).obs["state"], plain.train.batch(4).obs["state"]
    is_turned = (states == -before).flatten(1).all(dim=1)
    assert 0 < is_turned.sum() < 16
    assert torch.equal(states[~is_turned], before[~is_turned])
    require_same(data.train.batch(4), data.train.batch(4))
    assert data.validation is not None
    assert plain.validation is not None
    for ours, theirs in zip(data.validation.epoch_batches(), plain.validation.epoch_batches(), strict=True):
        require_same(ours, theirs)
    with pytest.raises(ConfigError, match=r"data\.mirror is true, but the environment has no mirror"):
        prepare(config, HORIZONS, spec, 16, 3)


def test_validation_is_the_other_episodes_in_order(make_store: Make, spec: DataSpec) -> None:
    store = make_store(10, steps=9)
    data = loaded(store, spec, val_fraction=0.3)
    assert len(data.val_episodes) == 3
    assert sorted(data.train_episodes + data.val_episodes) == list(range(10))
    assert data.validation is not None
    batches = list(data.validation.epoch_batches())
    assert sum(map(len, batches)) == 27
    newest = torch.cat([batch.obs["state"][:, -1] for batch in batches])
    wanted = np.concatenate([store.episode(e).obs["state"] for e in data.val_episodes])
    assert np.array_equal(newest.numpy(), wanted)


def test_split_rules(make_store: Make, spec: DataSpec) -> None:
    store = make_store(4)
    assert len(loaded(store, spec, val_fraction=0.001).val_episodes) == 1
    assert len(loaded(store, spec, val_fraction=0.99).train_episodes) == 1
    assert loaded(store, spec, val_fraction=0.0).validation is None
    assert loaded(store, spec).val_episodes == loaded(store, spec).val_episodes
    splits = {loaded(store, spec, split_seed=seed).val_episodes for seed in range(12)}
    assert len(splits) > 1
    assert loaded(make_store(1, "one.zarr"), spec).validation is None


def test_statistics_are_of_the_training_episodes_only(
    make_store: Make, spec: DataSpec, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("imitate.datasets.array_files.STATE_CHUNK_BYTES", 60)
    monkeypatch.setattr("imitate.datasets.rows.BLOCK_BYTES", 100)  # many blocks
    store = make_store(8)
    data = loaded(store, spec, val_fraction=0.4)
    assert set(data.statistics) == {"state", "action"}
    used = [store.episode(index) for index in data.train_episodes]
    for name in ("state", "action"):
        rows = np.concatenate([e.action if name == "action" else e.obs[name] for e in used]).astype(
            np.float64
        )
        found = data.statistics[name]
        assert found.mean.dtype == np.float64
        np.testing.assert_array_equal(found.min, rows.min(axis=0))
        np.testing.assert_array_equal(found.max, rows.max(axis=0))
        np.testing.assert_allclose(found.mean, rows.mean(axis=0), rtol=1e-12, atol=1e-12)
        np.testing.assert_allclose(found.std, rows.std(axis=0), rtol=1e-12)


def write_keep(store: DemoStore, path: Path, entries: list[dict[str, object]], data_hash: str = "") -> str:
    path.write_text(json.dumps({"episodes": entries, "data_hash": data_hash or store.content_hash()}))
    return str(path)


def test_keep_list_drops_and_weighs(make_store: Make, spec: DataSpec, tmp_path: Path) -> None:
    store = make_store(6)
    entries: list[dict[str, object]] = [
        {"id": "demo_2", "keep": False, "weight": 1.0, "reasons": ["idle"]},
        {"id": "demo_4", "keep": True, "weight": 0.25, "reasons": []},
    ]
    keep = write_keep(store, tmp_path / "keep.json", entries)
    data = loaded(store, spec, keep=keep, val_fraction=0.0)
    assert data.train_episodes == (0, 1, 3, 4, 5)
    assert len(data.train) == sum(len(store.episode(e)) for e in data.train_episodes)
    weights = torch.cat([batch.weight for batch in data.train.epoch_batches()])
    assert (weights == 0.25).sum() == len(store.episode(4))
    assert (weights == 1.0).sum() == len(data.train) - len(store.episode(4))


def test_keep_list_of_other_data_is_refused(make_store: Make, spec: DataSpec, tmp_path: Path) -> None:
    store = make_store(3)
    path = tmp_path / "keep.json"
    cases: list[tuple[list[dict[str, object]], str, str]] = [
        ([], "abc", f"hash abc, but .* has {store.content_hash()}"),
        ([{"id": "demo_9"}], "", r"no episode 'demo_9' \(did you mean"),
        ([{"keep": True}], "", "needs an 'id'"),
        ([{"id": "demo_1", "weight": -1.0}], "", "weights must be"),
        ([{"id": f"demo_{i}", "keep": False} for i in range(3)], "", "none is kept"),
    ]
    for entries, data_hash, message in cases:
        with pytest.raises(DataError, match=message):
            loaded(store, spec, keep=write_keep(store, path, entries, data_hash))
    with pytest.raises(DataError, match=r"data\.keep"):
        loaded(store, spec, keep=str(tmp_path / "absent.json"))


def test_the_environment_names_observations_and_fills_in_what_data_does_not_say(
    tmp_path: Path, spec: DataSpec, make_episode: Callable[..., Episode]
) -> None:
    bare = DataSpec(
        {"state": ArraySpec((3,)), "camera": ArraySpec((8, 8, 3), "uint8")}, ArraySpec((2,)), None
    )
    store = DemoStore.create(tmp_path / "bare.zarr", bare)
    for number in range(3):
        store.append(make_episode(number))
    data = loaded(store, spec.select(["state"]))
    assert data.spec == spec.select(["state"])
    assert set(data.train.batch(0).obs) == {"state"}
    assert set(loaded(store, spec).train.batch(0).obs) == {"state", "camera"}
    assert set(loaded(store, spec, obs=("camera",)).spec.obs) == {"camera"}
    assert set(loaded(store, None).spec.obs) == {"state"}
    assert set(loaded(store, None, obs=("camera",)).spec.obs) == {"camera"}


def test_data_that_does_not_fit_the_environment_is_refused(make_store: Make, spec: DataSpec) -> None:
    store = make_store(2)
    inches = replace(spec.action, units=("in", "in"))
    for expected, message in [
        (replace(spec, obs={**spec.obs, "wrist": ArraySpec((4,))}), "'wrist' is missing"),
        (replace(spec, action=ArraySpec((3,))), "action: shape is"),
        (replace(spec, action=inches), "action: units are"),
        (replace(spec, rate_hz=20.0), "rate is 10 Hz"),
    ]:
        with pytest.raises(SpecError, match=message):
            loaded(store, expected)
    with pytest.raises(SpecError, match="'wrst' is not there"):
        loaded(store, spec, obs=("wrst",))


def test_an_observation_of_another_name_is_guessed(make_store: Make, spec: DataSpec) -> None:
    store = make_store(2)
    others = {key: array for key, array in spec.obs.items() if key != "state"}
    with pytest.raises(
        SpecError, match=r"'position' is missing.*data rename.*'observations={state: position}'"
    ):
        loaded(store, replace(spec, obs={**others, "position": spec.obs["state"]}))
    with pytest.raises(SpecError) as told:
        loaded(store, replace(spec, obs={**others, "position": ArraySpec((99,))}))
    assert "rename" not in str(told.value)


def test_numbers_that_are_not_finite_are_named(
    make_store: Make, spec: DataSpec, make_episode: Callable[..., Episode]
) -> None:
    store = make_store(3)
    action = make_episode(7, 5).action.copy()
    action[3, 1] = np.nan
    store.append(replace(make_episode(7, 5), action=action))
    with pytest.raises(DataError, match="action 'action' of episode 'demo_7' holds NaN"):
        loaded(store, spec, val_fraction=0.0)


def test_an_empty_store_is_refused(make_store: Make, spec: DataSpec) -> None:
    with pytest.raises(DataError, match="no episodes to train on"):
        loaded(make_store(0), spec)


@pytest.mark.parametrize(
    ("settings", "key"),
    [
        ({"path": ""}, "data.path"),
        ({"path": "x", "val_fraction": 1.0}, "data.val_fraction"),
        ({"path": "x", "val_fraction": -0.1}, "data.val_fraction"),
        ({"path": "x", "memory_gib": -1.0}, "data.memory_gib"),
        ({"path": "x", "hindsight": 1.5}, "data.hindsight"),
        ({"path": "x", "split_seed": -1}, "data.split_seed"),
    ],
)
def test_settings_name_their_key(settings: dict[str, object], key: str) -> None:
    with pytest.raises(ConfigError, match=key):
        DataConfig(**settings)  # type: ignore[arg-type]


def test_aligned_episodes_end_at_the_goal(make_store: Make, spec: DataSpec) -> None:
    store = make_store(6)
    alignment = Alignment({"state": ((0, 1),), "action": ((0, 1),)}, {}, ("state", 0, 1, 2), (7.0, -3.0, 0.0))
    plain = DataConfig(str(store.path), obs=("state",), val_fraction=0.3)
    config = replace(plain, align=True)
    data, raw = (prepare(c, HORIZONS, spec, 1000, 3, None, alignment) for c in (config, plain))
    ends = np.asarray(store.episode_ends)
    last = torch.from_numpy(store.array("state")[ends - 1])
    for loader, other in ((data.train, raw.train), (data.validation, raw.validation)):
        assert loader is not None and other is not None
        for ours, theirs in zip(loader.epoch_batches(), other.epoch_batches(), strict=True):
            seen = other._sampler.windows(np.arange(len(other))).episodes  # the one batch there is
            turn = -last[seen][:, 2]
            relative = theirs.obs["state"][:, :, :2] - last[seen][:, None, :2]
            c, s = torch.cos(turn)[:, None], torch.sin(turn)[:, None]
            x, y = relative.unbind(-1)
            expected = torch.stack([c * x - s * y + 7, s * x + c * y - 3], dim=-1)
            torch.testing.assert_close(ours.obs["state"][:, :, :2], expected, atol=1e-4, rtol=1e-4)
            assert torch.equal(ours.is_pad, theirs.is_pad)
    with pytest.raises(ConfigError, match=r"data\.align is true, but the environment knows no alignment"):
        prepare(config, HORIZONS, spec, 16, 3)
