"""Small demonstrations for the tests of stores and loaders."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from imitate.datasets.store import DemoStore
from imitate.types import ArraySpec, DataSpec, Episode

SPEC = DataSpec(
    {
        "state": ArraySpec((3,), names=("x", "y", "angle"), units=("m", "m", "rad"), circular=(2,)),
        "camera": ArraySpec((8, 8, 3), "uint8"),
    },
    ArraySpec((2,), names=("x", "y"), units=("m", "m")),
    10.0,
)


@pytest.fixture
def spec() -> DataSpec:
    return SPEC


@pytest.fixture
def make_episode() -> Callable[..., Episode]:
    """Episode `number` is the same whenever it is made; the first state element is the step."""

    def make(number: int, steps: int | None = None) -> Episode:
        rng = np.random.default_rng(number)
        count = steps or int(rng.integers(1, 40))
        state = rng.normal(size=(count, 3)).astype(np.float32)
        state[:, 0] = np.arange(count)
        return Episode(
            id=f"demo_{number}",
            obs={"state": state, "camera": rng.integers(0, 256, (count, 8, 8, 3), np.uint8)},
            action=rng.normal(size=(count, 2)).astype(np.float32),
            success=bool(number % 2),
            source="test",
            operator="expert",
            rate_hz=10.0,
            metadata={"seed": number},
        )

    return make


@pytest.fixture
def make_store(
    tmp_path: Path, spec: DataSpec, make_episode: Callable[..., Episode]
) -> Callable[..., DemoStore]:
    """A store at tmp_path/NAME with episodes 0 … count-1."""

    def make(count: int = 5, name: str = "demos.zarr", steps: int | None = None) -> DemoStore:
        with DemoStore.create(tmp_path / name, spec, "test") as store:
            for number in range(count):
                store.append(make_episode(number, steps))
        return store

    return make
