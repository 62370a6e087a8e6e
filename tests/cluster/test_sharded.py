"""Weights in shards: every policy learns as with whole ones, and its checkpoints are those of one machine."""

from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
import torch.distributed as dist
from line_demos import line_demos
from line_env import LineConfig
from line_training import HORIZONS, curve, run_of
from small_policies import CONFIGS, SPEC, make_batch, shrunk, statistics
from worker_processes import in_processes

from imitate.checkpoint import BEST, LAST, load_policy, read
from imitate.cluster.learner import ClusterLearner
from imitate.cluster.reports import STOP
from imitate.cluster.sharded import ShardedLearner
from imitate.config import compose
from imitate.errors import ConfigError
from imitate.policies.bc import BehaviourCloningConfig
from imitate.policy import Policy, PolicyConfig
from imitate.training.config import TrainConfig
from imitate.training.interrupt import Interrupted
from imitate.training.optimizer import AdamWConfig
from imitate.training.start import start

CONFIG = TrainConfig(max_steps=20, max_minutes=None, batch_size=8, device="cpu", precision="fp32")
# These train themselves, or change their weights in their loss, and are refused.
WHOLE = [path for path in CONFIGS if path.stem.startswith("robomimic") or path.stem == "consistency"]


@pytest.fixture
def group(tmp_path: Path) -> Iterator[None]:
    """A torch process group of this process alone."""
    dist.init_process_group("gloo", init_method=f"file://{tmp_path}/group", rank=0, world_size=1)
    yield
    dist.destroy_process_group()


def built(config: PolicyConfig) -> Policy:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        policy = config.build(SPEC)
        policy.normalizer.fit(statistics())
        policy.prepare([make_batch(config, 16)])
    return policy


def sharded(policy: Policy) -> ShardedLearner:
    return ShardedLearner(policy, AdamWConfig(), CONFIG, 2, [0, 1], lambda what: None)


@pytest.mark.parametrize("path", [path for path in CONFIGS if path not in WHOLE], ids=lambda path: path.stem)
def test_every_policy_learns_as_with_whole_weights(group: None, path: Path) -> None:
    config = shrunk(compose("train", [f"policy={path.stem}", "env=null", "data.path=x", "out=y"]).policy)
    learners = [ClusterLearner(built(config), AdamWConfig(), CONFIG, 2, [0, 1]), sharded(built(config))]
    found = []
    for learner in learners:
        scalars = [learner.step(make_batch(config, 8, step), step, step / 20) for step in range(3)]
        averaged = learner.ema.averaged().loss(make_batch(config, 8))
        found.append([{name: float(value) for name, value in row.items()} for row in (*scalars, averaged)])
    for ours, theirs in zip(found[1][:3], found[0][:3], strict=True):
        assert ours == pytest.approx(theirs, rel=1e-5)
    whole, gathered = (learner.tensors(with_optimizer=True) for learner in learners)
    assert whole.keys() == gathered.keys()
    assert all(torch.allclose(whole[name], gathered[name], atol=1e-6) for name in whole)


def test_what_cannot_be_sharded_is_refused(group: None) -> None:
    config = shrunk(compose("train", ["policy=consistency", "env=null", "data.path=x", "out=y"]).policy)
    with pytest.raises(ConfigError, match=r"cluster.sharded is true, but Consistency needs whole weights"):
        sharded(config.build(SPEC))
    compiled = TrainConfig(max_steps=20, max_minutes=None, compile=True, device="cpu", precision="fp32")
    bc = BehaviourCloningConfig(HORIZONS, width=16, layers=1).build(SPEC)
    with pytest.raises(ConfigError, match=r"train.compile=true does not go with cluster.sharded=true"):
        ShardedLearner(bc, AdamWConfig(), compiled, 1, [0], lambda what: None)


@pytest.fixture(scope="module")
def demos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return line_demos(tmp_path_factory.mktemp("data") / "line.zarr")


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_the_curve_is_that_of_whole_weights_for_1_and_2_workers(demos: Path, tmp_path: Path) -> None:
    run = run_of(demos, env=LineConfig(max_steps=10))
    assert in_processes(2, run, tmp_path / "whole") == [None] * 2
    expected, tensors = curve(tmp_path / "whole"), read(tmp_path / "whole" / LAST)[1]
    for count in (1, 2):
        out = tmp_path / str(count)
        assert in_processes(count, run, out, sharded=True) == [None] * count
        assert curve(out) == pytest.approx(expected, rel=1e-3)
        found = read(out / LAST)[1]
        assert {name: t.shape for name, t in found.items()} == {name: t.shape for name, t in tensors.items()}
        assert all(torch.allclose(found[name], tensors[name], atol=2e-3) for name in found)
        assert {path.name for path in out.iterdir()} == {path.name for path in (tmp_path / "whole").iterdir()}
        assert load_policy(out / BEST).info.env_config() == LineConfig(max_steps=10)


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_a_run_goes_on_with_shards_and_without(demos: Path, tmp_path: Path) -> None:
    """Two workers with shards, then three, then two without; and the weights of the end on one machine."""
    run, out = run_of(demos), tmp_path / "run"
    out.mkdir()
    for count, is_sharded in ((2, True), (3, True)):
        (out / STOP).write_text("15")
        (stop, *others) = in_processes(count, run, out, sharded=is_sharded)
        assert isinstance(stop, Interrupted) and others == [None] * (count - 1)
    steps = read(out / LAST, "none/")[0].step
    assert 1 < steps < 60
    (out / STOP).unlink()
    assert in_processes(2, run, out) == [None] * 2
    assert read(out / LAST, "none/")[0].step == 60
    assert in_processes(1, run, tmp_path / "whole") == [None]
    assert curve(out)[-6:] == pytest.approx(curve(tmp_path / "whole")[-6:], rel=1e-3)
    one_machine = start(run, out, resume=True)
    assert one_machine.position.step == 60


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_one_machine_begins_and_shards_go_on(demos: Path, tmp_path: Path) -> None:
    """With one part of a batch the noise is that of one machine, so the curve is as well."""
    run, out = run_of(demos), tmp_path / "run"
    out.mkdir()
    (out / STOP).write_text("15")
    (stop,) = in_processes(1, run, out, shards=1)
    assert isinstance(stop, Interrupted)
    (out / STOP).unlink()
    assert in_processes(1, run, out, shards=1, sharded=True) == [None]
    start(run, tmp_path / "alone")
    assert curve(out)[-6:] == pytest.approx(curve(tmp_path / "alone")[-6:], rel=1e-3)
