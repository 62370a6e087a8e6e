"""Planted faults are found, and real recordings left alone: the benchmark in small, with its bars."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
SHARED = ROOT.parent / "shared/data"
FOUND, ALARMS = 0.95, 0.02


@pytest.mark.slow
@pytest.mark.timeout(600)  # A machine with other work to do is no failure.
def test_planted_faults_are_found_and_clean_sets_left_alone(tmp_path: Path) -> None:
    if not SHARED.is_dir():
        pytest.skip("../shared/data is not there")
    script = ROOT / "scripts/benchmarks/curation"
    words = ["--part", "doctor", "--quick", "--trials", "3", "--json", str(tmp_path / "rows.json")]
    command = [sys.executable, str(script), *words, "--out", str(tmp_path / "out")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    rows = json.loads((tmp_path / "rows.json").read_text())
    planted = [row for row in rows if "found" in row]
    clean = [row for row in rows if "named" in row]
    assert len(planted) >= 18
    assert sum(row["found"] for row in planted) >= FOUND * sum(row["of"] for row in planted), done.stdout
    # One miss in a few tries is chance; two in three are not.
    assert all(row["of"] - row["found"] <= max(1, 0.2 * row["of"]) for row in planted), done.stdout
    assert all(row["named"] <= ALARMS * row["of"] for row in clean), done.stdout
