"""`imitate train` as a person runs it: limits, signals, kill -9, resuming, mistakes."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch

from imitate.checkpoint import LAST, load_policy, read
from imitate.cli.main import main
from imitate.datasets.store import DemoStore
from imitate.types import ArraySpec, DataSpec, Episode

SPEC = DataSpec({"state": ArraySpec((3,))}, ArraySpec((2,)), rate_hz=10.0)
SMALL = [
    "env=null", "policy=bc", "policy.width=32", "train.max_minutes=null", "train.batch_size=32",
    "train.validations=2", "train.device=cpu", "train.precision=fp32",
]  # fmt: skip
RUN = [sys.executable, "-m", "imitate"]


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("data") / "demos.zarr"
    rng = np.random.default_rng(0)
    opened = DemoStore.create(path, SPEC)
    for name in "abcd":
        state = rng.normal(size=(50, 3)).astype(np.float32)
        opened.append(Episode(name, {"state": state}, state[:, :2].copy(), rate_hz=10.0))
    opened.close()
    return path


def command(store: Path, out: Path, *more: str) -> list[str]:
    return [*RUN, "train", *SMALL, f"data.path={store}", f"out={out}", *more]


def run(arguments: list[str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(arguments, capture_output=True, text=True, check=False, timeout=200)


def stop_once_saved(arguments: list[str], last: Path, number: int) -> subprocess.Popen[str]:
    """Run until `last` appears, send the signal, and wait for the end."""
    process = subprocess.Popen(arguments, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    limit = time.monotonic() + 200
    while not last.exists():
        assert process.poll() is None and time.monotonic() < limit
        time.sleep(0.02)
    process.send_signal(number)
    process.wait(60)
    return process


@pytest.mark.slow
def test_stopped_killed_and_resumed_equals_uninterrupted(store: Path, tmp_path: Path) -> None:
    steps = "train.max_steps=600"
    whole = run([*command(store, tmp_path / "whole", steps), "--json"])
    assert whole.returncode == 0, whole.stderr
    summary = json.loads(whole.stdout)
    assert summary["steps"] == 600
    assert Path(summary["checkpoint"]).is_file()

    part, often = tmp_path / "part", "train.save_minutes=0"
    stopped = stop_once_saved(command(store, part, steps, often), part / LAST, signal.SIGTERM)
    assert stopped.returncode == 143
    assert stopped.stderr is not None
    assert "resume=true" in stopped.stderr.read()
    first = read(part / LAST, "none/")[0].step
    assert 0 < first < 600
    load_policy(part)

    stamp = (part / LAST).stat().st_mtime_ns
    killed = subprocess.Popen(command(store, part, steps, often, "resume=true"), stderr=subprocess.DEVNULL)
    while (part / LAST).stat().st_mtime_ns == stamp:
        assert killed.poll() is None
        time.sleep(0.02)
    killed.kill()
    killed.wait()
    assert first < read(part / LAST, "none/")[0].step < 600

    resumed = run(command(store, part, steps, "resume=true"))
    assert resumed.returncode == 0, resumed.stderr
    (info, tensors), (_, expected) = read(part / LAST), read(tmp_path / "whole" / LAST)
    assert info.step == 600
    for name, tensor in expected.items():
        assert torch.equal(tensors[name], tensor), name
    assert {entry.name for entry in part.iterdir()} <= {
        "best.safetensors", "last.safetensors", "config.json", "log.jsonl", "tb",
    }  # fmt: skip


MISTAKES = [
    (["train.max_step=3"], "unknown key train.max_step (did you mean 'train.max_steps'?)"),
    (["train.batch_size=many"], "train.batch_size is 'many', expected a whole number"),
    (["policy=difusion"], "policy=difusion: there is no such policy (did you mean 'diffusion'?)"),
    (["optim.lr=-1"], "optim.lr is -1.0, expected more than 0"),
    (["train.max_steps=null"], "train.max_steps and train.max_minutes are both null: set at least one"),
    (["data.obs=[speed]"], "'speed'"),
]


@pytest.mark.parametrize(("mistake", "message"), MISTAKES)
def test_mistakes_are_one_line_and_leave_nothing(
    store: Path, tmp_path: Path, mistake: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert (
        main(
            ["train", *SMALL, f"data.path={store}", f"out={tmp_path / 'run'}", "train.max_steps=2", *mistake]
        )
        == 2
    )
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1
    assert not (tmp_path / "run").exists()


def test_existing_run_damaged_checkpoint_and_changed_settings(
    store: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    first = ["train", *SMALL, f"data.path={store}", f"out={tmp_path / 'run'}", "train.max_steps=3"]
    assert main(first) == 0
    capsys.readouterr()
    assert main(first) == 2
    assert "add resume=true to continue it, or choose another out=" in capsys.readouterr().err
    assert main([*first, "resume=true", "optim.lr=0.5"]) == 2
    assert "optim.lr is 0.5, but the run to resume has null" in capsys.readouterr().err
    last = tmp_path / "run" / LAST
    os.truncate(last, last.stat().st_size // 2)
    assert main([*first, "resume=true"]) == 2
    error = capsys.readouterr().err
    assert f"{last} is truncated, damaged or no checkpoint" in error


def test_data_that_is_no_store_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "x.zarr").write_text("nothing")
    arguments = [f"data.path={tmp_path / 'x.zarr'}", f"out={tmp_path / 'run'}", "train.max_steps=2"]
    assert main(["train", *SMALL, *arguments]) == 2
    error = capsys.readouterr().err
    assert "x.zarr" in error
    assert error.count("\n") == 1
