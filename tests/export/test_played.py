"""Exported files of every precision: what they say of themselves, and that a rollout plays them."""

import json
import pickle
from pathlib import Path

import numpy as np
import pytest
import torch

pytest.importorskip("onnxruntime")
pytest.importorskip("onnxscript")

from line_env import LineConfig

from imitate import checkpoint
from imitate.checkpoint import BEST, LoadedPolicy, describe, load_policy
from imitate.cli.main import main
from imitate.datasets.used_seeds import DEMONSTRATIONS, UsedSeeds
from imitate.errors import BundleError, ConfigError
from imitate.export.bundle import export_policy
from imitate.export.played import load_exported
from imitate.normalize import ArrayStatistics
from imitate.parts import TARGET, to_json
from imitate.policies.bc import BehaviourCloningConfig
from imitate.policy import GivenNoise, Horizons
from imitate.runtime import open_bundle

CONFIG = BehaviourCloningConfig(horizons=Horizons(2, 8, 4), head="gmm", width=96, layers=2)
FAST = ["episodes=6", "videos=0", "rollout.workers=0", "rollout.batch=4", "device=cpu"]


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> LoadedPolicy:
    """A policy that has met the seeds 7 to 9."""
    torch.manual_seed(0)
    env = LineConfig(max_steps=15)
    policy = CONFIG.build(env.build().data_spec)
    one = {
        key: ArrayStatistics(np.full(a.size, -1.0), np.ones(a.size), np.zeros(a.size), np.ones(a.size))
        for key, a in {**policy.spec.obs, "action": policy.spec.action}.items()
    }
    policy.normalizer.fit(one)
    used = (UsedSeeds.of(DEMONSTRATIONS, to_json(env)[TARGET], [7, 8, 9]),)
    info = describe(
        CONFIG, policy, env, data_hash="d" * 64, seeds={}, step=5, metrics={}, training={}, used_seeds=used
    )
    folder = tmp_path_factory.mktemp("runs")
    weights = {f"{kind}/{name}": t for kind in ("live", "ema") for name, t in policy.state_dict().items()}
    checkpoint.save(folder / BEST, weights, info)
    return load_policy(folder)


@pytest.fixture(scope="module")
def files(run: LoadedPolicy, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("exports")
    for precision in ("float32", "float16", "int8"):
        export_policy(run, folder / f"{precision}.imitate", precision=precision, compared=64)  # type: ignore[arg-type]
    return {path.stem: path for path in folder.iterdir()}


def test_smaller_files_say_what_they_are_and_how_far_off(files: dict[str, Path]) -> None:
    sizes = {name: len(open_bundle(path).part("model.onnx") or b"") for name, path in files.items()}
    assert sizes["int8"] < 0.45 * sizes["float32"] and sizes["float16"] < 0.65 * sizes["float32"]
    for name, path in files.items():
        bundle = open_bundle(path)
        parity, card = bundle.manifest.parity, (bundle.part("model_card.md") or b"").decode()
        assert bundle.manifest.precision == name and (name in card) == (name != "float32")
        if name == "float32":
            assert "median_error_in_ranges" not in parity and parity["largest_error_in_ranges"] <= 1e-4
            continue
        median, p99 = parity["median_error_in_ranges"], parity["p99_error_in_ranges"]
        assert 0 < median <= p99 <= parity["largest_error_in_ranges"]
        assert parity["float32_largest_error_in_ranges"] <= 1e-4


def test_a_smaller_file_acts_as_far_from_the_policy_as_it_says(
    run: LoadedPolicy, files: dict[str, Path]
) -> None:
    generator, errors = torch.Generator().manual_seed(5), {}
    for name, path in files.items():
        exported, worst = open_bundle(path).policy(), 0.0
        for _ in range(50):
            obs = {
                k: torch.rand(1, 2, *a.shape, generator=generator) * 2 - 1
                for k, a in run.policy.spec.obs.items()
            }
            noise = torch.randn(1, exported.noise_size, generator=generator)
            expected = run.policy.predict(obs, GivenNoise(noise)).values[0].numpy()
            found = exported.predict_with({k: v[0].numpy() for k, v in obs.items()}, noise[0].numpy())
            worst = max(worst, float(np.abs(found - expected.clip(-1, 1)).max()))
        errors[name] = worst
    assert errors["float32"] < errors["float16"] < errors["int8"] < 0.5


def test_a_file_that_acts_otherwise_than_recorded_is_not_opened(files: dict[str, Path]) -> None:
    whole, small = open_bundle(files["float32"]), open_bundle(files["int8"])
    golden = small.part("golden.npz") or b""
    small.policy().require_recorded(golden)
    with pytest.raises(BundleError, match="acts otherwise than recorded"):
        whole.policy().require_recorded(golden)


def test_an_exported_policy_is_played_as_its_checkpoint_is(
    run: LoadedPolicy, files: dict[str, Path], tmp_path: Path
) -> None:
    for name, what in (("run", run.file), ("float32", files["float32"]), ("int8", files["int8"])):
        assert main(["rollout", f"checkpoint={what}", f"out={tmp_path / name}", *FAST]) == 0
    found = {
        name: json.loads((tmp_path / name / "rollout.json").read_text())
        for name in ("run", "float32", "int8")
    }
    assert found["float32"]["provenance"]["checkpoint_hash"] != found["run"]["provenance"]["checkpoint_hash"]
    for result in found.values():
        assert result["provenance"]["seeds"]["check"] == "disjoint"
    for ours, exported in zip(found["run"]["episodes"], found["float32"]["episodes"], strict=True):
        assert exported["success"] == ours["success"]
        assert exported["score"] == pytest.approx(ours["score"], abs=1e-3)


@pytest.mark.parametrize(
    ("keys", "said"),
    [
        (["seed=7"], "is not new to"),
        (["policy.width=3"], "policy.width is set, but"),
        (["checkpoints=all"], "checkpoints"),
    ],
)
def test_what_an_exported_policy_cannot_be_asked(
    files: dict[str, Path], tmp_path: Path, capsys, keys: list[str], said: str
) -> None:
    words = [f"checkpoint={files['int8']}", f"out={tmp_path / 'x'}", *FAST, *keys]
    assert main(["rollout", *words]) == 2
    printed = capsys.readouterr()
    assert said in printed.err and printed.err.strip().count("\n") == 0
    assert not (tmp_path / "x").exists()


def test_an_exported_policy_can_be_sent_to_another_process_and_cannot_learn(files: dict[str, Path]) -> None:
    policy = load_exported(files["int8"]).policy
    again = pickle.loads(pickle.dumps(policy))
    obs = {k: torch.zeros(3, 2, *a.shape) for k, a in policy.spec.obs.items()}

    def chunk(which) -> torch.Tensor:
        return which.predict(obs, [torch.Generator().manual_seed(row) for row in range(3)]).values

    assert torch.equal(chunk(policy), chunk(again)) and chunk(policy).shape[:2] == (3, 4)
    with pytest.raises(ConfigError, match="cannot learn"):
        policy.loss(None)  # type: ignore[arg-type]


def test_an_unknown_precision_is_named(run: LoadedPolicy, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"precision is 'int16' \(did you mean"):
        export_policy(run, tmp_path / "p.imitate", precision="int16")  # type: ignore[arg-type]
    assert not (tmp_path / "p.imitate").exists()
