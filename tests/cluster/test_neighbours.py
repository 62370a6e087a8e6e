"""Curation on a cluster: the same report as on one machine, also where a worker is killed meanwhile."""

import json
import os
import signal
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from imitate.cli.main import main
from imitate.cluster.config import ClusterConfig
from imitate.cluster.neighbours import OnWorkers
from imitate.datasets.quality import neighbour_index, room
from imitate.datasets.quality.neighbour_index import NeighbourIndex
from imitate.datasets.store import DemoStore
from imitate.errors import ClusterError
from imitate.types import ArraySpec, DataSpec, Episode

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]
SPEC = DataSpec(obs={"position": ArraySpec((3,))}, action=ArraySpec((2,)), rate_hz=10.0)


def thorough(value: int) -> Any:
    """One that CI leaves out."""
    return pytest.param(value, marks=pytest.mark.thorough)


def data(episodes: int = 60, steps: int = 50) -> tuple[np.ndarray, np.ndarray]:
    features = np.random.default_rng(0).normal(size=(episodes * steps, 4)).round(1).astype(np.float32)
    return features, np.repeat(np.arange(episodes), steps)


@pytest.mark.parametrize("exact_rows", [thorough(100_000), 1_000])
@pytest.mark.parametrize("workers", [thorough(1), 2, thorough(4)])
def test_neighbours_are_those_of_one_machine(
    ray: ModuleType, monkeypatch: pytest.MonkeyPatch, exact_rows: int, workers: int
) -> None:
    monkeypatch.setattr(neighbour_index, "EXACT_ROWS", exact_rows)
    monkeypatch.setattr(neighbour_index, "ASKED", 700)
    here = NeighbourIndex(*data()).neighbours(16)
    there = NeighbourIndex(*data(), place=OnWorkers(ClusterConfig(workers=workers), ray)).neighbours(16)
    assert np.array_equal(here.rows, there.rows)
    assert np.abs(here.distances[here.found] - there.distances[there.found]).max() <= 1e-6


@pytest.mark.parametrize("restarts", [thorough(0), 1])
def test_a_killed_worker_is_replaced_and_builds_its_shard_anew(ray: ModuleType, restarts: int) -> None:
    features, episode = data(20)
    place = OnWorkers(ClusterConfig(workers=2, restarts=restarts), ray)
    question = (features[:50], np.zeros(50, np.int64), 3)
    with place.open(NeighbourIndex(features, episode, place=place).parts()) as shards:
        (before,) = shards.all("nearest", [question])
        os.kill(ray.get(shards.actors[0].__ray_call__.remote(lambda shard: os.getpid())), signal.SIGKILL)
        if restarts:
            (after,) = shards.all("nearest", [question])
            for one, other in zip(before, after, strict=True):
                assert all(np.array_equal(a, b) for a, b in zip(one, other, strict=True))
        else:
            with pytest.raises(ClusterError, match="died 1 times over a part of the neighbour index"):
                next(shards.all("nearest", [question]))


def report(path: Path, out: Path, *more: str) -> dict:
    assert main(["report", f"data.path={path}", f"out={out}", *more]) == 0
    return json.loads(out.with_suffix(".json").read_text())


def numbers(value: object) -> list[float | str | None]:
    """All that a report says, in order."""
    if isinstance(value, dict):
        return [one for key in sorted(value) for one in [key, *numbers(value[key])]]
    if isinstance(value, list):
        return [one for item in value for one in numbers(item)]
    return [value]


def test_a_report_is_that_of_one_machine(
    ray: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    generator = np.random.default_rng(0)
    with DemoStore.create(tmp_path / "demos.zarr", SPEC) as store:
        for i in range(24):
            path = np.cumsum(generator.normal(size=(int(generator.integers(30, 60)), 3)), axis=0)
            action = path[:, :2] + generator.normal(size=(len(path), 2))
            store.append(Episode(str(i), {"position": path.astype("f4")}, action.astype("f4"), success=True))
    here = report(tmp_path / "demos.zarr", tmp_path / "here.html")
    monkeypatch.setattr(room, "IN_MEMORY", 0)  # as if it were too large for the command's memory
    there = report(tmp_path / "demos.zarr", tmp_path / "there.html", "cluster=ray", "cluster.workers=4")
    pairs = list(zip(numbers(here), numbers(there), strict=True))
    assert len([a for a, _ in pairs if isinstance(a, float)]) > 300
    for a, b in pairs:
        assert a == pytest.approx(b, rel=1e-6, abs=1e-6) if isinstance(a, float) else a == b
