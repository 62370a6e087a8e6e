"""The benchmark of policies in small: its rows, and that what is done is not done again."""

import importlib
import json
from functools import partial
from pathlib import Path

import benchmark
import pytest
import torch

from imitate.datasets.durable import WriterLock
from imitate.policies.diffusion import DiffusionConfig
from imitate.policies.truncated import TruncatedConfig
from imitate.types import ArraySpec, DataSpec

run = partial(benchmark.run, "policies")


@pytest.mark.slow
@pytest.mark.timeout(600)  # A machine with other work to do is no failure.
def test_quick_benchmark_writes_its_rows_and_goes_on(tmp_path: Path) -> None:
    words = ["--quick", "--out", str(tmp_path / "policies"), "--json", str(tmp_path / "rows.json")]
    words += ["--record", str(tmp_path / "record.jsonl")]
    first = run(*words)
    assert first.returncode == 0, first.stderr
    rows = json.loads((tmp_path / "rows.json").read_text())
    assert [row["name"].split()[1:3] for row in rows] == [
        ["tabletop/reach", "bc"],
        ["tabletop/reach", "diffusion"],
    ]
    bc, diffusion = rows
    assert (bc["denoiser_calls"], diffusion["denoiser_calls"]) == (1, 5)
    assert diffusion["macs_per_chunk"] > bc["macs_per_chunk"] > bc["weights"] / 2
    assert all(row["latency_ms"] > 0 and 0 <= row["value"] <= 1 for row in rows)
    assert diffusion["difference"] == 0 and bc["difference"] == pytest.approx(
        bc["value"] - diffusion["value"], abs=1e-3
    )
    assert "| tabletop/reach | `diffusion` |" in first.stdout
    again = run(*words)
    assert "imitate train" not in again.stderr
    assert json.loads((tmp_path / "rows.json").read_text()) == rows
    elsewhere = run(*words, "--out", str(tmp_path / "another machine"))
    assert "imitate train" not in elsewhere.stderr and first.stdout.endswith(elsewhere.stdout)


def test_calls_of_the_denoiser_are_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(benchmark.BENCHMARKS))
    cost = importlib.import_module("policy_cost")
    spec = DataSpec({"x": ArraySpec((2,))}, ArraySpec((2,)))
    obs = {"x": torch.zeros(1, 2, 2)}
    for config, calls in ((TruncatedConfig(), 2), (DiffusionConfig(inference_steps=4), 4)):
        policy = config.build(spec).eval()
        found = cost.calls_of_denoiser(policy, lambda p=policy: p.predict(obs, torch.Generator()))
        assert found == calls


def test_unknown_names_are_answered_with_the_known_ones() -> None:
    done = run("--policies", "bc,difusion")
    assert done.returncode == 2
    assert "unknown difusion" in done.stderr and "diffusion_unet" in done.stderr


def test_what_is_done_so_far_is_told_by_task(tmp_path: Path) -> None:
    """Cells that are there are not made again; those that are not are left out."""
    cost = dict.fromkeys(("weights", "active_weights", "macs_per_chunk", "denoiser_calls"), 1_000_000)
    cost |= {"latency_ms": 1.0, "windows_per_s": 2.0, "device": "an abacus"}
    narrow = "diffusion_unet+denoiser.widths=[64,128]"
    wins = {
        ("metaworld_multitask", "bc"): [i % 10 == 3 for i in range(20)],  # all of the fourth task
        ("pusht", "bc"): [True, False],
        ("pusht", "diffusion_unet+denoiser.widths-64-128"): [True, True],
    }
    for (task, policy), success in wins.items():
        cell = tmp_path / task / policy / "seed0-3min-64windows-100episodes/cell.json"
        cell.parent.mkdir(parents=True)
        cell.write_text(json.dumps({"success": success, "score": [float(win) for win in success], **cost}))
    words = ["--so-far", "--policies", f"bc,{narrow}", "--tasks", "metaworld_multitask,pusht"]
    rows, plot = tmp_path / "rows.json", tmp_path / "rows.png"
    done = run(*words, "--baseline", narrow, "--out", str(tmp_path), "--json", str(rows), "--plot", str(plot))
    assert done.returncode == 0, done.stderr
    assert plot.read_bytes().startswith(b"\x89PNG")
    many, bc, unet = json.loads(rows.read_text())
    assert many["by_task"]["door-open-v3"] == 1 and sum(many["by_task"].values()) == 1
    assert many["difference"] is None and bc["difference"] == -0.5 and unet["difference"] == 0
    assert done.stdout.endswith("on an abacus\n")
    assert f"| `{narrow}` |  | 1.00 [0.34, 1.00] (1.00) |" in done.stdout
    assert f"| `{narrow}` | 1.00 M | 1.0 | 1000000 | 1.0 |  | 2 |" in done.stdout
    assert "| `bc` | 0.00 | 0.00 | 0.00 | 1.00 | 0.00 |" in done.stdout


def test_processes_do_not_do_the_same_cell(tmp_path: Path) -> None:
    """What another one holds is left to it, without an error and without a result."""
    folder = tmp_path / "tabletop_reach/bc/seed0-0.05min-64windows-4episodes"
    folder.mkdir(parents=True)
    words = ["--policies", "bc", "--tasks", "tabletop/reach", "--seeds", "1", "--out", str(tmp_path)]
    lock = WriterLock(folder)
    done = run(*words, "--minutes", "0.05", "--episodes", "4")
    lock.release()
    assert done.returncode == 0 and "nothing is done yet" in done.stdout
    assert "another process is at it" in done.stderr and "imitate train" not in done.stderr


def test_a_student_waits_for_the_weights_of_its_teacher(tmp_path: Path) -> None:
    """Its result may be on record from another machine, and its training here be under way."""
    name = "seed0-5steps-64windows-2episodes"
    teacher, record = tmp_path / "tabletop_reach/diffusion" / name, tmp_path / "record.jsonl"
    (teacher / "train").mkdir(parents=True)
    record.write_text(json.dumps([f"tabletop_reach/diffusion/{name}", {"success": [0, 1]}]) + "\n")
    words = ["--policies", "consistency", "--tasks", "tabletop/reach", "--seeds", "1", "--steps", "5"]
    lock = WriterLock(teacher)
    done = run(*words, "--episodes", "2", "--out", str(tmp_path), "--record", str(record))
    lock.release()
    assert done.returncode == 0 and "nothing is done yet" in done.stdout
    assert "another process is at it" in done.stderr and "imitate" not in done.stderr
