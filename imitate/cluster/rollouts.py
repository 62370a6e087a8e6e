"""Rollouts whose episodes are Ray tasks, equal to those of one machine episode by episode.

An episode depends on its seed and the batch width alone (imitate.rollout.lockstep), so a task plays some
seeds exactly as one machine would, and whichever worker plays them, or plays them again, gives the same.
"""

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from types import ModuleType
from typing import Any

import numpy as np
import torch

from imitate.cluster.config import ClusterConfig
from imitate.cluster.session import session
from imitate.cluster.tasks import results
from imitate.env import EnvConfig
from imitate.errors import ClusterError
from imitate.policy import Policy
from imitate.progress import SILENT, Progress
from imitate.rollout import EpisodeResult, Player, Recorder, Recording, Rollout, Timing, rollout


@contextmanager
def player(config: ClusterConfig | None) -> Iterator[Player]:
    """What plays episodes: this machine where `config` is None, otherwise a cluster."""
    if config is None:
        yield rollout
        return
    with session(config) as ray:
        yield ClusterRollouts(config, ray)


@dataclass(frozen=True)
class ClusterRollouts:
    """Plays as imitate.rollout.rollout does, spread over the workers of a connected Ray."""

    config: ClusterConfig
    ray: ModuleType

    def __call__(
        self,
        policy: Policy,
        env_config: EnvConfig,
        seeds: Sequence[int],
        *,
        recorder: Recorder | None = None,
        record: Recording | None = None,
        progress: Progress = SILENT,
        **settings: Any,
    ) -> Rollout:
        """See imitate.rollout.rollout; raises ClusterError besides.

        Films are made on this machine. `record` needs a folder that every worker sees under the same path.
        """
        if recorder is not None:
            return rollout(policy, env_config, seeds, recorder=recorder, progress=progress, **settings)
        began, pieces = time.perf_counter(), dealt(seeds, self.config.episodes_per_task)
        settings |= {"workers": 0, "folder": record and record.folder, "threads": torch.get_num_threads()}
        played: list[Rollout] = []
        with progress.task("rollout", len(seeds), "episodes") as task:
            for _, part in results(self.ray, self.config, play, pieces, policy, env_config, settings):
                played.append(part)
                task.advance(len(part.episodes), f"success {success_rate(played):.2f} so far")
        done = _together(played, seeds, time.perf_counter() - began, self.config.workers)
        if record is not None:
            record.gather(done.episodes, done.env.spec)
        return done


def dealt(seeds: Sequence[int], size: int) -> list[list[int]]:
    """`seeds` in runs of at most `size`; neighbours sit in different rows of the policy's input."""
    return [list(seeds[start : start + size]) for start in range(0, len(seeds), size)]


def play(seeds: list[int], policy: Policy, env_config: EnvConfig, settings: dict[str, Any]) -> Rollout:
    """In a worker: the episodes of `seeds`, on as many threads as the driver has.

    The rounding of a matrix product may depend on the number of threads.
    """
    rest = {name: value for name, value in settings.items() if name not in ("folder", "threads")}
    torch.set_num_threads(settings["threads"])
    kept = None if settings["folder"] is None else StepsOnly(settings["folder"], "")
    return rollout(policy.to(rest["device"]), env_config, seeds, record=kept, **rest)


class StepsOnly(Recording):
    """A recording of which a worker writes the steps; the store is made where all episodes are known."""

    def gather(self, episodes: Sequence[EpisodeResult], spec: object) -> None:
        """Leave the files where they are."""


def success_rate(parts: Sequence[Rollout]) -> float:
    """The share of the episodes of `parts` that succeeded."""
    return float(np.mean([episode.success for part in parts for episode in part.episodes]))


def _together(parts: Sequence[Rollout], seeds: Sequence[int], wall_s: float, workers: int) -> Rollout:
    """All parts as one rollout; raises ClusterError unless each seed was played exactly once."""
    episodes = [episode for part in parts for episode in part.episodes]
    by_seed = {episode.seed: episode for episode in episodes}
    if len(episodes) != len(seeds) or by_seed.keys() != set(seeds):
        raise ClusterError(f"{len(seeds)} episodes were asked for, {len(episodes)} came back: report this")
    times = [part.timing for part in parts]
    # Workers act at the same time: their seconds are shared among them.
    timing = Timing(
        wall_s,
        sum(t.env_s for t in times) / workers,
        sum(t.policy_s for t in times) / workers,
        sum(t.env_steps for t in times),
        sum(t.policy_calls for t in times),
    )
    return Rollout(tuple(by_seed[seed] for seed in seeds), parts[0].env, timing)
