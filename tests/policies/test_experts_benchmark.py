"""The benchmark of cached experts in small: its rows, and that fewer weights are at work than there are."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[2] / "scripts/benchmarks/experts"


@pytest.mark.slow
def test_quick_benchmark_writes_its_rows(tmp_path: Path) -> None:
    command = [sys.executable, str(SCRIPT), "--quick", "--json", str(tmp_path / "rows.json")]
    subprocess.run(command, check=True, cwd=tmp_path, capture_output=True)
    rows = json.loads((tmp_path / "rows.json").read_text())
    assert all(
        {"name", "value", "unit", "baseline", "ratio", "command", "device"} <= set(row) for row in rows
    )
    assert all(row["value"] > 0 and row["baseline"] > 0 for row in rows)
    active = next(row for row in rows if "active weights" in row["name"])
    assert active["value"] <= 0.6 * active["baseline"]
