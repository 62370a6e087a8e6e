"""The benchmarks of curation in small: their rows, and that what is done is not done again."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

BENCHMARKS = Path(__file__).parents[2] / "scripts/benchmarks"
KEYS = {"name", "value", "unit", "baseline", "ratio", "command", "device"}


def run(script: str, *words: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(BENCHMARKS / script), *words]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def rows_of(done: subprocess.CompletedProcess[str], file: Path) -> dict[str, dict[str, Any]]:
    assert done.returncode == 0, done.stderr
    rows = json.loads(file.read_text())
    assert all(set(row) >= KEYS for row in rows)
    return {row["name"]: row for row in rows}


@pytest.mark.slow
@pytest.mark.timeout(900)  # A machine with other work to do is no failure.
def test_planted_faults_are_found_and_good_sets_left_alone(tmp_path: Path) -> None:
    out = ["--out", str(tmp_path / "out"), "--json", str(tmp_path / "rows.json")]
    rows = rows_of(run("curation", "--quick", "--part", "planted,control", *out), tmp_path / "rows.json")
    assert rows["point_obstacle, noisy: badness"]["value"] > 0.9
    assert rows["point_obstacle, slow: jerk"]["value"] < 0.1
    assert rows["point_obstacle, noisy: named correctly"]["value"] == 1.0
    assert rows["point_obstacle, left: left out or cut"]["value"] <= 0.1


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_noise_is_trained_on_and_nothing_is_done_twice(tmp_path: Path) -> None:
    words = ["--quick", "--part", "noise", "--out", str(tmp_path / "out"), "--json", str(tmp_path / "r.json")]
    rows = rows_of(run("curation", *words), tmp_path / "r.json")
    kinds = ("no noise", "policy noise", "system noise", "both")
    won = [rows[f"point_obstacle, 10 demonstrations, {kind}: success"]["value"] for kind in kinds]
    none, policy, system, both = won
    assert rows["point_obstacle, 10: policy minus system"]["value"] == policy - system
    assert rows["point_obstacle, 10: interaction of both"]["value"] == both - policy - system + none
    again = run("curation", *words)
    assert again.returncode == 0 and "train:" not in again.stderr


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_time_of_the_measures_of_neighbours_is_taken(tmp_path: Path) -> None:
    rows = rows_of(run("neighbours", "--quick", "--json", str(tmp_path / "n.json")), tmp_path / "n.json")
    assert len(rows) > 2


def test_recordings_of_people_have_to_be_given() -> None:
    done = run("curation", "--tasks", "pusht")
    assert done.returncode == 2 and "--human pusht_cchi_v7_replay.zarr" in done.stderr


def test_unknown_tasks_are_answered_with_the_known_ones() -> None:
    done = run("curation", "--tasks", "tabletop/pushh")
    assert done.returncode == 2 and "unknown tabletop/pushh; known are point_obstacle" in done.stderr
