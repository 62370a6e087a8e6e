"""Training on a store in a real environment: settings fit together, rollouts choose, signals stop."""

import dataclasses
import os
import shutil
import signal
import time
from collections.abc import Generator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import torch
from line_env import SPEC, LineConfig, LineEnv

from imitate.checkpoint import BEST, LAST, load_policy, read
from imitate.datasets.loader import DataConfig, prepare
from imitate.datasets.opening import open_store
from imitate.datasets.store import DemoStore
from imitate.datasets.views.making import derive
from imitate.datasets.views.operations import Rename
from imitate.datasets.window_loader import WindowLoader
from imitate.errors import CheckpointError, ConfigError, DataError, EnvError, SpecError, TrainingError
from imitate.policies.bc import BehaviourCloningConfig
from imitate.policies.consistency import ConsistencyConfig
from imitate.policies.diffusion import DiffusionConfig
from imitate.policies.nets.causal_transformer import CausalTransformerConfig
from imitate.policies.nets.chunk_decoder import ChunkDecoderConfig
from imitate.policies.nets.film_mlp import FilmMlpConfig
from imitate.policies.nets.residual_vq import ResidualVqConfig
from imitate.policies.seeing import Seeing, SeeingConfig
from imitate.policies.truncated import TruncatedConfig
from imitate.policies.vq_bet import VqBetConfig
from imitate.policy import Horizons, PolicyConfig, TaughtPolicy
from imitate.rollout import rollout
from imitate.training.config import TrainConfig
from imitate.training.interrupt import Interrupted
from imitate.training.learner import Learner
from imitate.training.loop import train
from imitate.training.optimizer import AdamWConfig
from imitate.training.run import Run, RunFolder
from imitate.training.start import described, start, teacher_of
from imitate.types import ArraySpec, Batch, DataSpec, Episode

POLICY = BehaviourCloningConfig(Horizons(2, 4, 2), width=32, layers=1)


@pytest.fixture(scope="module")
def demos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Twelve episodes of a controller that moves the point to 0."""
    path = tmp_path_factory.mktemp("data") / "line.zarr"
    store = DemoStore.create(path, SPEC)
    for seed in range(12):
        store.append(demonstration(seed))
    store.close()
    return path


def demonstration(seed: int) -> Episode:
    env = LineConfig().build()
    seen, done = [env.reset(seed=seed)[0]], []
    for _ in range(20):
        done.append(np.clip(-2 * seen[-1]["position"], -1, 1).astype(np.float32))
        seen.append(env.step(done[-1])[0])
    obs = {key: np.stack([each[key] for each in seen[:-1]]) for key in SPEC.obs}
    return Episode(f"ep_{seed}", obs, np.stack(done), success=True, rate_hz=10.0)


def run_of(demos: Path, env: object = None, **settings: object) -> Run:
    defaults: dict = {
        "max_steps": 40,
        "max_minutes": None,
        "batch_size": 64,
        "device": "cpu",
        "precision": "fp32",
    }
    defaults |= {"validations": 2, "evaluations": 2, "eval_episodes": 4, "eval_workers": 0}
    return Run(POLICY, env, DataConfig(str(demos)), AdamWConfig(), TrainConfig(**{**defaults, **settings}))  # type: ignore[arg-type]


def test_trained_policy_solves_the_task_and_carries_its_origin(demos: Path, tmp_path: Path) -> None:
    run = run_of(demos, LineConfig(), max_steps=300)
    result = start(run, tmp_path / "run")
    assert result.position.evaluations == 2
    assert result.position.best is not None
    assert result.position.best.success_rate == 1.0
    loaded = load_policy(tmp_path / "run")
    assert loaded.info.env_config() == LineConfig()
    assert loaded.info.data_hash == DemoStore.open(demos).content_hash()
    assert loaded.info.seeds == {"train": 0, "split": 0, "evaluation": 50_000}
    assert rollout(loaded.policy, LineConfig(), range(100_000, 100_010), workers=0).success_rate >= 0.9


@dataclass(frozen=True)
class Stopping:
    """A loader's stream, with a signal arriving while the batch of `step` is handed out."""

    loader: WindowLoader
    step: int

    def stream(self, start_step: int = 0) -> Generator[Batch, None, None]:
        with closing(self.loader.stream(start_step)) as batches:
            for step, batch in enumerate(batches, start_step):
                if step == self.step:
                    os.kill(os.getpid(), signal.SIGTERM)
                yield batch


