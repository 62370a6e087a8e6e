"""imitate train: train a policy on demonstrations, and keep the checkpoint that acts best.

    imitate train policy=diffusion env=tabletop/pick_place data.path=demos.zarr out=runs/x

writes to runs/x: best.safetensors (highest rollout success), last.safetensors (to go on from), config.json
and log.jsonl. Ctrl-C or SIGTERM finishes the step, saves and ends with exit code 130 or 143; the same command
with resume=true goes on as if nothing had happened.

Keys:
    policy              what to train: see  imitate list;  its settings are policy.…
    env                 the environment: names the observations, and rolls out; env=null for data alone
    data.path           demonstrations: a store or a replay buffer;  data.keep=keep.json for a keep-list
    optim               adamw: optim.lr, optim.weight_decay, …
    train.max_minutes   training ends with whichever limit comes first; null for none
    train.max_steps
    train.batch_size, train.seed, train.device, train.precision, train.compile
    train.evaluations   how many times, evenly over the run, to roll out; 0: never;  train.eval_episodes
    train.checkpoints   how many times, evenly over the run, to keep the weights; 0: only best and last
    train.validations   how many times to log loss and action error on held-out episodes
    train.wandb         project at Weights & Biases to log to
    out                 the folder of the run
    cluster             ray: train on the workers of a Ray (cluster.workers=4); see docs/scaling.md
    resume              true: continue the run in `out`, whose settings must be the same
"""

import shlex
import sys
from dataclasses import dataclass
from pathlib import Path

from imitate.checkpoint import BEST
from imitate.cli.command import Outcome
from imitate.cluster.config import ClusterConfig
from imitate.cluster.training import start_on_cluster
from imitate.datasets.loader import DataConfig
from imitate.env import EnvConfig
from imitate.policy import PolicyConfig
from imitate.progress import Progress
from imitate.training.config import TrainConfig
from imitate.training.interrupt import Interrupted
from imitate.training.optimizer import AdamWConfig
from imitate.training.run import Run
from imitate.training.start import completed, start
from imitate.training.watch import Result


@dataclass(frozen=True)
class TrainCommand:
    """The settings of `imitate train`; see the module."""

    policy: PolicyConfig
    data: DataConfig
    optim: AdamWConfig
    train: TrainConfig
    out: str
    env: EnvConfig | None = None
    resume: bool = False
    cluster: ClusterConfig | None = None

    def run(self, progress: Progress) -> Outcome:
        """Train, and say where the best checkpoint is. Ends the process with 130 or 143 when interrupted."""
        out = Path(self.out)
        try:
            run = completed(Run(self.policy, self.env, self.data, self.optim, self.train))
            if self.cluster is None:
                result = start(run, out, self.resume, progress)
            else:
                result = start_on_cluster(self.cluster, run, out, self.resume, progress)
        except Interrupted as stop:
            progress.say(f"stopped by {stop}; to go on:  {self._again()}")
            sys.exit(128 + stop.number)
        return Outcome(_summary(result, out), _lines(result, out, "" if self.env else " env=…"))

    def _again(self) -> str:
        words = [word for word in sys.argv[1:] if not word.startswith("resume=")]
        return shlex.join(["imitate", *words, "resume=true"])


def _summary(result: Result, out: Path) -> dict[str, object]:
    position = result.position
    return {
        "out": str(out),
        "checkpoint": str(out / BEST),
        "steps": position.step,
        "minutes": position.elapsed_s / 60,
        "best": position.to_json()["best"],
        "metrics": result.metrics,
    }


def _lines(result: Result, out: Path, env: str) -> list[str]:
    position, best = result.position, result.position.best
    chosen = (
        "the last weights, since there were no rollouts to choose by"
        if best is None
        else f"success {best.success_rate:.2f}, score {best.mean_score:.3f} after {best.step} steps"
    )
    return [
        f"trained   {position.step} steps in {position.elapsed_s / 60:.1f} minutes",
        f"best      {out / BEST}: {chosen}",
        f"next      imitate rollout checkpoint={out} episodes=50 seed=100000 out={out / 'rollout'}{env}",
    ]
