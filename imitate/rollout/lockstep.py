"""Rollouts in rounds: one policy call for many environments, which then execute what it says.

What an episode does depends on its seed and the batch width alone, never on the number of workers or on
which other episodes are played. Three rules bring that about: the episode of seed s sits in row s % batch
of the policy's input, that input always has `batch` rows (the rounding of a matrix product depends on its
shape), and each episode has its own generator, seeded with s.
"""

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

import numpy as np
import torch

from imitate.env import EnvConfig
from imitate.errors import ConfigError
from imitate.execution import ExecutionConfig
from imitate.instruction import words
from imitate.policy import Policy
from imitate.progress import SILENT, Progress
from imitate.rollout.host import LANES, EnvFacts, EpisodeResult, HostOrder, Recorder
from imitate.rollout.recording import Recording
from imitate.rollout.rounds import Rounds
from imitate.rollout.shared import SharedObs
from imitate.rollout.workers import places

BATCH = 32
"""The cost of a policy call grows far slower than its rows: 8 to 32 rows cost a CPU little more than one."""


@dataclass(frozen=True)
class RolloutConfig:
    """How episodes are played; `workers` alone changes nothing about what happens in them.

    workers: processes that step environments, 0 for none besides this one. batch: the rows of each policy
    call; up to twice as many environments are open at the same time. instruction: what to tell a policy that
    was trained on sentences; None for what the environment says.
    """

    workers: int = 1
    batch: int = BATCH
    execution: ExecutionConfig = field(default_factory=ExecutionConfig)
    instruction: str | None = None

    def __post_init__(self) -> None:
        if self.instruction is not None and not words(self.instruction):
            raise ConfigError(
                f"rollout.instruction is {self.instruction!r}, expected a sentence, or null for what the "
                "environment says"
            )
        if self.workers < 0:
            raise ConfigError(f"rollout.workers is {self.workers}, expected 0 or more")
        if self.batch < 1:
            raise ConfigError(f"rollout.batch is {self.batch}, expected at least 1")


@dataclass(frozen=True)
class Timing:
    """Where the time went. policy_s is the policy's, env_s that of waiting for environments besides.

    Both are parts of wall_s, which also counts the start, until the policy is first asked.
    """

    wall_s: float
    env_s: float
    policy_s: float
    env_steps: int
    policy_calls: int

    @property
    def env_steps_per_s(self) -> float:
        """Control steps of all environments together per second of playing, the policy's time included."""
        return self.env_steps / max(self.env_s + self.policy_s, 1e-9)

    @property
    def policy_ms_per_call(self) -> float:
        """Milliseconds of one batched policy call."""
        return 1000 * self.policy_s / max(self.policy_calls, 1)


@dataclass(frozen=True)
class Rollout:
    """Episodes in the order of the seeds asked for, and what they have in common."""

    episodes: tuple[EpisodeResult, ...]
    env: EnvFacts
    timing: Timing

    @property
    def success_rate(self) -> float:
        """The share of episodes that succeeded."""
        return float(np.mean([episode.success for episode in self.episodes]))

    @property
    def mean_score(self) -> float:
        """The mean of the episodes' scores."""
        return float(np.mean([episode.score for episode in self.episodes]))


Player = Callable[..., Rollout]
"""Plays episodes and takes what `rollout` takes: `rollout` itself, or something that spreads them further."""


def rollout(
    policy: Policy,
    env_config: EnvConfig,
    seeds: Sequence[int],
    *,
    workers: int = 1,
    batch: int = BATCH,
    execution: ExecutionConfig | None = None,
    device: torch.device | str = "cpu",
    recorder: Recorder | None = None,
    video_seeds: Sequence[int] = (),
    record: Recording | None = None,
    instruction: str | None = None,
    progress: Progress = SILENT,
) -> Rollout:
    """Play one episode per seed with `policy`, which is on `device`; see RolloutConfig for the settings.

    `recorder` is given the frames of `video_seeds`, `record` the steps of all episodes. Raises SpecError
    where the environment does not match the policy, EnvError where an environment fails or a worker dies. No
    process outlives the call.
    """
    config = RolloutConfig(workers, batch, execution or ExecutionConfig())
    queues, obs_steps = _queues(seeds, batch), policy.horizons.obs_steps
    seen = SharedObs.of(policy.spec, len(LANES) * batch, obs_steps)
    order = HostOrder(
        env_config,
        queues,
        batch,
        policy.spec,
        obs_steps,
        seen,
        instruction or "",
        recorder,
        frozenset(video_seeds),
        record.folder if record else None,
    )
    began = time.perf_counter()
    with (
        places(order, workers) as opened,
        _evaluating(policy),
        progress.task("rollout", len(seeds), "episodes") as task,
    ):
        rounds = Rounds(policy, config.batch, config.execution, torch.device(device), opened, seen, task)
        rounds.play()
    timing = Timing(
        time.perf_counter() - began,
        rounds.env_s,
        rounds.policy_s,
        sum(result.length for result in rounds.results.values()),
        rounds.policy_calls,
    )
    done = Rollout(tuple(rounds.results[seed] for seed in seeds), rounds.facts, timing)
    if record:
        record.gather(done.episodes, done.env.spec)
    return done


def _queues(seeds: Sequence[int], batch: int) -> dict[int, list[int]]:
    """Which seeds each row plays: {row: seeds}."""
    if not seeds:
        raise ConfigError("there are no seeds to roll out, expected at least 1 episode")
    if len(set(seeds)) < len(seeds):
        raise ConfigError("seeds to roll out repeat; each episode needs its own")
    queues: dict[int, list[int]] = {}
    for seed in seeds:
        queues.setdefault(seed % batch, []).append(seed)
    return queues


@contextmanager
def _evaluating(policy: Policy) -> Iterator[None]:
    was_training = policy.training
    policy.eval()
    try:
        with torch.inference_mode():
            yield
    finally:
        policy.train(was_training)
