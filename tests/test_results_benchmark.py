"""The published results in small: the rows, that what is done is not done again, and wrong words."""

import json
from functools import partial
from pathlib import Path

import benchmark
import pytest

from imitate.datasets.durable import WriterLock

run = partial(benchmark.run, "results")


@pytest.mark.slow
@pytest.mark.timeout(600)  # A machine with other work to do is no failure.
def test_quick_results_are_made_once_and_said_again(tmp_path: Path) -> None:
    words = [
        "--quick",
        "--seeds",
        "1",
        "--out",
        str(tmp_path / "results"),
        "--json",
        str(tmp_path / "rows.json"),
        "--record",
        str(tmp_path / "record.jsonl"),
    ]
    first = run(*words)
    assert first.returncode == 0, first.stderr
    (row,) = json.loads((tmp_path / "rows.json").read_text())
    assert row["episodes"] == 2 and 0 <= row["interval"][0] <= row["value"] <= row["interval"][1] <= 1
    assert "| quick | 2 |" in first.stdout
    again = run(*words)
    assert "imitate" not in again.stderr and first.stdout.endswith(again.stdout)
    elsewhere = run(*words, "--out", str(tmp_path / "another machine"))
    assert "imitate" not in elsewhere.stderr and elsewhere.stdout == again.stdout


def test_what_another_process_is_at_is_left_to_it(tmp_path: Path) -> None:
    folder = tmp_path / "claims/quick-seed0"
    folder.mkdir(parents=True)
    lock = WriterLock(folder)
    done = run("--quick", "--seeds", "1", "--out", str(tmp_path))
    lock.release()
    assert done.returncode == 0, done.stderr
    assert "another process is at it" in done.stderr and "imitate" not in done.stderr


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_a_group_has_its_mean(tmp_path: Path) -> None:
    """Rollouts that are there are not played again, so the mean is of these."""
    for cell, wins in (("reach-v3-10", 3), ("push-v3-10", 1), ("reach-v3-25", 4), ("push-v3-25", 3)):
        folder = tmp_path / f"metaworld-{cell}/seed0"
        (folder / "rollout-from100000-all").mkdir(parents=True)
        (folder / "done").touch()
        episodes = [{"success": i < wins, "score": 0.5} for i in range(4)]
        (folder / "rollout-from100000-all/rollout.json").write_text(json.dumps({"episodes": episodes}))
    rows = tmp_path / "rows.json"
    words = [
        "--only",
        "metaworld-reach-v3-[12]?,metaworld-push-v3-[12]?",
        "--seeds",
        "1",
        "--out",
        str(tmp_path),
    ]
    picture = tmp_path / "tasks.png"
    done = run(*words, "--json", str(rows), "--plot", str(picture))
    assert done.returncode == 0, done.stderr
    assert picture.read_bytes().startswith(b"\x89PNG")
    found = json.loads(rows.read_text())
    tasks, (mean, _) = found[:4], found[4:]
    assert {row["name"]: row["value"] for row in tasks} == {
        "metaworld-reach-v3-10": 0.75,
        "metaworld-push-v3-10": 0.25,
        "metaworld-reach-v3-25": 1.0,
        "metaworld-push-v3-25": 0.75,
    }
    assert mean["name"] == "Meta-World, mean over 2 tasks, 10 demonstrations"
    assert mean["value"] == 0.5 and mean["per_seed"] == [0.5] and mean["episodes"] == 8
    assert "| reach-v3 | 0.75 [0.30, 0.95] |" in done.stdout
    ahead = "25 demonstrations ahead of 10 demonstrations: +0.375 [+0.250, +0.500], paired by 2 tasks"
    assert ahead in done.stdout
    assert "| mean over 2 tasks | 0.50 [" in done.stdout
    so_far = run("--so-far", "--out", str(tmp_path), "--json", str(rows))
    assert so_far.returncode == 0 and len(json.loads(rows.read_text())) == 6  # of these, nothing else
    alone = ["--only", "metaworld-push-v3-10", *words[2:]]
    assert run(*alone, "--json", str(rows)).returncode == 0
    (task,) = json.loads(rows.read_text())  # one task has no mean over tasks
    assert task["value"] == 0.25


def test_what_is_missing_is_named(tmp_path: Path) -> None:
    unknown = run("--only", "pusht,dor")
    assert unknown.returncode == 2 and "unknown dor; known are pusht," in unknown.stderr
    nowhere = run("--only", "pusht", "--data", str(tmp_path))
    assert nowhere.returncode == 2
    assert "pusht needs --data FOLDER with pusht/pusht_cchi_v7_replay.zarr" in nowhere.stderr
