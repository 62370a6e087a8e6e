"""The benchmark of scaling in small, and the arithmetic of its model."""

import importlib
import json
from dataclasses import replace
from pathlib import Path
from types import ModuleType

import benchmark
import pytest
from hypothesis import given
from hypothesis import strategies as st


@pytest.fixture(scope="module")
def model() -> ModuleType:
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(benchmark.BENCHMARKS))
        return importlib.import_module("scaling_model")


@pytest.mark.slow
@pytest.mark.xdist_group("ray")
@pytest.mark.timeout(600)  # A machine with other work to do is no failure.
def test_quick_benchmark_counts_what_travels_and_splits_a_step(tmp_path: Path) -> None:
    words = ["--quick", "--json", str(tmp_path / "rows.json"), "--plot", str(tmp_path / "plot.png")]
    done = benchmark.run("scaling", *words, "--gpus", "8")
    assert done.returncode == 0, done.stderr
    rows = {row["name"]: row for row in json.loads((tmp_path / "rows.json").read_text())}
    assert (tmp_path / "plot.png").stat().st_size > 10_000
    assert 0 <= rows["training 0.5 M, serial share of a step"]["value"] <= 100
    assert "network 6.25e+09" in done.stdout and "First to be in the way" in done.stdout
    assert rows["model, 1e+06 episodes, 1e+09 frames, 8 GPUs, cost"]["value"] > 0
    sent = rows.get("training 0.5 M, strong, 2 workers, sent by each per step")
    if sent is None:
        assert "bytes are not counted" in done.stderr
    else:  # a ring's share of the gradient, and little besides
        assert 1.0 <= sent["ratio"] < 1.1


@given(st.floats(0.0, 10.0), st.floats(0.1, 10.0))
def test_a_step_is_split_as_it_was_put_together(model: ModuleType, serial: float, parallel: float) -> None:
    shares = [1.0, 0.5, 0.5, 0.25]
    found = model.amdahl(shares, [serial + share * parallel for share in shares])
    assert found == pytest.approx((serial, parallel), abs=1e-9)
    assert model.speedup(*found, 1) == pytest.approx(1.0)
    assert 1.0 <= model.speedup(*found, 64) <= 64.0


def test_a_step_that_more_workers_make_longer_has_no_parallel_part(model: ModuleType) -> None:
    serial, parallel = model.amdahl([1.0, 0.5, 0.25], [1.0, 1.2, 1.4])
    assert parallel == 0.0 and serial > 0


def test_seconds_per_episode_and_frame_are_found_again(model: ModuleType) -> None:
    points = [
        (e, f, 0.1 + 2e-4 * e + 3e-6 * f) for e, f in ((20, 400), (200, 4000), (20, 80_000), (100, 9000))
    ]
    assert model.plane(points) == pytest.approx((0.1, 2e-4, 3e-6))


def test_the_model_follows_its_assumptions(model: ModuleType) -> None:
    measured = model.Measured(10**7, 6e7, 0.1, 1e-4, 3e-6, 1.0)
    assumed = model.Assumptions()
    found = model.estimate(measured, assumed)
    assert found.steps == 1e9 * 3 / (64 * 256)
    # Four frames of a window on twelve cores of 2900 each, and opening everything by one process.
    assert found.parts["reading frames"] == pytest.approx(1e9 * 3 * 4 / (64 * 12 * 2900))
    assert found.parts["opening the data"] == pytest.approx(0.1 + 1e6 * 1e-4 + 1e9 * 3e-6)
    assert found.cost == pytest.approx(found.hours * 64 * 3.0)
    assert found.first == "reading frames" and found.first in model.FIXES
    assert set(found.parts) == set(model.FIXES)
    starved = model.estimate(measured, replace(assumed, network=1e7, images=0.0))
    assert starved.first == "sending gradients"
    alone = model.estimate(measured, replace(assumed, gpus=1))
    assert alone.parts["sending gradients"] == 0.0 and alone.hours > found.hours
    many = model.estimate(measured, replace(assumed, gpus=4096))
    assert many.first == "opening the data"