@pytest.mark.parametrize("stops", [[0], [2, 3, 29], [17, 38]])
def test_resumed_over_epochs_equals_uninterrupted(demos: Path, tmp_path: Path, stops: list[int]) -> None:
    run = run_of(demos)
    start(run, tmp_path / "whole")
    for stop in stops:
        data = prepare(run.data, POLICY.horizons, None, run.train.batch_size, run.train.seed)
        torch.manual_seed(0)
        policy = POLICY.build(data.spec)
        policy.normalizer.fit(data.statistics)
        folder = RunFolder(tmp_path / "part", run, data.data_hash)
        with pytest.raises(Interrupted, match="SIGTERM"):
            train(
                Learner(policy, run.optim, run.train), Stopping(data.train, stop), None, folder, resume=True
            )
    start(run, tmp_path / "part", resume=True)
    (_, whole), (_, part) = read(tmp_path / "whole" / LAST), read(tmp_path / "part" / LAST)
    assert all(torch.equal(whole[name], part[name]) for name in whole)


ANCHORED = TruncatedConfig(
    Horizons(2, 4, 2), denoiser=ChunkDecoderConfig(16, heads=2), anchors=4, training_modes=2, alternatives=2
)


VOCABULARY = VqBetConfig(
    Horizons(2, 4, 2),
    codebook=ResidualVqConfig(codes=4, latent=8, width=16, steps=30),
    transformer=CausalTransformerConfig(width=16, layers=1, heads=2),
)


@pytest.mark.parametrize(
    ("config", "fitted"),
    [(ANCHORED, ["anchors.chunks"]), (VOCABULARY, ["codebook.codes", "codebook.decoder.0.weight"])],
    ids=["anchors", "vocabulary"],
)
def test_what_is_taken_from_data_is_fitted_before_the_first_step_and_not_again(
    demos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, config: PolicyConfig, fitted: list[str]
) -> None:
    run = dataclasses.replace(run_of(demos, max_steps=12), policy=config)
    start(run, tmp_path / "whole")
    data = prepare(run.data, config.horizons, None, run.train.batch_size, run.train.seed)
    torch.manual_seed(0)
    policy = config.build(data.spec)
    policy.normalizer.fit(data.statistics)
    policy.prepare(data.train.batch(step) for step in range(data.train.batches_per_epoch))
    found = {name: policy.state_dict()[name].clone() for name in fitted}
    folder = RunFolder(tmp_path / "part", run, data.data_hash)
    with pytest.raises(Interrupted):
        train(Learner(policy, run.optim, run.train), Stopping(data.train, 5), None, folder)
    monkeypatch.setattr(type(policy), "prepare", None)  # calling it would fail
    start(run, tmp_path / "part", resume=True)
    (_, whole), (_, part) = read(tmp_path / "whole" / LAST), read(tmp_path / "part" / LAST)
    assert all(torch.equal(whole[name], part[name]) for name in whole)
    for name, value in found.items():
        assert torch.equal(part[f"live/{name}"], value)
        assert torch.equal(part[f"ema/{name}"], value)


TINY = FilmMlpConfig(width=16, blocks=1, condition_width=8)


def student_of(demos: Path, teacher: str | None) -> Run:
    config = ConsistencyConfig(teacher, Horizons(2, 4, 2), denoiser=TINY, levels=4)
    return dataclasses.replace(run_of(demos, max_steps=12), policy=config)


def test_a_student_resumes_as_if_uninterrupted_and_acts_without_its_teacher(
    demos: Path, tmp_path: Path
) -> None:
    diffusion = DiffusionConfig(Horizons(2, 4, 2), denoiser=TINY)
    start(dataclasses.replace(run_of(demos, max_steps=12), policy=diffusion), tmp_path / "teacher")
    run = student_of(demos, str(tmp_path / "teacher"))
    start(run, tmp_path / "whole")
    data = prepare(run.data, run.policy.horizons, None, run.train.batch_size, run.train.seed)
    torch.manual_seed(0)
    policy = run.policy.build(data.spec)
    policy.normalizer.fit(data.statistics)
    assert isinstance(policy, TaughtPolicy)
    policy.learn_from(teacher_of(policy))
    folder = RunFolder(tmp_path / "part", run, data.data_hash)
    with pytest.raises(Interrupted):
        train(Learner(policy, run.optim, run.train), Stopping(data.train, 5), None, folder)
    start(run, tmp_path / "part", resume=True)
    (_, whole), (_, part) = read(tmp_path / "whole" / LAST), read(tmp_path / "part" / LAST)
    assert all(torch.equal(whole[name], part[name]) for name in whole)
    target, student = (part[f"live/{name}.head.weight"] for name in ("target.network", "denoiser"))
    assert not torch.equal(target, student)
    shutil.rmtree(tmp_path / "teacher")
    assert load_policy(tmp_path / "part").info.step == 12
    with pytest.raises(CheckpointError, match="teacher: there is no such file or folder"):
        start(run, tmp_path / "part", resume=True)


