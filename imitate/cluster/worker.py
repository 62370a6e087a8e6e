"""One process of several that train together, started by Ray Train."""

import math
import os
import time
from contextlib import closing
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist

from imitate.cluster.learner import ClusterLearner
from imitate.cluster.reports import FILE, STOP, Reporter
from imitate.cluster.sharded import ShardedLearner
from imitate.cluster.sharding import WorkerWindows, dealt, parts
from imitate.datasets.window_loader import WindowLoader
from imitate.errors import ClusterError, ImitateError
from imitate.policy import Policy
from imitate.progress import SILENT, Progress
from imitate.training.config import TrainConfig
from imitate.training.interrupt import Interrupted
from imitate.training.optimizer import AdamWConfig
from imitate.training.start import start

LOOK_EVERY_S = 0.5
STOPPED = 2.0
"""More than a whole run: what the leader says when it leaves before the end, or with weights in shards."""
GATHER = -1.0
"""Less than none of it: what the leader says when all weights are to be gathered, with how much of them."""


class Workers:
    """The processes of torch's default group as an imitate.training.team.Team; rank 0 leads.

    sharded: whether each holds a part of the weights. The others then listen until the leader leaves: what it
    saves at the end it cannot gather alone.
    """

    def __init__(self, shards: int, stop: Path, sharded: bool = False) -> None:
        self.leads = dist.get_rank() == 0
        self._shards, self._stop, self._sharded = shards, stop, sharded
        self._mine = dealt(shards, dist.get_rank(), dist.get_world_size())
        self._learner: ClusterLearner | None = None
        self._looked, self._agreed = -math.inf, 0.0

    def learner(self, policy: Policy, optim: AdamWConfig, config: TrainConfig) -> ClusterLearner:
        """See Team."""
        if self._sharded:
            self._learner = ShardedLearner(policy, optim, config, self._shards, self._mine, self._ask)
        else:
            self._learner = ClusterLearner(policy, optim, config, self._shards, self._mine)
        return self._learner

    def _ask(self, what: int) -> None:
        self._hear(GATHER, what)

    def windows(self, whole: WindowLoader) -> WindowLoader:
        """See Team."""
        rows = parts(len(whole.indices(0)), self._shards)
        return WorkerWindows(whole, [rows[shard] for shard in self._mine])

    def agree(self, done: float, step: int) -> float:
        """See Team; raises ClusterError where the workers do not stand at the same step."""
        self._agreed, at = self._hear(done, step)
        while not self.leads and self._is_kept_waiting():
            if self._agreed == GATHER:
                assert isinstance(self._learner, ShardedLearner)
                self._learner.gather(at)
            self._agreed, at = self._hear(done, step)
        if self._agreed < 1.0:
            if at != step:
                raise ClusterError(
                    f"one worker stands at step {step}, the first at {at}: they see other files"
                )
            assert self._learner is not None
            self._learner.is_stepping = True
        return self._agreed

    def asked_to_stop(self) -> int | None:
        """See Team; the command leaves the number in a file."""
        if time.monotonic() - self._looked < LOOK_EVERY_S:
            return None
        self._looked = time.monotonic()
        return int(self._stop.read_text()) if self._stop.exists() else None

    def close(self) -> None:
        """See Team: the leader tells the others to stop, unless they know or cannot hear."""
        if self.leads and not self._is_stepping and (self._agreed < 1.0 or self._sharded):
            self._hear(STOPPED, 0)

    def all_ended(self) -> bool:
        """Whether, after an error here, no other process waits for this one. The team is closed by then."""
        if self._is_stepping:
            return False
        return self.leads or self._hear(0.0, 0)[0] >= self._end

    @property
    def _end(self) -> float:
        """From which number on the leader needs the others no more."""
        return STOPPED if self._sharded else 1.0

    def _is_kept_waiting(self) -> bool:
        """Whether what the leader said last is neither a step nor the end."""
        return self._agreed == GATHER or 1.0 <= self._agreed < self._end

    @property
    def _is_stepping(self) -> bool:
        return self._learner is not None and self._learner.is_stepping

    def _hear(self, done: float, step: int) -> tuple[float, int]:
        """What the leader says: the share of the run that is done, and the number of the step."""
        said = torch.tensor([done, step], dtype=torch.float64)
        if dist.get_backend() == "nccl":
            said = said.cuda()
        dist.broadcast(said, 0)
        agreed, at = said.tolist()
        return agreed, int(at)


def take_part(settings: dict[str, Any]) -> BaseException | None:
    """Train with the others. An error that the user can mend is a result: beginning anew would not help."""
    if settings["folder"].is_dir():
        os.chdir(settings["folder"])  # paths mean what they mean to the command
    out: Path = settings["out"]
    team = Workers(settings["shards"], out / STOP, settings["sharded"])
    progress: Progress = Reporter(out / FILE) if team.leads else SILENT
    progress.say(f"{dist.get_world_size()} workers, {settings['shards']} shards of each batch")
    try:
        with closing(team):
            start(settings["run"], out, True, progress, team)
    except (ImitateError, Interrupted, OSError) as error:
        if not team.all_ended():
            raise
        return error
    return None
