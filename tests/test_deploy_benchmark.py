"""scripts/benchmarks/deploy in small: its rows, and an arm in another process behind rosbridge and DDS."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
import untrained

SCRIPT = Path(__file__).resolve().parents[1] / "scripts/benchmarks/deploy"


@pytest.mark.slow
@pytest.mark.timeout(400)
@pytest.mark.parametrize("part", ["delay", "loop", "bridge"])
def test_every_part_runs_and_writes_its_rows(part: str, tmp_path: Path) -> None:
    pytest.importorskip("cyclonedds")
    policy, rows, plot = untrained.checkpoint(tmp_path), tmp_path / "rows.json", tmp_path / "plot.png"
    command = [sys.executable, str(SCRIPT), f"--policy={policy}", f"--part={part}", "--quick"]
    done = subprocess.run(
        [*command, f"--json={rows}", f"--plot={plot}"],
        capture_output=True,
        text=True,
        timeout=380,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    found = json.loads(rows.read_text())
    assert all({"name", "value", "unit", "baseline", "ratio", "command", "device"} <= set(r) for r in found)
    values = {r["name"]: r["value"] for r in found}
    if part == "delay":
        assert values["path error, receding, 0 ms"] == 0.0
        assert plot.stat().st_size > 5000
    elif part == "loop":
        assert values["ticks"] > 200
    else:
        for transport in ("rosbridge", "dds"):
            # Commands arrived and were obeyed, and never one that was too old.
            assert 0 < values[f"oldest command obeyed, {transport}"] <= 100.0