def test_a_student_without_a_teacher_is_refused(demos: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"policy\.teacher is null, .* add  policy\.teacher=RUN"):
        start(student_of(demos, None), tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_a_policy_that_estimates_takes_over_its_teachers_settings_and_goes_on(
    demos: Path, tmp_path: Path
) -> None:
    acting = DiffusionConfig(Horizons(2, 4, 2), denoiser=TINY)
    start(dataclasses.replace(run_of(demos, max_steps=4), policy=acting), tmp_path / "teacher")
    config = SeeingConfig(str(tmp_path / "teacher"), ("velocity",), ("again",), width=8)
    view = tmp_path / "beside.view.json"
    with open_store(demos) as store:
        derive(store, [Rename(parts={"again": ("velocity.dx",)})], view)
    run = dataclasses.replace(run_of(view, max_steps=4), policy=config)
    run = dataclasses.replace(run, data=dataclasses.replace(run.data, obs=(*SPEC.obs, "again")))
    start(run, tmp_path / "run")
    loaded = load_policy(tmp_path / "run")
    assert isinstance(loaded.policy, Seeing) and loaded.policy.config.acting == acting
    assert list(loaded.info.spec.obs) == ["position", "again"]
    with pytest.raises(ConfigError, match="already holds a run"):
        start(run, tmp_path / "run")
    start(run, tmp_path / "run", resume=True)
    nobody = dataclasses.replace(config, teacher=None)
    with pytest.raises(ConfigError, match=r"policy\.teacher is null"):
        start(dataclasses.replace(run, policy=nobody), tmp_path / "other")


@dataclass(frozen=True)
class InterruptedConfig(LineConfig):
    """An environment in which Ctrl-C arrives, and which then hangs."""

    def build(self) -> LineEnv:
        return InterruptedEnv(self)


class InterruptedEnv(LineEnv):
    def _trouble(self) -> None:
        os.kill(os.getpid(), signal.SIGINT)
        time.sleep(600)


def test_signal_during_rollouts_stops_at_once_and_keeps_the_training(demos: Path, tmp_path: Path) -> None:
    before = signal.getsignal(signal.SIGINT)
    with pytest.raises(Interrupted, match="SIGINT"):
        start(run_of(demos, InterruptedConfig(trouble_seed=50_001), evaluations=1), tmp_path / "run")
    info, _ = read(tmp_path / "run" / LAST)
    assert info.step == 40
    assert info.training["evaluations"] == 0
    assert signal.getsignal(signal.SIGINT) is before


def test_failing_environment_keeps_the_training(demos: Path, tmp_path: Path) -> None:
    with pytest.raises(EnvError):
        start(run_of(demos, LineConfig(trouble="raise", trouble_seed=50_001)), tmp_path / "run")
    assert read(tmp_path / "run" / LAST)[0].step == 20


def test_time_limit_ends_training_with_the_whole_schedule(demos: Path, tmp_path: Path) -> None:
    result = start(run_of(demos, max_steps=None, max_minutes=0.02), tmp_path / "run")
    assert result.position.elapsed_s >= 1.2
    assert result.metrics["train/learning_rate"] < 1e-4
    again = start(run_of(demos, max_steps=None, max_minutes=0.02), tmp_path / "run", resume=True)
    assert again.position.step == result.position.step


def test_without_environment_best_is_last(demos: Path, tmp_path: Path) -> None:
    start(run_of(demos), tmp_path / "run")
    best, last = read(tmp_path / "run" / BEST)[1], read(tmp_path / "run" / LAST)[1]
    assert all(torch.equal(best[name], last[name]) for name in best)
    assert not any(name.startswith("optim/") for name in best)


def test_data_of_another_environment_is_refused(tmp_path: Path, demos: Path) -> None:
    other = DataSpec({"position": ArraySpec((2,))}, ArraySpec((1,)))
    store = DemoStore.create(tmp_path / "other.zarr", other)
    store.append(Episode("a", {"position": np.zeros((5, 2), np.float32)}, np.zeros((5, 1), np.float32)))
    store.close()
    with pytest.raises(SpecError, match=r"'position'.*shape"):
        start(run_of(tmp_path / "other.zarr", LineConfig()), tmp_path / "run")
    with pytest.raises(DataError):
        start(run_of(tmp_path / "none.zarr", LineConfig()), tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_exploding_training_names_the_cause(demos: Path, tmp_path: Path) -> None:
    run = run_of(demos)
    wild = Run(run.policy, None, run.data, AdamWConfig(lr=1e30, warmup=0.0), run.train)
    with pytest.raises(
        TrainingError, match=r"at step \d+; its data, of episodes .* is finite: try a smaller"
    ):
        start(wild, tmp_path / "run")


def test_it_is_told_what_a_policy_sees() -> None:
    arrays = {"state": ArraySpec((3,)), "camera": ArraySpec((64, 80, 3), dtype="uint8")}
    policy = POLICY.build(DataSpec(arrays, ArraySpec((1,))))
    line = described(policy, 10, 2, 1, TrainConfig(device="cpu"))
    assert "on 10 windows of 2 episodes (1 held out)" in line
    assert line.endswith("; it sees camera (64 × 80 × 3), state (3)")
