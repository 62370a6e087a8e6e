"""Everything around the steps: log, validate, roll out, save, show, and stop when asked to."""

import time
from collections.abc import Callable
from dataclasses import dataclass, field

from torch import Tensor

from imitate.policy import Policy
from imitate.progress import Task
from imitate.training.interrupt import Interrupts
from imitate.training.learner import Learner
from imitate.training.logs import Logs
from imitate.training.meter import Meter
from imitate.training.run import Position, RunFolder, Score
from imitate.training.validation import Batches, validate

Evaluate = Callable[[Policy, int], Score]
"""Rolls out a policy as it is after so many steps."""

SHOW_EVERY_S = 0.5

SHOWN_WAIT = 0.05
"""From this share of the time on, waiting for data is worth a word."""

WARN_FROM = 0.25
"""The share of a run before which a policy's warnings are not heard: every policy begins ignorant."""


@dataclass(frozen=True)
class Result:
    """Where training ended, and the newest value of every number that was logged."""

    position: Position
    metrics: dict[str, float]


@dataclass
class Watch:
    """Looks after one run; `position` is where it stands and is kept up to date here."""

    learner: Learner
    validation: Batches | None
    folder: RunFolder
    evaluate: Evaluate | None
    position: Position
    logs: Logs
    signals: Interrupts
    bar: Task
    say: Callable[[str], None]
    meter: Meter = field(default_factory=Meter)
    metrics: dict[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        now = time.monotonic()
        self._began, self._saved, self._shown = now - self.position.elapsed_s, now, now
        self._shown_done = 0.0
        self._has_warned = False

    @property
    def done(self) -> float:
        """The share of the run that is done, in [0, 1]."""
        return self.learner.config.progress(self.position.step, self.position.elapsed_s)

    def before_step(self) -> float:
        """Validate and roll out if it is time to; the share of the run that is done."""
        config, done = self.learner.config, self.done
        validations, evaluations = int(done * config.validations), int(done * config.evaluations)
        if self.validation is not None and validations > self.position.validations:
            self._validate(self.validation)
            self.position.validations = validations
        if self.evaluate is not None and evaluations > self.position.evaluations:
            self._save_last()  # Whatever happens in the simulator, the training so far is safe.
            self._roll_out(self.evaluate)
            self.position.evaluations = evaluations
            self._save_last()
        if (kept := int(done * config.checkpoints)) > self.position.checkpoints:
            self.folder.keep(self.learner, self.position, self.metrics)
            self.position.checkpoints = kept
            self._save_last()
        self.meter.start()
        return done

    def after_step(self, scalars: dict[str, Tensor]) -> None:
        """Take what a step gave; raises NotFiniteError, and Interrupted where a signal has arrived."""
        config, position = self.learner.config, self.position
        self.meter.add(position.step, scalars)
        # On a GPU looking at a number waits for it, so there the log and the saves look.
        if self.learner.device.type == "cpu":
            self.meter.require_finite()
        position.step += 1
        position.elapsed_s = time.monotonic() - self._began
        if position.step % config.log_every == 0:
            self._log()
        if self.signals.received is not None or time.monotonic() - self._saved >= 60 * config.save_minutes:
            self._save_last()
        if time.monotonic() - self._shown >= SHOW_EVERY_S:
            self._show()
        self.signals.check()

    def finish(self) -> Result:
        """Save the end of the run; without rollouts `best` is what was trained last."""
        if len(self.meter):
            self._log()
        if self.position.best is None:
            self.folder.save_best(self.learner, self.position, self.metrics)
        self._save_last()
        self._show()
        return Result(self.position, self.metrics)

    def _validate(self, validation: Batches) -> None:
        policy = self.learner.ema.averaged()
        self._record(validate(policy, validation, self.learner.device))

    def _roll_out(self, evaluate: Evaluate) -> None:
        with self.signals.at_once():
            score = evaluate(self.learner.ema.averaged(), self.position.step)
        self._record({"rollout/success_rate": score.success_rate, "rollout/mean_score": score.mean_score})
        if score.beats(self.position.best):
            self.position.best = score
            self.folder.save_best(self.learner, self.position, self.metrics)
        self.position.elapsed_s = time.monotonic() - self._began

    def _log(self) -> None:
        self.meter.require_finite()
        learning_rate = self.learner.optimizer.param_groups[0]["lr"]
        found = self.learner.policy.diagnose()
        self._record({**self.meter.means(), "train/learning_rate": learning_rate, **found.figures})
        self.meter = Meter()
        if found.warnings and self.done >= WARN_FROM and not self._has_warned:
            self._has_warned = True
            for line in found.warnings:
                self.say(f"warning: {line}")

    def _record(self, row: dict[str, float]) -> None:
        self.metrics |= row
        self.logs.write(self.position.step, {"time_s": round(self.position.elapsed_s, 3), **row})
        self.position.log_rows += 1

    def _save_last(self) -> None:
        self.meter.require_finite()
        self.folder.save_last(self.learner, self.position, self.metrics)
        self._saved = time.monotonic()

    def _show(self) -> None:
        self._shown = time.monotonic()
        recent = self.meter.means() if len(self.meter) else self.metrics
        note = f"step {self.position.step}"
        if "train/loss" in recent:
            note += f", loss {recent['train/loss']:.4f}, {recent['train/steps_per_s']:.1f} steps/s"
        if recent.get("train/data_wait", 0.0) >= SHOWN_WAIT:
            note += f", {recent['train/data_wait']:.0%} of it waiting for data"
        if self.position.best is not None:
            note += f", best success {self.position.best.success_rate:.2f}"
        done = self.done
        self.bar.advance(100 * (done - self._shown_done), note)
        self._shown_done = done
