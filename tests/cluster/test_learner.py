"""A step that several take: with one shard it is that of one machine, with more its gradient is the same."""

from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
import torch.distributed as dist
from line_demos import line_demos

from imitate.cluster.learner import ClusterLearner
from imitate.datasets.loader import DataConfig, TrainingData, prepare
from imitate.policies.bc import BehaviourCloningConfig
from imitate.policies.diffusion import DiffusionConfig
from imitate.policies.nets.film_mlp import FilmMlpConfig
from imitate.policy import Horizons, Policy, PolicyConfig
from imitate.training.config import TrainConfig
from imitate.training.learner import Learner
from imitate.training.optimizer import AdamWConfig

HORIZONS = Horizons(2, 4, 2)
CONFIG = TrainConfig(max_steps=20, max_minutes=None, batch_size=30, device="cpu", precision="fp32")
DIFFUSION = DiffusionConfig(HORIZONS, denoiser=FilmMlpConfig(width=16, blocks=1))


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> TrainingData:
    path = line_demos(tmp_path_factory.mktemp("data") / "line.zarr")
    return prepare(DataConfig(str(path)), HORIZONS, None, 30, 0)


@pytest.fixture(autouse=True)
def group(tmp_path: Path) -> Iterator[None]:
    """A torch process group of this process alone."""
    dist.init_process_group("gloo", init_method=f"file://{tmp_path}/group", rank=0, world_size=1)
    yield
    dist.destroy_process_group()


def built(config: PolicyConfig, data: TrainingData) -> Policy:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        policy = config.build(data.spec)
    policy.normalizer.fit(data.statistics)
    return policy


def trained(learner: Learner, data: TrainingData) -> tuple[list[float], dict[str, torch.Tensor]]:
    losses = [float(learner.step(data.train.batch(step), step, step / 20)["loss"]) for step in range(20)]
    return losses, learner.tensors(with_optimizer=True)


def test_one_shard_is_one_machine_bitwise(data: TrainingData) -> None:
    losses, weights = trained(Learner(built(DIFFUSION, data), AdamWConfig(), CONFIG), data)
    found, theirs = trained(ClusterLearner(built(DIFFUSION, data), AdamWConfig(), CONFIG, 1, [0]), data)
    assert found == losses
    assert weights.keys() == theirs.keys()
    assert all(torch.equal(weights[name], theirs[name]) for name in weights)


@pytest.mark.parametrize("shards", [2, 4, 7])
def test_accumulated_gradients_are_those_of_the_whole_batch(data: TrainingData, shards: int) -> None:
    config = BehaviourCloningConfig(HORIZONS, width=32, layers=1)
    losses, weights = trained(Learner(built(config, data), AdamWConfig(), CONFIG), data)
    parts = ClusterLearner(built(config, data), AdamWConfig(), CONFIG, shards, range(shards))
    found, theirs = trained(parts, data)
    assert found == pytest.approx(losses, rel=1e-4)
    assert all(
        torch.allclose(weights[name], theirs[name], atol=1e-4) for name in weights if "optim" not in name
    )
