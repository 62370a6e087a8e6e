"""The benchmark of inference in small: its rows."""

import json
import sys
from pathlib import Path

import benchmark
import pytest
import torch

pytest.importorskip("onnxruntime")
pytest.importorskip("onnxscript")


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="reads the peak memory from /proc")
def test_quick_run_writes_rows(tmp_path: Path) -> None:
    out = tmp_path / "inference.json"
    done = benchmark.run("inference", "--quick", "--policies", "bc", "--json", str(out), timeout_s=280)
    assert done.returncode == 0, done.stderr
    rows = {row["name"]: row for row in json.loads(out.read_text())}
    p99 = rows["inference bc p99 (baseline: PyTorch)"]
    assert set(p99) == {"name", "value", "unit", "baseline", "ratio", "command", "device"}
    assert p99["value"] > 0 and p99["unit"] == "ms"
    assert p99["ratio"] == pytest.approx(p99["baseline"] / p99["value"], abs=0.02, rel=0.02)
    assert 0 < rows["inference bc memory"]["value"] < 300
    assert rows["inference bc control period / p99"]["ratio"] > 1


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="reads the peak memory from /proc")
def test_forms_of_a_file_are_set_beside_float32(tmp_path: Path) -> None:
    out = tmp_path / "forms.json"
    done = benchmark.run(
        "inference", "--forms", "--quick", "--policies", "bc", "--json", str(out), timeout_s=280
    )
    assert done.returncode == 0, done.stderr
    rows = {row["name"].removeprefix("inference bc, "): row for row in json.loads(out.read_text())}
    for form in ("float32", "float16", "int8"):
        assert rows[f"{form}, p99 (baseline: float32)"]["value"] > 0
    assert rows["int8, graph (baseline: float32)"]["ratio"] > 3
    assert rows["float16, graph (baseline: float32)"]["ratio"] > 1.8
    assert (
        0 < rows["float16, largest error in ranges"]["value"] < rows["int8, largest error in ranges"]["value"]
    )


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_a_gpu_that_is_not_there_is_said() -> None:
    done = benchmark.run("inference", "--loops", "--device", "cuda", timeout_s=120)
    assert done.returncode == 2
    assert "--device is 'cuda', but there are 0 CUDA devices" in done.stderr
