"""The training loop: one for every policy.

    every step:    batch(step) -> loss -> gradient -> AdamW -> running average of the weights
    now and then:  log, validate, save `last`, roll out in the simulator and save `best`

What happens now and then (watch.py) has no influence on the weights.
"""

from collections.abc import Generator
from contextlib import closing
from typing import Protocol

import numpy as np
import torch

from imitate.errors import TrainingError, is_out_of_memory
from imitate.progress import SILENT, Progress
from imitate.training.interrupt import interrupts
from imitate.training.learner import Learner
from imitate.training.logs import open_logs
from imitate.training.meter import NotFiniteError
from imitate.training.run import RunFolder
from imitate.training.team import ALONE, Team
from imitate.training.watch import Evaluate, Result, Watch
from imitate.types import Batch


class Windows(Protocol):
    """Where batches come from; the batch of a step is the same every time it is asked for."""

    def stream(self, start_step: int = 0) -> Generator[Batch, None, None]:
        """The batches from `start_step` on, without end."""

    def batch(self, step: int) -> Batch:
        """The batch of one step."""

    def episodes(self, step: int) -> np.ndarray:
        """The index (B,) of the episode that each window of the batch is cut from."""


def train(
    learner: Learner,
    windows: Windows,
    validation: Windows | None,
    folder: RunFolder,
    *,
    evaluate: Evaluate | None = None,
    resume: bool = False,
    progress: Progress = SILENT,
    team: Team = ALONE,
) -> Result:
    """Train `learner` on `windows` until the limits of its settings, keeping `folder` up to date.

    This process leads `team`, whose others step along (imitate.training.team.follow).

    Raises Interrupted after SIGINT or SIGTERM, once `last` is saved; TrainingError where the loss or the
    gradient is not finite, naming the step and its episodes: the checkpoints are then as they were before.
    """
    position = folder.open(learner, resume)
    with (
        open_logs(folder.path, position, learner.config.wandb, folder.run.to_json()) as logs,
        interrupts() as signals,
        progress.task("train", 100.0, "%") as bar,
        closing(windows.stream(position.step)) as batches,
    ):
        watch = Watch(learner, validation, folder, evaluate, position, logs, signals, bar, progress.say)
        try:
            while (done := team.agree(watch.before_step(), position.step)) < 1.0:
                batch = next(batches)
                watch.meter.fed()
                scalars = learner.step(batch, position.step, done)
                if (asked := team.asked_to_stop()) is not None:
                    signals.received = asked
                watch.after_step(scalars)
            return watch.finish()
        except NotFiniteError as error:
            raise _explained(error, windows, folder) from error
        except (MemoryError, RuntimeError) as error:
            if not is_out_of_memory(error):
                raise
            raise TrainingError(
                f"train.batch_size={learner.config.batch_size} does not fit into the memory of "
                f"{learner.device}: lower it; {folder.kept()}"
            ) from error


def _explained(error: NotFiniteError, windows: Windows, folder: RunFolder) -> TrainingError:
    batch, episodes = windows.batch(error.step), windows.episodes(error.step)
    arrays = [*batch.obs.values(), batch.action, batch.weight]
    broken = ~torch.stack(
        [a.flatten(1).isfinite().all(1) if a.ndim > 1 else a.isfinite() for a in arrays]
    ).all(0)
    if broken.any():
        cause = f"its data is not finite in episodes {_listed(episodes[broken.numpy()])}"
    else:
        cause = f"its data, of episodes {_listed(episodes)}, is finite: try a smaller optim.lr"
    return TrainingError(f"{error.name} is {error.value} at step {error.step}; {cause}; {folder.kept()}")


def _listed(episodes: np.ndarray) -> str:
    numbers = [str(number) for number in np.unique(episodes)]
    return ", ".join(numbers[:8]) + (f" and {len(numbers) - 8} more" if len(numbers) > 8 else "")
