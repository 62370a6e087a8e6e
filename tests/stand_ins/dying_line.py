"""The line environment, whose process is killed once, in the middle of one episode."""

import os
import signal
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from line_env import LineConfig, LineEnv


@dataclass(frozen=True)
class DyingLineConfig(LineConfig):
    """In the second step of `trouble_seed` as many processes die as `times`, each with a file in `graves`."""

    graves: str = ""
    times: int = 1

    def build(self) -> "DyingLine":
        return DyingLine(self)


class DyingLine(LineEnv):
    config: DyingLineConfig

    def step(self, action: np.ndarray) -> tuple:
        graves = Path(self.config.graves)
        is_fatal = self.seed == self.config.trouble_seed and self.steps == 1
        if is_fatal and len(list(graves.iterdir())) < self.config.times:
            (graves / str(os.getpid())).touch()
            os.kill(os.getpid(), signal.SIGKILL)
        return super().step(action)
