"""From the settings of a run to its training: environment, data, policy, and the loop."""

import dataclasses
from pathlib import Path

import torch

from imitate.alignment import Alignment
from imitate.checkpoint import LAST, LoadedPolicy, load_policy
from imitate.datasets.loader import prepare
from imitate.env import EnvConfig
from imitate.errors import ConfigError
from imitate.instruction import unseen
from imitate.parts import from_json
from imitate.policy import CompletedConfig, Policy, SelfTrainedPolicy, TaughtPolicy
from imitate.progress import SILENT, Progress
from imitate.rollout import rollout
from imitate.rollout.listening import instructions
from imitate.symmetry import Mirror
from imitate.training.config import TrainConfig
from imitate.training.loop import train
from imitate.training.run import Run, RunFolder, Score, require_usable
from imitate.training.team import ALONE, Team, follow
from imitate.training.watch import Evaluate, Result
from imitate.types import DataSpec


def start(
    run: Run, out: Path, resume: bool = False, progress: Progress = SILENT, team: Team = ALONE
) -> Result:
    """Train as `run` says into the folder `out`, or with `resume` go on with the run that is there.

    Every process of a `team` calls this; the others return when the leader says so, with no metrics.

    Raises what imitate.training.loop.train raises, and ConfigError, DataError or SpecError before training
    where settings, data and environment do not fit together.
    """
    run = completed(run)
    require_usable(out, run, resume)
    config = run.train
    expected, mirror, alignment = (None, None, None) if run.env is None else facts_of(run.env)
    data = prepare(
        run.data, run.policy.horizons, expected, config.batch_size, config.seed, mirror, alignment, progress
    )
    if run.env is not None and config.evaluations:
        note = unseen(data.spec, instructions(data.spec, run.env, None, "add  train.evaluations=0"))
        if note:
            progress.say(f"note: {note}")
    torch.manual_seed(config.seed)
    policy = run.policy.build(data.spec)
    policy.normalizer.fit(data.statistics)
    if isinstance(policy, TaughtPolicy):
        policy.learn_from(teacher_of(policy))
    if policy.needs_outcome:
        data = data.with_outcome()
    if not (out / LAST).exists():  # a run that goes on loads what it found when it began
        windows = (data.train.batch(step) for step in range(data.train.batches_per_epoch))
        for line in policy.prepare(windows):
            progress.say(line)
    progress.say(described(policy, len(data.train), len(data.train_episodes), len(data.val_episodes), config))
    learner, mine = team.learner(policy, run.optim, config), team.windows(data.train)
    folder = RunFolder(out, run, data.data_hash, data.used_seeds)
    if not team.leads:
        return Result(follow(learner, mine, folder, team), {})
    return train(
        learner,
        mine,
        data.validation,
        folder,
        evaluate=None if run.env is None or not config.evaluations else simulator(run.env, config, progress),
        resume=resume,
        progress=progress,
        team=team,
    )


def completed(run: Run) -> Run:
    """`run` with what its policy's settings take over from those of its teacher.

    Raises ConfigError where nobody is named, CheckpointError where the teacher cannot be read.
    """
    if not isinstance(run.policy, CompletedConfig):
        return run
    info = _loaded(run.policy.teacher).info
    policy = run.policy.completed(from_json(info.policy, "policy"), info.spec)
    return dataclasses.replace(run, policy=policy)


def teacher_of(policy: TaughtPolicy) -> Policy:
    """The trained policy that `policy` is to learn from; raises ConfigError or CheckpointError."""
    return _loaded(policy.teacher).policy


def _loaded(teacher: str | None) -> LoadedPolicy:
    if teacher is None:
        raise ConfigError(
            "policy.teacher is null, but this policy learns from a trained one: add  policy.teacher=RUN, the "
            "folder of its run"
        )
    return load_policy(teacher)


def facts_of(env: EnvConfig) -> tuple[DataSpec, Mirror | None, Alignment | None]:
    """What `env` observes and how it is driven, its symmetry, and how its demonstrations may be moved.

    Raises MissingExtraError without its suite.
    """
    made = env.build()
    try:
        return made.data_spec, made.mirror, made.alignment
    finally:
        made.close()


def simulator(env: EnvConfig, config: TrainConfig, progress: Progress) -> Evaluate:
    """Rolls a policy out in `env`, on the same seeds every time."""
    seeds = range(config.eval_seed, config.eval_seed + config.eval_episodes)
    device = config.torch_device()

    def evaluate(policy: Policy, step: int) -> Score:
        played = rollout(policy, env, seeds, workers=config.eval_workers, device=device, progress=progress)
        return Score(played.success_rate, played.mean_score, step)

    return evaluate


def described(policy: Policy, windows: int, episodes: int, held_out: int, config: TrainConfig) -> str:
    """What is about to be trained on what; it sees all that there is, where data.obs does not say less."""
    weights = sum(p.numel() for p in policy.parameters())
    dtype = torch.float32 if isinstance(policy, SelfTrainedPolicy) else config.autocast_dtype()
    precision = str(dtype).removeprefix("torch.")
    sees = ", ".join(
        f"{key} ({' × '.join(map(str, array.shape))})" for key, array in sorted(policy.spec.obs.items())
    )
    return (
        f"training {type(policy).__name__} with {weights / 1e6:.1f} M weights on {windows} windows of "
        f"{episodes} episodes ({held_out} held out), {config.torch_device()}, {precision}; "
        f"it sees {sees}"
    )
