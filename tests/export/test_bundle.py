"""Exporting a checkpoint: what is written, that it is written whole or not at all, and always the same."""

import dataclasses
import io
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import torch

pytest.importorskip("onnxruntime")
pytest.importorskip("onnxscript")

from line_env import LineConfig
from small_exports import saved

from imitate import checkpoint
from imitate.checkpoint import BEST, LoadedPolicy, describe, load_policy
from imitate.datasets.loader import DataConfig
from imitate.datasets.store import DemoStore
from imitate.env import EnvConfig
from imitate.errors import BundleError, ConfigError, DataError
from imitate.export import bundle as exporting
from imitate.export.bundle import export_policy
from imitate.normalize import ArrayStatistics
from imitate.policies.bc import BehaviourCloningConfig
from imitate.policy import Horizons
from imitate.runtime import open_bundle
from imitate.types import Episode

CONFIG = BehaviourCloningConfig(horizons=Horizons(2, 8, 4), head="gmm", width=16, layers=1)
SPEC = LineConfig().build().data_spec


def demonstrations(path: Path, episodes: int = 6, seed: int = 0) -> DemoStore:
    rng = np.random.default_rng(seed)
    with DemoStore.create(path, SPEC, "test") as store:
        for index in range(episodes):
            obs = {
                key: rng.uniform(-1, 1, (30, *array.shape)).astype(array.dtype)
                for key, array in SPEC.obs.items()
            }
            action = rng.uniform(-1, 1, (30, SPEC.action.size)).astype(np.float32)
            store.append(Episode(f"e{index}", obs, action, True, rate_hz=SPEC.rate_hz))
    return store


def run(folder: Path, data_hash: str, env: EnvConfig | None = None) -> LoadedPolicy:
    torch.manual_seed(0)
    policy = CONFIG.build(SPEC)
    one = {
        key: ArrayStatistics(np.full(a.size, -1.0), np.ones(a.size), np.zeros(a.size), np.ones(a.size))
        for key, a in {**SPEC.obs, "action": SPEC.action}.items()
    }
    policy.normalizer.fit(one)
    if env is None:
        return saved(policy, CONFIG, folder, data_hash)
    info = describe(CONFIG, policy, env, data_hash=data_hash, seeds={}, step=1, metrics={}, training={})
    folder.mkdir()
    weights = {f"{kind}/{name}": t for kind in ("live", "ema") for name, t in policy.state_dict().items()}
    checkpoint.save(folder / BEST, weights, info)
    return load_policy(folder)


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> tuple[LoadedPolicy, Path, Path]:
    """A checkpoint, the demonstrations it was trained on, and what was exported with them."""
    folder = tmp_path_factory.mktemp("world")
    demonstrations(folder / "demos.zarr")
    with DemoStore.open(folder / "demos.zarr") as store:
        data_hash = store.content_hash()
    loaded = run(folder / "run", data_hash)
    out = folder / "exports" / "p.imitate"
    export_policy(loaded, out, data=DataConfig(str(folder / "demos.zarr")), compared=100)
    return loaded, folder / "demos.zarr", out


def test_the_same_checkpoint_gives_the_same_bytes(world, tmp_path: Path) -> None:
    loaded, demos, out = world
    again = tmp_path / "again.imitate"
    export_policy(load_policy(loaded.file), again, data=DataConfig(str(demos)), compared=100)
    assert again.read_bytes() == out.read_bytes()


def test_states_of_training_and_held_out_episodes_travel_along(world) -> None:
    _, demos, out = world
    content = open_bundle(out).part("observations.npz")
    assert content is not None
    with np.load(io.BytesIO(content), allow_pickle=False) as file:
        train, held_out, columns = (file[name] for name in ("train", "held_out", "columns"))
    size = sum(array.size for array in SPEC.obs.values() if not array.is_image)
    assert train.shape == (150, size) and held_out.shape == (30, size) and len(columns) == size
    assert train.dtype == held_out.dtype == np.float32
    with DemoStore.open(demos) as store:
        episodes = list(store.episodes())
        every = np.concatenate(
            [np.concatenate([e.obs[k].reshape(30, -1) for k in SPEC.obs], axis=1) for e in episodes]
        )
    known = {row.tobytes() for row in every.astype(np.float32)}
    found = [row.tobytes() for row in np.concatenate([train, held_out])]
    assert set(found) == known and len(set(found)) == len(found)


