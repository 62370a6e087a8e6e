"""Windows of a store as tests load them, and whether two batches are the same."""

import torch

from imitate.datasets.loader import DataConfig, TrainingData, prepare
from imitate.datasets.store import DemoStore
from imitate.policy import Horizons
from imitate.types import Batch, DataSpec

HORIZONS = Horizons(2, 6, 3)


def loaded(store: DemoStore, spec: DataSpec | None, batch_size: int = 16, **settings: object) -> TrainingData:
    config = DataConfig(str(store.path), **settings)  # type: ignore[arg-type]
    return prepare(config, HORIZONS, spec, batch_size, seed=3)


def require_same(a: Batch, b: Batch) -> None:
    assert a.obs.keys() == b.obs.keys()
    for left, right in [*((a.obs[k], b.obs[k]) for k in a.obs), (a.action, b.action), (a.is_pad, b.is_pad)]:
        assert left.dtype == right.dtype
        assert torch.equal(left, right)
