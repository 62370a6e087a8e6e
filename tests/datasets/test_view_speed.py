"""A view of a large store costs little more than the store: measured in one run, one beside the other."""

import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from imitate.datasets.loader import DataConfig, prepare
from imitate.datasets.opening import open_store
from imitate.datasets.store import DemoStore
from imitate.datasets.views.criteria import Criteria
from imitate.datasets.views.making import derive
from imitate.datasets.views.operations import Filter, Trim
from imitate.datasets.window_loader import WindowLoader
from imitate.policy import Horizons
from imitate.types import ArraySpec, DataSpec, Episode

EPISODES, STEPS = 200, 5000  # a million steps
SPEC = DataSpec({"state": ArraySpec((8,))}, ArraySpec((4,)), 10.0)


def seconds(work: Callable[[], object]) -> float:
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def fastest_ms(
    one: Callable[[int], object], other: Callable[[int], object], times: int
) -> tuple[float, float]:
    """Of both, in turns; the fastest, as a busy machine only adds. Nothing counts before the second time."""
    for number in range(times):
        one(number), other(number)
    pairs = [(seconds(lambda n=n: one(n)), seconds(lambda n=n: other(n))) for n in range(times)]  # type: ignore[misc]
    first, second = 1000.0 * np.min(pairs, axis=0)
    return float(first), float(second)


def loader(path: Path, memory_gib: float) -> WindowLoader:
    config = DataConfig(str(path), val_fraction=0.0, memory_gib=memory_gib)
    return prepare(config, Horizons(2, 16, 8), None, 64, seed=0).train


@pytest.mark.slow
def test_a_view_of_a_million_steps_opens_and_loads_like_the_store(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    state = rng.normal(size=(STEPS, 8)).astype(np.float32)
    with DemoStore.create(tmp_path / "demos.zarr", SPEC) as store:
        for number in range(EPISODES):
            store.append(Episode(f"e{number}", {"state": state}, state[:, :4], success=number % 10 > 0))
    chosen = [Filter(Criteria(success=True)), Trim(start=1)]
    view = derive(store, chosen, tmp_path / "x.view.json")
    assert (store.steps, view.steps) == (1_000_000, 180 * 4999)
    found = {"open": fastest_ms(lambda _: open_store(store.path), lambda _: open_store(view.path), 5)}
    for name, memory_gib in (("disk", 0.0), ("memory", 4.0)):
        of_store, of_view = loader(store.path, memory_gib), loader(view.path, memory_gib)
        found[name] = fastest_ms(of_store.batch, of_view.batch, 15)
    slower = {
        name: (store_ms, view_ms)
        for name, (store_ms, view_ms) in found.items()
        if view_ms > 1.3 * store_ms + 5
    }
    assert not slower, f"[ms] of the store and of the view: {found}"
