"""`imitate export` from the command line."""

import json
from pathlib import Path

import pytest
import torch

pytest.importorskip("onnxruntime")
pytest.importorskip("onnxscript")
pytest.importorskip("cryptography")

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from line_env import LineConfig

from imitate import checkpoint
from imitate.checkpoint import BEST, describe
from imitate.cli.main import main
from imitate.errors import BundleError
from imitate.policies.bc import BehaviourCloningConfig
from imitate.policy import Horizons
from imitate.runtime import open_bundle


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch.manual_seed(0)
    env, config = LineConfig(max_steps=15), BehaviourCloningConfig(Horizons(2, 8, 4), width=16, layers=1)
    policy = config.build(env.build().data_spec)
    info = describe(config, policy, env, data_hash="d" * 64, seeds={}, step=5, metrics={}, training={})
    folder = tmp_path_factory.mktemp("runs") / "x"
    folder.mkdir()
    weights = {f"{kind}/{name}": t for kind in ("live", "ema") for name, t in policy.state_dict().items()}
    checkpoint.save(folder / BEST, weights, info)
    return folder


def test_a_signed_export_with_its_evaluation(run: Path, tmp_path: Path, capsys) -> None:
    key = Ed25519PrivateKey.generate()
    private = tmp_path / "private.pem"
    private.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    played = ["episodes=4", "videos=0", "rollout.workers=0", "rollout.batch=4", "device=cpu"]
    assert main(["rollout", f"checkpoint={run}", f"out={run / 'rollout'}", *played]) == 0
    capsys.readouterr()
    out = tmp_path / "p.imitate"
    assert main(["export", f"checkpoint={run}", f"out={out}", f"sign_with={private}", "--json"]) == 0
    said = json.loads(capsys.readouterr().out)
    assert said["out"] == str(out) and said["signed"] and said["bytes"] == out.stat().st_size
    assert said["parity"]["observations"] == 1024 and said["parity"]["largest_error_in_ranges"] <= 1e-4
    assert said["evaluation"]["episodes"] == 4
    bundle = open_bundle(out, key.public_key().public_bytes_raw())
    assert "seeds 100000 to 100003" in (bundle.part("model_card.md") or b"").decode()
    with pytest.raises(BundleError):
        open_bundle(out, Ed25519PrivateKey.generate().public_key().public_bytes_raw())


def test_settings_of_the_policy_are_changed_in_the_file(run: Path, tmp_path: Path, capsys) -> None:
    out = tmp_path / "p.imitate"
    assert main(["export", f"checkpoint={run}", f"out={out}", "policy.horizons.action_steps=3"]) == 0
    bundle = open_bundle(out)
    assert bundle.policy().horizons.action_steps == 3
    assert bundle.manifest.provenance["policy"]["horizons"]["action_steps"] == 3
    capsys.readouterr()
    assert main(["export", f"checkpoint={run}", f"out={tmp_path / 'q'}", "policy.widht=8"]) == 2
    assert "widht" in capsys.readouterr().err and not (tmp_path / "q").exists()


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"checkpoint": "{tmp}/absent"}, "there is no such file"),
        ({"out": "{tmp}"}, "is a folder"),
        ({"evaluation": "{tmp}/absent.json"}, "there is no such file"),
        ({"sign_with": "{tmp}/absent.pem"}, "sign_with={tmp}/absent.pem cannot be read"),
        ({"sign_with": "{tmp}/text.pem"}, "no PEM file of a private key"),
        ({"data.path": "{tmp}/absent.zarr"}, "absent.zarr"),
        ({"data.pth": "x"}, "did you mean 'data.path'"),
    ],
)
def test_mistakes_are_one_line_and_write_nothing(
    run: Path, tmp_path: Path, capsys, change, said: str
) -> None:
    (tmp_path / "text.pem").write_text("hello")
    keys = {"checkpoint": str(run), "out": str(tmp_path / "p.imitate")} | {
        key: value.format(tmp=tmp_path) for key, value in change.items()
    }
    assert main(["export", *(f"{key}={value}" for key, value in keys.items())]) == 2
    printed = capsys.readouterr()
    assert said.format(tmp=tmp_path) in printed.err
    assert printed.err.strip().count("\n") == 0 and not printed.out
    assert not (tmp_path / "p.imitate").exists()
