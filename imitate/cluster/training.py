"""Training on the workers of a Ray: Ray Train starts them and replaces those that are lost.

After a loss all begin again from the run's `last` checkpoint, as many as there are then. The run's folder and
the data must be under the same path on every machine.
"""

import os
import shutil
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from imitate.checkpoint import LAST, read
from imitate.cluster.config import ClusterConfig
from imitate.cluster.group import torch_config
from imitate.cluster.pulse import Pulse, pulse
from imitate.cluster.reports import FILE, STOP, Reports
from imitate.cluster.session import session
from imitate.cluster.sharding import dealt, parts
from imitate.cluster.worker import take_part
from imitate.errors import ClusterError, ImitateError
from imitate.progress import SILENT, Progress
from imitate.training.interrupt import Interrupts, interrupts
from imitate.training.run import Position, Run, require_usable
from imitate.training.watch import Result

LOOK_EVERY_S = 0.5
PATIENCE = 3
"""A worker that is silent for timeout_s is lost, and others begin anew; this is for when they do not."""
STARTING_S = 180.0
"""What workers may need besides to end, start, import torch and read the data, in seconds."""

STORAGE = ".ray"
"""Ray Train wants a folder that all machines see; it is empty but for a mark, and goes with the command."""


def start_on_cluster(
    config: ClusterConfig, run: Run, out: Path, resume: bool = False, progress: Progress = SILENT
) -> Result:
    """Train as imitate.training.start.start does, on the workers of `config`.

    Raises what that raises, and ClusterError where the cluster is lost, or workers more often than
    `config.restarts`; the last checkpoint is then kept, and any number of workers goes on from it.
    """
    require_usable(out, run, resume)
    dealt(config.shards, 0, config.workers)
    parts(run.train.batch_size, config.shards)
    out = out.absolute()
    out.mkdir(parents=True, exist_ok=True)
    _clear(out)
    try:
        with (
            session(config) as ray,
            pulse(ray) as felt,
            interrupts() as signals,
            progress.task("train", 100.0, "%") as bar,
        ):
            reports = Reports(out / FILE, progress, bar)
            said = Fitting(config, _trainer(config, run, out)).wait(felt, reports, signals, out / STOP)
    except ClusterError as error:
        raise ClusterError(f"{error}; {_kept(out)}") from error
    finally:
        _clear(out)
    if isinstance(said, BaseException):
        raise said
    info, _ = read(out / LAST, "none/")
    return Result(Position.from_json(info.training), dict(info.metrics))


class Fitting:
    """Ray Train at work, in a thread that is left behind where Ray never answers again."""

    def __init__(self, config: ClusterConfig, trainer: Any) -> None:
        self._config, self._trainer = config, trainer
        self._result: Any = None
        self._error: Exception | None = None
        self._thread = threading.Thread(target=self._fit, daemon=True)
        self._thread.start()

    def wait(self, felt: Pulse, reports: Reports, signals: Interrupts, stop: Path) -> BaseException | None:
        """What the leader returned; raises ClusterError, and ImitateError where that ended a worker."""
        heard = time.monotonic()
        while self._thread.is_alive():
            self._thread.join(LOOK_EVERY_S)
            if reports.look():
                heard = time.monotonic()
            if signals.received is not None and not stop.exists():
                stop.write_text(str(signals.received))
            felt.require()
            if time.monotonic() - heard > PATIENCE * self._config.timeout_s + STARTING_S:
                raise ClusterError(
                    f"no sign of life for {PATIENCE} x cluster.timeout_s={self._config.timeout_s:g} s and "
                    f"{STARTING_S:g} s more: are {self._config.cpus:g} CPUs and {self._config.gpus:g} GPUs "
                    "per worker there at all?"
                )
        reports.look()
        if self._error is not None:
            felt.require()
            raise self._explained(self._error) from self._error
        said: BaseException | None = self._result.return_value
        return said

    def _fit(self) -> None:
        try:
            self._result = self._trainer.fit()
        except Exception as error:
            self._error = error

    def _explained(self, error: Exception) -> ImitateError:
        failures = list(_causes(error))
        for failure in failures:
            if isinstance(failure, ImitateError):
                return failure
        last = " ".join(str(failures[-1]).split()) if failures else type(error).__name__
        if not getattr(error, "worker_failures", {}):
            return ClusterError(f"Ray Train could not bring the workers together: {last[-300:]}")
        return ClusterError(
            f"workers were lost {self._config.restarts + 1} times (cluster.restarts="
            f"{self._config.restarts}), the last one with {last[-300:]}"
        )


def _causes(error: Exception) -> Iterator[BaseException]:
    """What ended the workers, or Ray's own part of the training, Ray's wrapping taken off."""
    controller = getattr(error, "controller_failure", None)
    for failure in [*getattr(error, "worker_failures", {}).values(), *([controller] if controller else [])]:
        yield getattr(failure, "_base_exc", failure)


def _clear(out: Path) -> None:
    shutil.rmtree(out / STORAGE, ignore_errors=True)
    for name in (FILE, STOP):
        (out / name).unlink(missing_ok=True)


def _kept(out: Path) -> str:
    if not (out / LAST).exists():
        return "nothing was saved yet"
    step = read(out / LAST, "none/")[0].step
    return f"kept: {out / LAST} of step {step}; resume=true goes on from there"


def _trainer(config: ClusterConfig, run: Run, out: Path) -> Any:
    limit = str(config.timeout_s)
    for name in ("WORKER_GROUP_START_TIMEOUT_S", "WORKER_HEALTH_CHECK_TIMEOUT_S", "COLLECTIVE_TIMEOUT_S"):
        os.environ[f"RAY_TRAIN_{name}"] = limit
    os.environ["RAY_CHDIR_TO_TRIAL_DIR"] = "0"
    from ray.train import FailureConfig, RunConfig, ScalingConfig
    from ray.train.torch import TorchTrainer

    workers = config.workers if config.min_workers == config.workers else (config.min_workers, config.workers)
    return TorchTrainer(
        take_part,
        train_loop_config={
            "run": run,
            "out": out,
            "shards": config.shards,
            "sharded": config.sharded,
            "folder": Path.cwd(),
        },
        torch_config=torch_config(max(1, round(config.timeout_s))),
        scaling_config=ScalingConfig(
            num_workers=workers,
            use_gpu=config.gpus > 0,
            resources_per_worker={"CPU": config.cpus} | ({"GPU": config.gpus} if config.gpus else {}),
        ),
        run_config=RunConfig(
            name="ray",
            storage_path=str(out / STORAGE),
            failure_config=FailureConfig(max_failures=config.restarts),
        ),
    )
