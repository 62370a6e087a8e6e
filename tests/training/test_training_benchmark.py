"""The benchmark of training in small: its rows."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[2] / "scripts/benchmarks/training"


@pytest.mark.slow
def test_quick_run_writes_rows(tmp_path: Path) -> None:
    out = tmp_path / "training.json"
    command = [sys.executable, str(SCRIPT), "--quick", "--policies", "diffusion", "--json", str(out)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=280, check=False)
    assert done.returncode == 0, done.stderr
    peak, half, speed, share = json.loads(out.read_text())
    assert peak["name"] == "training matmul float32" and half["name"] == "training matmul bfloat16"
    assert speed["name"].startswith("training diffusion (4.") and speed["unit"] == "samples/s"
    assert speed["value"] > 0 and speed["baseline"] is None
    # More operations than the machine can do would be wrongly counted; caches and clocks add a little.
    assert share["unit"] == "%" and 0 < share["value"] < 150
