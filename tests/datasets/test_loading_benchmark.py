"""The benchmark runs alone, and loading is fast enough that a slow machine still shows it."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[2] / "scripts/benchmarks/loading"


@pytest.mark.slow
def test_quick_benchmark_writes_its_rows(tmp_path: Path) -> None:
    files = ["--json", str(tmp_path / "rows.json"), "--plot", str(tmp_path / "sizes.png")]
    command = [sys.executable, str(SCRIPT), "--quick", *files]
    subprocess.run(command, check=True, cwd=tmp_path, capture_output=True)
    rows = json.loads((tmp_path / "rows.json").read_text())
    assert all(
        set(row) == {"name", "value", "unit", "baseline", "ratio", "command", "device"} for row in rows
    )
    assert (tmp_path / "sizes.png").read_bytes().startswith(b"\x89PNG")
    names = {row["name"] for row in rows}
    assert {"loading 39-d + two 224×224 cameras, from disk", "loading limit: copying memory"} <= names
    share = next(row for row in rows if row["name"] == "loading 39-d + two 224×224 cameras, bytes on disk")
    assert share["value"] <= 0.25
    waits = [row["value"] for row in rows if "from disk, steps of" in row["name"]]
    # A step of 20 ms cannot hide the decoding of 256 images; one of 400 ms must hide most of it.
    assert len(waits) == 5 and waits[-1] < min(0.5, waits[0])
    in_memory = next(row for row in rows if row["name"] == "loading 39-d, in memory")
    # The bar is 500,000 on an idle core; a machine that runs other tests beside this one shows less.
    assert in_memory["value"] > 50_000
