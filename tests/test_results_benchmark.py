"""The published results in small: the rows, that what is done is not done again, and wrong words."""

import json
from functools import partial
from pathlib import Path

import benchmark
import pytest

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
    ]
    first = run(*words)
    assert first.returncode == 0, first.stderr
    (row,) = json.loads((tmp_path / "rows.json").read_text())
    assert row["episodes"] == 2 and 0 <= row["interval"][0] <= row["value"] <= row["interval"][1] <= 1
    assert "| quick | 2 |" in first.stdout
    again = run(*words)
    assert "imitate" not in again.stderr and first.stdout.endswith(again.stdout)


def test_what_is_missing_is_named(tmp_path: Path) -> None:
    unknown = run("--only", "pusht,dor")
    assert unknown.returncode == 2 and "unknown dor; known are pusht," in unknown.stderr
    nowhere = run("--only", "pusht", "--data", str(tmp_path))
    assert nowhere.returncode == 2
    assert "pusht needs --data FOLDER with pusht/pusht_cchi_v7_replay.zarr" in nowhere.stderr
