"""Training as a whole: it learns, it can be cut at any step, and what it leaves behind can act."""

import json
import os
import signal
from collections.abc import Callable, Iterator

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from torch import Tensor

from imitate.checkpoint import BEST, LAST, load_policy, read
from imitate.errors import CheckpointError, ConfigError, TrainingError
from imitate.policies.bc import BehaviourCloningConfig
from imitate.policy import Horizons, PolicyConfig
from imitate.training.interrupt import Interrupted
from imitate.training.logs import read_log
from imitate.training.loop import train
from imitate.training.run import Score
from imitate.types import Batch

Make = Callable[..., object]


def tensors_of(job) -> dict[str, Tensor]:
    return read(job.folder.path / LAST)[1]


def require_equal(a: dict[str, Tensor], b: dict[str, Tensor]) -> None:
    assert a.keys() == b.keys()
    for name in a:
        assert torch.equal(a[name], b[name]), name


def stop_at(windows, step: int) -> Iterator[Batch]:
    """The windows, with Ctrl-C arriving while the batch of `step` is fetched."""

    class Stopping(type(windows)):
        def batch(self, at: int) -> Batch:
            if at == step:
                os.kill(os.getpid(), signal.SIGINT)
            return super().batch(at)

    return Stopping(**vars(windows))


def test_loss_falls_and_the_folder_holds_the_run(trial, windows) -> None:
    job = trial(policy=POLICIES["bc"], max_steps=300, log_every=50)
    result = train(job.learner, windows(), windows(512, seed=1), job.folder)
    rows = read_log(job.folder.path / "log.jsonl")
    losses = [row["train/loss"] for row in rows if "train/loss" in row]
    assert len(losses) == 6
    assert losses[-1] < 0.5 * losses[0]
    errors = [row["action_error/x [m]"] for row in rows if "validation/loss" in row]
    assert len(errors) == 3
    assert errors[-1] < errors[0]
    assert result.position.step == 300
    assert json.loads((job.folder.path / "config.json").read_text())["train"]["max_steps"] == 300
    assert not list(job.folder.path.glob(".*"))


POLICIES: dict[str, PolicyConfig | None] = {
    "diffusion": None,
    "bc": BehaviourCloningConfig(Horizons(2, 4, 2), width=16, layers=1),
    "gmm": BehaviourCloningConfig(Horizons(2, 4, 2), head="gmm", width=16, layers=1),
}


@pytest.mark.parametrize("name", POLICIES)
@settings(max_examples=6, deadline=None, suppress_health_check=list(HealthCheck))
@given(stops=st.lists(st.integers(0, 11), max_size=3, unique=True).map(sorted))
def test_resumed_training_equals_uninterrupted(
    name: str, stops: list[int], trial, windows, tmp_path_factory
) -> None:
    policy = {"policy": POLICIES[name]} if POLICIES[name] else {}
    base = tmp_path_factory.mktemp("run")
    whole = trial(base / "whole", **policy)
    train(whole.learner, windows(), windows(512, seed=1), whole.folder)
    for stop in stops:
        part = trial(base / "part", **policy)
        with pytest.raises(Interrupted):
            train(part.learner, stop_at(windows(), stop), windows(512, seed=1), part.folder, resume=True)
        assert read(part.folder.path / LAST, "none/")[0].step == stop + 1
        torch.rand(stop + 3)  # What else draws random numbers must not matter.
    last = trial(base / "part", **policy)
    train(last.learner, windows(), windows(512, seed=1), last.folder, resume=True)
    require_equal(tensors_of(whole), tensors_of(last))
    numbers = [
        [
            (row["step"], row.get("train/loss"), row.get("validation/loss"))
            for row in read_log(run.folder.path / "log.jsonl")
        ]
        for run in (whole, last)
    ]
    if not stops:
        assert numbers[0] == numbers[1]


def test_rollouts_choose_best_and_leave_the_weights_alone(trial, windows) -> None:
    plain = trial("plain", max_steps=12)
    train(plain.learner, windows(), None, plain.folder)
    scores = iter([(0.5, 0.6), (0.8, 0.7), (0.8, 0.7), (0.4, 0.9)])

    def evaluate(policy, step: int) -> Score:
        torch.rand(100)
        assert not policy.training
        return Score(*next(scores), step)

    job = trial("rolled", max_steps=12, evaluations=4)
    result = train(job.learner, windows(), None, job.folder, evaluate=evaluate)
    require_equal(tensors_of(plain), tensors_of(job))
    assert result.position.best == Score(0.8, 0.7, 9)
    info, _ = read(job.folder.path / BEST)
    assert info.step == 9
    assert info.metrics["rollout/success_rate"] == 0.8
    assert load_policy(job.folder.path).info.step == 9


def test_nan_stops_with_step_and_episodes_and_keeps_the_last_checkpoint(trial, windows) -> None:
    job = trial(max_steps=12, save_minutes=0)
    with pytest.raises(
        TrainingError,
        match=r"loss is nan at step 7; its data is not finite in episodes 3; kept: .*of step 7$",
    ):
        train(job.learner, windows(poisoned=7), None, job.folder)
    for tensor in tensors_of(job).values():
        assert tensor.isfinite().all()


def test_a_batch_that_no_memory_holds_is_named(trial, windows, monkeypatch: pytest.MonkeyPatch) -> None:
    job = trial(max_steps=12)
    monkeypatch.setattr(job.learner, "step", lambda *_: torch.empty(2**60))
    with pytest.raises(TrainingError, match=r"train\.batch_size=\d+ does not fit into the memory of cpu"):
        train(job.learner, windows(), None, job.folder)


def test_existing_run_is_refused_without_resume(trial, windows) -> None:
    train((job := trial()).learner, windows(), None, job.folder)
    again = trial()
    with pytest.raises(ConfigError, match="resume=true"):
        train(again.learner, windows(), None, again.folder)


def test_resume_with_other_settings_names_the_key(trial, windows) -> None:
    train((job := trial()).learner, windows(), None, job.folder)
    other = trial(max_steps=24)
    with pytest.raises(ConfigError, match=r"train.max_steps is 24, but the run to resume has 12"):
        train(other.learner, windows(), None, other.folder, resume=True)


def test_resume_with_other_data_is_refused(trial, windows) -> None:
    train((job := trial()).learner, windows(), None, job.folder)
    other = trial()
    other.folder.data_hash = "another"
    with pytest.raises(CheckpointError, match="hash abc"):
        train(other.learner, windows(), None, other.folder, resume=True)
