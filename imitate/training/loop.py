"""The training loop: one for every policy.

    every step:    batch(step) -> loss -> gradient -> AdamW -> running average of the weights
    now and then:  log, validate, save `last`, roll out in the simulator and save `best`

What happens now and then (watch.py) has no influence on the weights.
"""

from collections.abc import Iterator
from typing import Protocol

from imitate.errors import TrainingError
from imitate.progress import SILENT, Progress
from imitate.training.interrupt import interrupts
from imitate.training.learner import Learner
from imitate.training.logs import open_logs
from imitate.training.meter import NotFiniteError
from imitate.training.run import RunFolder
from imitate.training.watch import Evaluate, Result, Watch
from imitate.types import Batch


class Windows(Protocol):
    """Where batches come from; the batch of a step is the same every time it is asked for."""

    def stream(self, start: int = 0) -> Iterator[Batch]:
        """The batches of steps start, start + 1, … without end."""

    def episodes_of(self, step: int) -> list[str]:
        """The ids of the episodes that the batch of `step` is cut from."""

    def epoch_batches(self) -> Iterator[Batch]:
        """Every window once."""


def train(
    learner: Learner,
    windows: Windows,
    validation: Windows | None,
    folder: RunFolder,
    *,
    evaluate: Evaluate | None = None,
    resume: bool = False,
    progress: Progress = SILENT,
) -> Result:
    """Train `learner` on `windows` until the limits of its settings, keeping `folder` up to date.

    Raises Interrupted after SIGINT or SIGTERM, once `last` is saved; TrainingError where the loss or the
    gradient is not finite, naming the step and its episodes: the checkpoints are then as they were before.
    """
    position = folder.open(learner, resume)
    with (
        open_logs(folder.path, position.step, learner.config.wandb, folder.run.to_json()) as logs,
        interrupts() as signals,
        progress.task("train", 100.0, "%") as bar,
    ):
        watch = Watch(learner, validation, folder, evaluate, position, logs, signals, bar)
        batches = windows.stream(position.step)
        try:
            while (done := watch.before_step()) < 1.0:
                watch.after_step(learner.step(next(batches), position.step, done))
            return watch.finish()
        except NotFiniteError as error:
            raise _explained(error, windows, folder) from error


def _explained(error: NotFiniteError, windows: Windows, folder: RunFolder) -> TrainingError:
    episodes = windows.episodes_of(error.step)
    shown = ", ".join(episodes[:8]) + (" …" if len(episodes) > 8 else "")
    return TrainingError(
        f"{error.name} is {error.value} at step {error.step}, whose batch is cut from episodes {shown}; "
        f"{folder.kept()}"
    )
