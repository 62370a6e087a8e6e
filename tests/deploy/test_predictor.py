"""What comes with a policy that is loaded to be deployed."""

from pathlib import Path

import numpy as np
import pytest
import torch
from small_exports import saved

from imitate.datasets.loader import DataConfig
from imitate.datasets.store import DemoStore
from imitate.deploy.guard import flattened
from imitate.deploy.predictor import load_predictor
from imitate.deploy.safety.distribution import DistributionGate
from imitate.export.bundle import export_policy
from imitate.normalize import ArrayStatistics
from imitate.policies.bc import BehaviourCloningConfig
from imitate.policy import Horizons
from imitate.types import ArraySpec, DataSpec, Episode

SPEC = DataSpec({"tool": ArraySpec((2,)), "arm": ArraySpec((1,))}, ArraySpec((1,)), 10.0)
"""Not in the order of the alphabet, in which a manifest has it."""


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, DemoStore]:
    folder = tmp_path_factory.mktemp("predictor")
    rng = np.random.default_rng(0)
    with DemoStore.create(folder / "demos.zarr", SPEC, "test") as store:
        for index in range(4):
            tool, arm = rng.normal(0, 0.1, (30, 2)), rng.normal(100, 5, (30, 1))
            obs = {"tool": tool.astype(np.float32), "arm": arm.astype(np.float32)}
            store.append(Episode(f"e{index}", obs, tool[:, :1].astype(np.float32), True, rate_hz=10.0))
    torch.manual_seed(0)
    config = BehaviourCloningConfig(horizons=Horizons(2, 8, 4), width=16, layers=1)
    policy = config.build(SPEC)
    ends = {"tool": (-0.5, 0.5), "arm": (80.0, 120.0), "action": (-0.5, 0.5)}
    sizes = {"tool": 2, "arm": 1, "action": 1}
    policy.normalizer.fit(
        {
            key: ArrayStatistics(*(np.full(sizes[key], x) for x in (low, high, (low + high) / 2, 1.0)))
            for key, (low, high) in ends.items()
        }
    )
    store = DemoStore.open(folder / "demos.zarr")
    out = folder / "p.imitate"
    loaded = saved(policy, config, folder / "run", store.content_hash())
    export_policy(loaded, out, data=DataConfig(str(store.path), val_fraction=0.25), compared=100)
    return out, store


def test_what_it_saw_in_training_is_familiar_to_a_deployed_policy(bundle: tuple[Path, DemoStore]) -> None:
    out, store = bundle
    loaded = load_predictor(str(out))
    assert loaded.training is not None and loaded.held_out is not None
    gate = DistributionGate(loaded.training, loaded.held_out)
    spec = loaded.predictor.spec
    distances = [
        gate.check(flattened({key: rows[step] for key, rows in episode.obs.items()}, spec)).distance
        for episode in store.episodes()
        for step in (0, 10, 29)
    ]
    assert np.median(distances) < 1e-3
    assert max(distances) < 3.0
