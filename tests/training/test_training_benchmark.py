"""The benchmark of training in small: its rows."""

import json
from pathlib import Path

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
def test_the_compiled_loss_and_images_have_rows_of_their_own(tmp_path: Path) -> None:
    pytest.importorskip("torchvision")
    try:
        require_compiler()
    except ConfigError as error:
        pytest.skip(str(error))
    out = tmp_path / "training.json"
    words = ("--quick", "--compile", "--image", "--policies", "diffusion", "--json", str(out))
    done = benchmark.run("training", *words, timeout_s=580)
    assert done.returncode == 0, done.stderr
    rows = {row["name"].removeprefix("training "): row for row in json.loads(out.read_text())}
    plain = rows[next(name for name in rows if name.startswith("diffusion (1"))]  # with resnet18 11 M more
    fast = rows[next(name for name in rows if name.endswith("(baseline: ours, float32)"))]
    assert fast["baseline"] == pytest.approx(plain["value"], rel=0.5)
    assert fast["ratio"] == pytest.approx(fast["value"] / fast["baseline"], abs=0.02)
    assert all(row["value"] > 0 for row in rows.values())
