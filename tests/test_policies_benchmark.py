"""The benchmark of policies in small: its rows, and that what is done is not done again."""

import importlib
import json
from functools import partial
from pathlib import Path

import benchmark
import pytest
import torch

from imitate.policies.diffusion import DiffusionConfig
from imitate.policies.truncated import TruncatedConfig
from imitate.types import ArraySpec, DataSpec

run = partial(benchmark.run, "policies")


@pytest.mark.slow
@pytest.mark.timeout(600)  # A machine with other work to do is no failure.
def test_quick_benchmark_writes_its_rows_and_goes_on(tmp_path: Path) -> None:
    words = ["--quick", "--out", str(tmp_path / "policies"), "--json", str(tmp_path / "rows.json")]
    first = run(*words)
    assert first.returncode == 0, first.stderr
    rows = json.loads((tmp_path / "rows.json").read_text())
    assert [row["name"].split()[1:3] for row in rows] == [
        ["tabletop/reach", "bc"],
        ["tabletop/reach", "diffusion"],
    ]
    bc, diffusion = rows
    assert (bc["denoiser_calls"], diffusion["denoiser_calls"]) == (1, 5)
    assert diffusion["macs_per_chunk"] > bc["macs_per_chunk"] > bc["weights"] / 2
    assert all(row["latency_ms"] > 0 and 0 <= row["value"] <= 1 for row in rows)
    assert diffusion["difference"] == 0 and bc["difference"] == pytest.approx(
        bc["value"] - diffusion["value"], abs=1e-3
    )
    assert "| tabletop/reach | diffusion |" in first.stdout
    again = run(*words)
    assert "imitate train" not in again.stderr
    assert json.loads((tmp_path / "rows.json").read_text()) == rows


def test_calls_of_the_denoiser_are_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(benchmark.BENCHMARKS))
    cost = importlib.import_module("policy_cost")
    spec = DataSpec({"x": ArraySpec((2,))}, ArraySpec((2,)))
    obs = {"x": torch.zeros(1, 2, 2)}
    for config, calls in ((TruncatedConfig(), 2), (DiffusionConfig(inference_steps=4), 4)):
        policy = config.build(spec).eval()
        found = cost.calls_of_denoiser(policy, lambda p=policy: p.predict(obs, torch.Generator()))
        assert found == calls


def test_unknown_names_are_answered_with_the_known_ones() -> None:
    done = run("--policies", "bc,difusion")
    assert done.returncode == 2
    assert "unknown difusion" in done.stderr and "diffusion_unet" in done.stderr
