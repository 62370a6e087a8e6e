"""Rollouts in lockstep rounds: one policy call for all environments, then all environments step.

What an episode does depends on its seed and the batch width alone, never on the number of workers or on
which other episodes are played. Three rules bring that about: the episode of seed s sits in row s % batch
of the policy's input, that input always has `batch` rows (the rounding of a matrix product depends on its
shape), and each episode has its own generator, seeded with s.
"""

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor

from imitate.env import EnvConfig, Obs
from imitate.errors import ConfigError, EnvError
from imitate.execution import Alternatives, ChunkExecution, ExecutionConfig
from imitate.policy import Policy
from imitate.progress import SILENT, Progress, Task
from imitate.rollout.host import EnvFacts, EpisodeResult, HostOrder, Recorder, SlotReport
from imitate.rollout.recording import Recording
from imitate.rollout.workers import Place, places

BATCH = 32
"""The cost of a policy call grows far slower than its rows: 8 to 32 rows cost a CPU little more than one."""


@dataclass(frozen=True)
class RolloutConfig:
    """How episodes are played; none but `batch` and `execution` changes what happens in them.

    workers: processes that step environments, 0 for none besides this one. batch: environments that are
    played at the same time, the rows of each policy call.
    """

    workers: int = 1
    batch: int = BATCH
    execution: ExecutionConfig = field(default_factory=ExecutionConfig)

    def __post_init__(self) -> None:
        if self.workers < 0:
            raise ConfigError(f"rollout.workers is {self.workers}, expected 0 or more")
        if self.batch < 1:
            raise ConfigError(f"rollout.batch is {self.batch}, expected at least 1")


@dataclass(frozen=True)
class Timing:
    """Where the time went. env_s and policy_s are parts of wall_s; the start of workers is neither."""

    wall_s: float
    env_s: float
    policy_s: float
    env_steps: int
    policy_calls: int

    @property
    def env_steps_per_s(self) -> float:
        """Control steps of all environments together per second of the time spent on them."""
        return self.env_steps / max(self.env_s, 1e-9)

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
    progress: Progress = SILENT,
) -> Rollout:
    """Play one episode per seed with `policy`, which is on `device`; see RolloutConfig for the settings.

    `recorder` is given the frames of `video_seeds`, `record` the steps of all episodes. Raises SpecError
    where the environment does not match the policy, EnvError where an environment fails or a worker dies. No
    process outlives the call.
    """
    config = RolloutConfig(workers, batch, execution or ExecutionConfig())
    order = HostOrder(
        env_config,
        _queues(seeds, batch),
        policy.spec,
        policy.horizons.obs_steps,
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
        rounds = _Rounds(policy, config, torch.device(device), opened, task)
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


@dataclass
class _Playing:
    """An episode in progress, as seen from the policy."""

    seed: int
    obs: Obs
    generator: torch.Generator
    execution: ChunkExecution


class _Rounds:
    """The rounds of one rollout: predict for every row, execute in every slot, take in the reports."""

    def __init__(
        self,
        policy: Policy,
        config: RolloutConfig,
        device: torch.device,
        opened: Sequence[Place],
        task: Task,
    ) -> None:
        self._policy, self._config, self._device = policy, config, device
        self._places, self._task = opened, task
        self._playing: dict[int, _Playing] = {}
        self._idle_generator = torch.Generator()
        self.results: dict[int, EpisodeResult] = {}
        self.env_s = self.policy_s = 0.0
        self.policy_calls = 0

    def play(self) -> None:
        """Play until every queue is empty."""
        for place in self._places:
            self.facts, reports = place.begin()
            self._take_in(reports)
        while self._playing:
            began = time.perf_counter()
            actions = self._predict()
            predicted = time.perf_counter()
            self._execute(actions)
            self.policy_s += predicted - began
            self.env_s += time.perf_counter() - predicted
            self.policy_calls += 1

    def _predict(self) -> dict[int, np.ndarray]:
        obs, generators = self._rows()
        chunk = self._policy.predict(obs, generators)
        values = chunk.values.float().cpu().numpy()
        alternatives = Alternatives.rows(chunk.modes, len(values))
        actions = {}
        for row, playing in self._playing.items():
            if not np.isfinite(values[row]).all():
                raise EnvError(f"the policy's action in the episode of seed {playing.seed} is not finite")
            actions[row] = playing.execution.plan(values[row], alternatives[row])
        return actions

    def _rows(self) -> tuple[dict[str, Tensor], list[torch.Generator]]:
        """Observations {name: (batch, To, …)} and generators of all rows; an idle row repeats another."""
        anyone = self._playing[min(self._playing)]
        rows = [self._playing.get(row) for row in range(self._config.batch)]
        obs = {
            key: torch.from_numpy(np.stack([(row or anyone).obs[key] for row in rows])).to(self._device)
            for key in anyone.obs
        }
        return obs, [row.generator if row else self._idle_generator for row in rows]

    def _execute(self, actions: Mapping[int, np.ndarray]) -> None:
        shares = [
            {slot: actions[slot] for slot in sorted(place.slots & actions.keys())} for place in self._places
        ]
        busy = [(place, share) for place, share in zip(self._places, shares, strict=True) if share]
        for place, share in busy:
            place.send(share)
        for place, _ in busy:
            self._take_in(place.receive())

    def _take_in(self, reports: Mapping[int, SlotReport]) -> None:
        for slot, report in reports.items():
            if report.finished is not None:
                self._count(report.finished)
            if report.seed is None or report.obs is None:
                self._playing.pop(slot, None)
            elif slot in self._playing and self._playing[slot].seed == report.seed:
                self._playing[slot].obs = report.obs
            else:
                self._playing[slot] = self._beginning(report.seed, report.obs)

    def _beginning(self, seed: int, obs: Obs) -> _Playing:
        generator = torch.Generator().manual_seed(seed)
        return _Playing(seed, obs, generator, self._config.execution.build())

    def _count(self, result: EpisodeResult) -> None:
        self.results[result.seed] = result
        won = sum(finished.success for finished in self.results.values())
        self._task.advance(1, f"success {won}/{len(self.results)}")
