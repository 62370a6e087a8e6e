"""The benchmark of training in small: its rows."""

import json
from pathlib import Path

import benchmark
import pytest


@pytest.mark.slow
def test_quick_run_writes_rows(tmp_path: Path) -> None:
    out = tmp_path / "training.json"
    done = benchmark.run("training", "--quick", "--policies", "diffusion", "--json", str(out), timeout_s=280)
    assert done.returncode == 0, done.stderr
    peak, half, speed, share = json.loads(out.read_text())
    assert peak["name"] == "training matmul float32" and half["name"] == "training matmul bfloat16"
    assert speed["name"].startswith("training diffusion (4.") and speed["unit"] == "samples/s"
    assert speed["value"] > 0 and speed["baseline"] is None
    # More operations than the machine can do would be wrongly counted; caches and clocks add a little.
    assert share["unit"] == "%" and 0 < share["value"] < 150
