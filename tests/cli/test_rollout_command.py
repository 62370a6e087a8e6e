"""`imitate rollout` and `imitate compare` from the command line, on a checkpoint of an untrained policy."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from line_env import LineConfig
from own_machine import processes_of

from imitate import checkpoint
from imitate.checkpoint import BEST, checkpoint_hash, describe
from imitate.cli.main import main
from imitate.datasets.store import DemoStore
from imitate.evaluation.result import load
from imitate.parts import from_json
from imitate.policies.bc import BehaviourCloningConfig
from imitate.policy import Horizons

FAST = ["rollout.workers=0", "rollout.batch=4", "device=cpu"]


def save_run(folder: Path, env: LineConfig | None, weights_seed: int) -> Path:
    torch.manual_seed(weights_seed)
    config = BehaviourCloningConfig(horizons=Horizons(2, 8, 4), width=16, layers=1)
    policy = config.build(LineConfig().build().data_spec)
    info = describe(
        config, policy, env, data_hash="d" * 64, seeds={"train": 0}, step=5, metrics={}, training={}
    )
    folder.mkdir()
    weights = {f"{kind}/{name}": t for kind in ("live", "ema") for name, t in policy.state_dict().items()}
    checkpoint.save(folder / BEST, weights, info)
    return folder


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_run(tmp_path_factory.mktemp("runs") / "x", LineConfig(max_steps=15), 0)


def test_rollout_writes_everything_and_says_where(run: Path, tmp_path: Path, capsys) -> None:
    out = tmp_path / "rollout"
    assert main(["rollout", f"checkpoint={run}", f"out={out}", "episodes=6", "videos=2", *FAST]) == 0
    printed = capsys.readouterr().out
    assert "of 6 episodes" in printed
    for figure in ("score  ", "smooth  ", "limits    action out of range in ", "seeds     100000 to 100005"):
        assert figure in printed
    assert (out / "episodes.csv").read_text().count("\n") == 7
    assert str(out / "rollout.json") in printed
    result = load(out)
    assert [episode.seed for episode in result.episodes] == list(range(100_000, 100_006))
    assert sorted(p.name for p in (out / "videos").iterdir()) == sorted(
        file.removeprefix("videos/") for file in result.videos.values()
    )
    assert len(result.videos) == 2
    assert "of 6 episodes succeeded" in (out / "index.html").read_text()
    origin = result.provenance
    assert origin["checkpoint_hash"] == checkpoint_hash(run)
    assert origin["data_hash"] == "d" * 64
    assert from_json(origin["env"]) == LineConfig(max_steps=15)
    assert from_json(origin["rollout"]).batch == 4
    assert {"python", "torch", "mujoco", "gymnasium", "diffusers", "numpy", "imitate"} <= set(
        origin["versions"]
    )


def test_settings_of_the_policy_can_be_changed(run: Path, tmp_path: Path) -> None:
    out = tmp_path / "o"
    keys = [f"checkpoint={run}", f"out={out}", "episodes=1", "videos=0", *FAST]
    assert main(["rollout", *keys, "policy.horizons.action_steps=2"]) == 0
    changed = load(out).provenance["policy"]
    assert changed["horizons"] == {**changed["horizons"], "obs_steps": 2, "pred_steps": 8, "action_steps": 2}
    assert changed["width"] == 16


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            "policy.horizons.acton_steps=2",
            "unknown key policy.horizons.acton_steps (did you mean 'action_steps'",
        ),
        ("policy.horizons.action_steps=20", "policy.horizons.action_steps is 20"),
        ("policy.width=32", "weight 'head"),
        ("policy.horizons=3", "policy.horizons is 3"),
    ],
)
def test_changes_that_do_not_fit_are_refused(
    run: Path, tmp_path: Path, change: str, message: str, capsys
) -> None:
    assert main(["rollout", f"checkpoint={run}", f"out={tmp_path / 'o'}", *FAST, change]) == 2
    assert message in capsys.readouterr().err
    assert not (tmp_path / "o").exists()


def test_json_is_one_object_and_the_same_figures(run: Path, tmp_path: Path, capsys) -> None:
    arguments = ["rollout", f"checkpoint={run / BEST}", f"out={tmp_path / 'o'}", "episodes=3", "videos=0"]
    assert main([*arguments, *FAST, "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == json.loads((tmp_path / "o" / "rollout.json").read_text())


def test_recorded_episodes_are_those_of_the_result(run: Path, tmp_path: Path, capsys) -> None:
    keys = ["rollout", f"checkpoint={run}", "episodes=5", *FAST]
    store_path = tmp_path / "o" / "rollouts.zarr"
    assert main([*keys, f"out={tmp_path / 'o'}", "videos=2", f"record={store_path}"]) == 0
    assert f"recorded  {store_path}" in capsys.readouterr().out
    assert main([*keys, f"out={tmp_path / 'plain'}", "videos=0"]) == 0
    result = load(tmp_path / "o")
    assert result.episodes == load(tmp_path / "plain").episodes
    assert len(result.videos) == 2
    store = DemoStore.open(store_path)
    records = [store.record(i) for i in range(5)]
    assert [(one.metadata["seed"], one.steps, one.success) for one in records] == [
        (episode.seed, episode.length, episode.success) for episode in result.episodes
    ]
    assert {one.source for one in records} == {f"rollout of {run / BEST}"}
    assert store.metadata["checkpoint_hash"] == checkpoint_hash(run)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["o", "plain"]


def test_a_store_that_exists_is_not_recorded_to(run: Path, tmp_path: Path, capsys) -> None:
    (tmp_path / "r.zarr").mkdir()
    keys = [f"checkpoint={run}", f"out={tmp_path / 'o'}", f"record={tmp_path / 'r.zarr'}", *FAST]
    assert "already exists" in fails_with(["rollout", *keys], capsys)
    assert [p.name for p in tmp_path.iterdir()] == ["r.zarr"]


def test_compare_on_the_command_line(run: Path, tmp_path: Path, capsys) -> None:
    other = save_run(tmp_path / "y", LineConfig(max_steps=15), 1)
    for name, folder, episodes in (("a", run, 8), ("b", other, 6)):
        keys = [f"checkpoint={folder}", f"out={tmp_path / name}", f"episodes={episodes}", "videos=0", *FAST]
        assert main(["rollout", *keys]) == 0
    capsys.readouterr()
    sides = [f"a={tmp_path / 'a'}", f"b={tmp_path / 'b' / 'rollout.json'}"]
    assert main(["compare", *sides]) == 0
    printed = capsys.readouterr().out
    assert "paired on the 6 seeds in common; 2 episodes of a and 0 of b are left out" in printed
    assert main(["compare", *sides, "--json"]) == 0
    value = json.loads(capsys.readouterr().out)
    low, high = value["interval"]
    assert low <= value["difference"] <= high
    assert 0 < value["p_value"] <= 1


def fails_with(arguments: list[str], capsys) -> str:
    assert main(arguments) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.count("\n") == 1
    return captured.err


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        (["episodes=0"], "episodes is 0"),
        (["videos=-1"], "videos is -1"),
        (["device=gpu"], "device is 'gpu'"),
        (["device=cuda:99"], "CUDA devices"),
        (["rollout.workers=-2"], "rollout.workers is -2"),
        (["rollout.execution.strategy=both"], "rollout.execution.strategy is 'both'"),
        (["rollout.worker=2"], "did you mean 'rollout.workers'"),
        (["episodes=many"], "episodes is 'many'"),
    ],
)
def test_mistakes_are_answered_in_one_line(run: Path, tmp_path: Path, capsys, keys, message) -> None:
    out = tmp_path / "out"
    assert message in fails_with(["rollout", f"checkpoint={run}", f"out={out}", *keys], capsys)
    assert not out.exists()


def test_paths_that_are_wrong(run: Path, tmp_path: Path, capsys) -> None:
    assert "nowhere" in fails_with(["rollout", "checkpoint=nowhere", f"out={tmp_path / 'o'}"], capsys)
    (tmp_path / "file").write_text("mine")
    keys = [f"checkpoint={run}", f"out={tmp_path / 'file'}", *FAST]
    assert "is a file" in fails_with(["rollout", *keys], capsys)
    assert (tmp_path / "file").read_text() == "mine"
    assert "no such file" in fails_with(["compare", "a=nowhere.json", "b=nowhere.json"], capsys)


def test_a_checkpoint_without_environment_needs_one(tmp_path: Path, capsys) -> None:
    bare = save_run(tmp_path / "bare", None, 0)
    keys = [f"checkpoint={bare}", f"out={tmp_path / 'o'}", *FAST]
    assert "add env=" in fails_with(["rollout", *keys], capsys)


def test_another_environment_that_does_not_fit_names_the_key(run: Path, tmp_path: Path, capsys) -> None:
    keys = [f"checkpoint={run}", f"out={tmp_path / 'o'}", "env=pusht", *FAST]
    assert "observation 'position' is missing" in fails_with(["rollout", *keys], capsys)


@pytest.mark.slow
def test_ctrl_c_leaves_the_earlier_result_and_no_process(tmp_path: Path) -> None:
    run = save_run(tmp_path / "x", LineConfig(trouble="sleep", trouble_seed=100_001), 0)
    out = tmp_path / "out"
    out.mkdir()
    (out / "rollout.json").write_text("earlier")
    keys = [f"checkpoint={run}", f"out={out}", f"record={tmp_path / 'r.zarr'}", "episodes=4"]
    command = [sys.executable, "-m", "imitate", "rollout", *keys]
    stand_ins = str(Path(__file__).parent.parent / "stand_ins")
    child = subprocess.Popen(
        command,
        env={**os.environ, "PYTHONPATH": stand_ins},
        start_new_session=True,
        stderr=subprocess.PIPE,
        text=True,
    )
    while not any(p.name.startswith(".out.unfinished") for p in tmp_path.iterdir()):
        time.sleep(0.1)
        assert child.poll() is None
    time.sleep(3)
    os.killpg(child.pid, signal.SIGINT)
    _, errors = child.communicate(timeout=60)
    assert child.returncode == 130
    assert "Traceback" not in errors
    assert sorted(p.name for p in tmp_path.iterdir()) == ["out", "x"]
    assert (out / "rollout.json").read_text() == "earlier"
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline and processes_of(child.pid):
        time.sleep(0.1)
    assert processes_of(child.pid) == []
