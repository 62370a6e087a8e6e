"""The benchmark of training in small: its rows."""

import importlib.util
import json
from pathlib import Path
from typing import Any

import benchmark
import pytest
import torch

from imitate.errors import ConfigError
from imitate.export.compiling import require_compiler


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


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_a_gpu_that_is_not_there_is_said() -> None:
    done = benchmark.run("training", "--device", "cuda", timeout_s=120)
    assert done.returncode == 2
    assert "--device is 'cuda', but there are 0 CUDA devices" in done.stderr


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_the_compiled_loss_has_rows_of_its_own(tmp_path: Path) -> None:
    try:
        require_compiler()
    except ConfigError as error:
        pytest.skip(str(error))
    rows = rows_of(tmp_path, "--compile")
    fast = rows[next(name for name in rows if name.endswith("(baseline: ours, float32)"))]
    assert fast["ratio"] == pytest.approx(fast["value"] / fast["baseline"], abs=0.02)
    assert all(row["value"] > 0 for row in rows.values())


@pytest.mark.slow
@pytest.mark.skipif(importlib.util.find_spec("torchvision") is None, reason="torchvision is not installed")
def test_an_image_makes_the_policy_larger(tmp_path: Path) -> None:
    assert any(name.startswith("diffusion (15.") for name in rows_of(tmp_path, "--image"))  # resnet18: 11 M


def rows_of(folder: Path, *words: str) -> dict[str, dict[str, Any]]:
    out = folder / "training.json"
    done = benchmark.run(
        "training", "--quick", "--policies", "diffusion", *words, "--json", str(out), timeout_s=580
    )
    assert done.returncode == 0, done.stderr
    return {row["name"].removeprefix("training "): row for row in json.loads(out.read_text())}
