"""What a run keeps besides its best and last weights: some over time, and the starts it has met."""

from pathlib import Path

import numpy as np
import pytest
import torch
from line_env import SPEC, LineConfig

from imitate.checkpoint import BEST, LAST, load_policy, read
from imitate.datasets.loader import DataConfig
from imitate.datasets.store import DemoStore
from imitate.datasets.used_seeds import UsedSeeds
from imitate.errors import CheckpointError, ConfigError
from imitate.parts import to_json
from imitate.policies.bc import BehaviourCloningConfig
from imitate.policy import Horizons
from imitate.training.config import TrainConfig
from imitate.training.optimizer import AdamWConfig
from imitate.training.run import Run, kept_checkpoints
from imitate.training.start import start
from imitate.types import Episode

FAST = {"max_minutes": None, "batch_size": 16, "device": "cpu", "precision": "fp32", "validations": 0}


@pytest.fixture(scope="module")
def demos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Four episodes that began at seeds 3 to 5, and one that does not say where."""
    path = tmp_path_factory.mktemp("data") / "line.zarr"
    random = np.random.default_rng(0)
    with DemoStore.create(path, SPEC) as store:
        for index, seed in enumerate([3, 4, 5, 4, None]):
            known = {} if seed is None else {"seed": seed, "env": to_json(LineConfig())}
            obs = {key: random.normal(size=(9, *spec.shape)) for key, spec in SPEC.obs.items()}
            obs = {key: value.astype(np.float32) for key, value in obs.items()}
            action = random.uniform(-1, 1, (9, 1)).astype(np.float32)
            store.append(Episode(f"e{index}", obs, action, rate_hz=10.0, metadata=known))
    return path


def run_of(demos: Path, **settings: object) -> Run:
    train = TrainConfig(**{**FAST, "evaluations": 0, "max_steps": 20, **settings})  # type: ignore[arg-type]
    policy = BehaviourCloningConfig(Horizons(2, 4, 2), width=16, layers=1)
    return Run(policy, LineConfig(), DataConfig(str(demos)), AdamWConfig(), train)


def test_checkpoints_are_kept_evenly_and_the_last_is_the_end(demos: Path, tmp_path: Path) -> None:
    start(run_of(demos, checkpoints=4), tmp_path / "x")
    files = kept_checkpoints(tmp_path / "x")
    assert [load_policy(file).info.step for file in files] == [5, 10, 15, 20]
    assert files[0].name == "step_00000005.safetensors"
    (_, kept), (_, last) = read(files[-1]), read(tmp_path / "x" / LAST)
    assert all(torch.equal(value, last[name]) for name, value in kept.items())
    assert {name.partition("/")[0] for name in kept} == {"ema"}
    first = read(files[0])[1]
    assert any(not torch.equal(value, kept[name]) for name, value in first.items())


def test_by_default_none_is_kept_which_the_error_says(demos: Path, tmp_path: Path) -> None:
    start(run_of(demos), tmp_path / "x")
    assert not (tmp_path / "x" / "checkpoints").exists()
    with pytest.raises(CheckpointError, match=r"no checkpoints over time.*train\.checkpoints=50"):
        kept_checkpoints(tmp_path / "x")
    with pytest.raises(ConfigError, match=r"train\.checkpoints is -1"):
        TrainConfig(checkpoints=-1)


def test_keeping_changes_nothing_about_the_weights_and_a_resumed_run_keeps_the_rest(
    demos: Path, tmp_path: Path
) -> None:
    start(run_of(demos), tmp_path / "plain")
    start(run_of(demos, checkpoints=4), tmp_path / "kept")
    (_, plain), (_, kept) = read(tmp_path / "plain" / LAST), read(tmp_path / "kept" / LAST)
    assert all(torch.equal(value, kept[name]) for name, value in plain.items())
    # A run from before there were checkpoints over time goes on with some.
    start(run_of(demos, checkpoints=2), tmp_path / "plain", resume=True)
    assert [load_policy(file).info.step for file in kept_checkpoints(tmp_path / "plain")] == [20]


def test_a_checkpoint_says_where_its_demonstrations_began(demos: Path, tmp_path: Path) -> None:
    start(run_of(demos, checkpoints=1), tmp_path / "x")
    expected = (
        UsedSeeds("demonstrations", "line_env.LineConfig", ((3, 5),)),
        UsedSeeds("demonstrations", None, (), without_seed=1),
    )
    for file in (tmp_path / "x" / BEST, kept_checkpoints(tmp_path / "x")[0]):
        found = load_policy(file).info.used_seeds
        assert found is not None and set(found) == set(expected)


def test_and_by_which_starts_it_was_chosen(demos: Path, tmp_path: Path) -> None:
    start(run_of(demos, evaluations=1, eval_episodes=3, eval_seed=700, eval_workers=0), tmp_path / "x")
    found = load_policy(tmp_path / "x").info.used_seeds
    assert found is not None
    assert UsedSeeds("selection", "line_env.LineConfig", ((700, 702),)) in found
