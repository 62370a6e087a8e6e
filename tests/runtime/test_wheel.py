"""The runtime alone: built as a wheel, installed where nothing else is, it runs an exported policy."""

import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

pytest.importorskip("onnxruntime")

import small_bundle
import untrained

from imitate.checkpoint import load_policy
from imitate.deploy.simulation.bridge_server import BridgeServer
from imitate.deploy.simulation.simulated_arm import SimulatedArm
from imitate.envs.tabletop.pick_place import PickPlaceConfig
from imitate.export.bundle import export_policy

ROOT = Path(__file__).resolve().parents[2]

TRIAL = """
import importlib.util, sys
import numpy as np
from imitate.runtime import open_bundle
assert importlib.util.find_spec("torch") is None
policy = open_bundle(sys.argv[1]).policy(warm_up=30)
dtypes = {key: "uint8" if array.is_image else "float32" for key, array in policy.spec.obs.items()}
obs = {key: np.zeros((2, *array.shape), dtypes[key]) for key, array in policy.spec.obs.items()}
print(policy.predict(obs, np.random.default_rng(0)).shape)
"""


def run(*command: object, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    words = [str(word) for word in command]
    return subprocess.run(words, capture_output=True, text=True, timeout=280, check=False, cwd=cwd)


def needs_index(done: subprocess.CompletedProcess[str]) -> None:
    """Skip where packages cannot be fetched; fail where something else went wrong."""
    unreachable = ("No matching distribution", "Could not find a version", "connection", "Temporary failure")
    if done.returncode and any(sign in done.stderr for sign in unreachable):
        pytest.skip(f"the package index cannot be reached: {done.stderr.strip().splitlines()[-1]}")
    assert done.returncode == 0, done.stderr


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_it_is_installed_alone(tmp_path: Path) -> None:
    needs_index(run(ROOT / "scripts/build_runtime", tmp_path / "dist"))
    (wheel,) = (tmp_path / "dist").iterdir()
    with zipfile.ZipFile(wheel) as file:
        folders = {name.rpartition("/")[0] for name in file.namelist() if name.startswith("imitate/")}
    assert {"imitate", "imitate/runtime", "imitate/deploy"} <= folders
    assert not {"imitate/policies", "imitate/envs", "imitate/training"} & folders
    assert run(sys.executable, "-m", "venv", tmp_path / "venv").returncode == 0
    python = tmp_path / "venv/bin/python"
    needs_index(run(python, "-m", "pip", "install", "--quiet", "-c", ROOT / "constraints.txt", wheel))
    bundle = small_bundle.written(tmp_path / "linear.imitate")
    done = run(python, "-c", TRIAL, bundle, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == "(3, 2)"


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_with_its_extra_it_deploys_without_torch(tmp_path: Path) -> None:
    pytest.importorskip("websockets")
    needs_index(run(ROOT / "scripts/build_runtime", tmp_path / "dist"))
    (wheel,) = (tmp_path / "dist").iterdir()
    assert run(sys.executable, "-m", "venv", tmp_path / "venv").returncode == 0
    python = tmp_path / "venv/bin/python"
    constraints = ROOT / "constraints.txt"
    needs_index(run(python, "-m", "pip", "install", "--quiet", "-c", constraints, f"{wheel}[deploy]"))
    env = PickPlaceConfig()
    export_policy(load_policy(untrained.checkpoint(tmp_path, env)), tmp_path / "p.imitate", compared=16)
    server = BridgeServer()
    arm = SimulatedArm(env, server)
    try:
        arm.start()
        server.start()
        robot = ("robot=simulated_arm", f"robot.url=ws://127.0.0.1:{server.port}", "connect_s=20")
        policy, out = f"policy={tmp_path / 'p.imitate'}", tmp_path / "session"
        verb = (python, "-m", "imitate", "deploy")
        done = run(*verb, policy, *robot, "mode=run", "arm=tester", "longest_s=2", f"out={out}", cwd=tmp_path)
    finally:
        arm.close()
        server.close()
    assert done.returncode == 0, done.stderr
    assert (out / "session.mcap").exists() and (out / "index.html").exists()
    assert arm.applied
    assert run(python, "-c", "import torch").returncode == 1
