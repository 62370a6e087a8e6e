"""The line environment, whose process is killed, or hangs, in the middle of one episode."""

import os
import signal
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from line_env import LineConfig, LineEnv

from imitate.errors import MissingExtraError


@dataclass(frozen=True)
class DyingLineConfig(LineConfig):
    """In the second step of `trouble_seed` as many processes die as `times`, each with a file in `graves`.

    how: die, stop (as a machine that hangs), wait (for as long as a test takes), or slow: every step of every
    episode takes 50 ms, and nothing dies. absent: it cannot be built, which all processes but the first find
    out half a second later.
    """

    graves: str = ""
    times: int = 1
    how: str = "die"

    def build(self) -> "DyingLine":
        if self.how == "absent":
            self._fail()
        return DyingLine(self)

    def _fail(self) -> None:
        first = Path(self.graves) / "first"
        if first.exists():
            time.sleep(0.5)
        first.touch()
        raise MissingExtraError("line is not installed")


class DyingLine(LineEnv):
    config: DyingLineConfig

    def step(self, action: np.ndarray) -> tuple:
        if self.config.how == "slow":
            time.sleep(0.05)
        graves = Path(self.config.graves)
        is_fatal = self.seed == self.config.trouble_seed and self.steps == 1
        if is_fatal and len(list(graves.iterdir())) < self.config.times:
            (graves / str(os.getpid())).touch()
            self._trouble_here()
        return super().step(action)

    def _trouble_here(self) -> None:
        if self.config.how == "wait":
            time.sleep(600)
        elif self.config.how != "slow":
            os.kill(os.getpid(), signal.SIGSTOP if self.config.how == "stop" else signal.SIGKILL)