def test_the_manifest_says_where_it_comes_from(world) -> None:
    loaded, _, out = world
    bundle = open_bundle(out)
    known = bundle.manifest.provenance
    assert known["checkpoint_hash"] == checkpoint.checkpoint_hash(loaded.file)
    assert known["data_hash"] == loaded.info.data_hash
    assert known["evaluation"] is None
    assert known["policy"]["_target_"].endswith("BehaviourCloningConfig")
    assert bundle.manifest.parity["observations"] == 100
    assert bundle.manifest.parity["largest_error_in_ranges"] <= 1e-4
    assert bundle.manifest.seen["action"].mode == "minmax"
    assert bundle.manifest.seen["action"].low == pytest.approx((-1.0,) * SPEC.action.size)
    card = (bundle.part("model_card.md") or b"").decode()
    assert "Nobody knows how well it does" in card and "windows of the demonstrations" in card
    with np.load(io.BytesIO(bundle.part("golden.npz") or b""), allow_pickle=False) as golden:
        assert len(golden["action"]) >= 8


def test_other_demonstrations_are_refused(world, tmp_path: Path) -> None:
    loaded, _, _ = world
    demonstrations(tmp_path / "other.zarr", seed=1)
    with pytest.raises(DataError, match=r"is not what .* was trained on"):
        export_policy(loaded, tmp_path / "p", data=DataConfig(str(tmp_path / "other.zarr")), compared=10)
    assert not (tmp_path / "p").exists()


def test_an_export_that_acts_otherwise_is_not_written(world, tmp_path: Path, monkeypatch) -> None:
    loaded, _, _ = world
    kept = tmp_path / "p.imitate"
    kept.write_bytes(b"an earlier export")
    whole = exporting.to_onnx

    def of_another_policy(acting: exporting.Acting) -> bytes:
        wrong = run(tmp_path / "other", "d" * 64).policy
        with torch.no_grad():
            next(wrong.head.parameters()).add_(0.01)
        return whole(exporting.Acting(wrong))

    monkeypatch.setattr(exporting, "to_onnx", of_another_policy)
    with pytest.raises(
        BundleError, match=r"action .* is off by .* of its range .* nothing was written"
    ) as said:
        export_policy(loaded, kept, compared=50)
    assert "\n" not in str(said.value)
    assert kept.read_bytes() == b"an earlier export"
    assert [path.name for path in tmp_path.iterdir() if path.is_file()] == ["p.imitate"]


def test_an_earlier_file_is_replaced(world, tmp_path: Path) -> None:
    loaded, _, _ = world
    out = tmp_path / "new folder" / "p.imitate"
    out.parent.mkdir()
    out.write_bytes(b"an earlier export")
    export_policy(loaded, out, compared=16)
    assert open_bundle(out).policy().horizons == (2, 8, 4)
    assert [path.name for path in out.parent.iterdir()] == ["p.imitate"]
    assert "random observations" in open_bundle(out).manifest.parity["source"]


def test_a_folder_is_no_place_to_write_to(world, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="is a folder"):
        export_policy(world[0], tmp_path)


@pytest.mark.slow
def test_without_data_the_policy_is_rolled_out(tmp_path: Path) -> None:
    loaded = run(tmp_path / "run", "d" * 64, LineConfig(max_steps=15))
    done = export_policy(loaded, tmp_path / "p.imitate", compared=150)
    assert "its own rollouts" in done.manifest.parity["source"]
    assert done.manifest.parity["observations"] == 150
    assert open_bundle(tmp_path / "p.imitate").part("observations.npz") is None


@pytest.mark.slow
def test_actions_are_kept_in_the_range_of_the_spec(world, tmp_path: Path) -> None:
    loaded, _, _ = world
    narrow = dataclasses.replace(SPEC.action, low=(-0.1,) * SPEC.action.size, high=(0.2,) * SPEC.action.size)
    loaded.policy.spec = dataclasses.replace(loaded.policy.spec, action=narrow)
    try:
        export_policy(loaded, tmp_path / "p.imitate", compared=16)
    finally:
        loaded.policy.spec = SPEC
    policy = open_bundle(tmp_path / "p.imitate").policy()
    rng = np.random.default_rng(0)
    chunks = [policy.predict(observation(rng), rng) for _ in range(20)]
    assert np.min(chunks) == np.float32(-0.1) and np.max(chunks) == np.float32(0.2)


def observation(rng: np.random.Generator, steps: int = 2) -> dict[str, np.ndarray]:
    shapes: Sequence[tuple[str, tuple[int, ...]]] = [(key, a.shape) for key, a in SPEC.obs.items()]
    return {key: rng.uniform(-1, 1, (steps, *shape)).astype(np.float32) for key, shape in shapes}
