"""A policy in training whose process is killed, or fails, in the middle of a step."""

import os
import resource
import signal
from dataclasses import dataclass
from pathlib import Path

import torch.distributed as dist
from torch import Tensor

from imitate.errors import DataError
from imitate.policies.bc import BehaviourCloning, BehaviourCloningConfig
from imitate.types import Batch, DataSpec


@dataclass(frozen=True)
class DyingConfig(BehaviourCloningConfig):
    """In the `after`-th loss of the process `rank`, as many die as `times`, each with a file in `graves`.

    how: die, stop (as a machine that hangs), raise or disk full.
    """

    graves: str = ""
    rank: int = 1
    after: int = 30
    times: int = 1
    how: str = "die"

    def build(self, spec: DataSpec) -> "Dying":
        policy = Dying(self, spec)
        policy.plan = self
        return policy


class Dying(BehaviourCloning):
    plan: DyingConfig
    count = 0

    def loss(self, batch: Batch) -> dict[str, Tensor]:
        self.count += 1
        is_here = dist.is_initialized() and dist.get_rank() == self.plan.rank
        graves = Path(self.plan.graves)
        if is_here and self.count == self.plan.after and len(list(graves.iterdir())) < self.plan.times:
            (graves / str(os.getpid())).touch()
            self._trouble()
        return super().loss(batch)

    def _trouble(self) -> None:
        if self.plan.how == "raise":
            raise DataError("rows 3 to 5 of demos.zarr cannot be read")
        if self.plan.how == "disk full":  # no file may grow beyond this; a checkpoint does
            resource.setrlimit(resource.RLIMIT_FSIZE, (8000, resource.RLIM_INFINITY))
            return
        os.kill(os.getpid(), signal.SIGSTOP if self.plan.how == "stop" else signal.SIGKILL)
