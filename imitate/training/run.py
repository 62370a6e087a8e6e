"""A run and its folder: what defines it, where it stands, and how it is picked up again.

config.json         the settings, as parts
log.jsonl, tb/      the numbers over the run
last.safetensors    where the run stands; everything needed to go on
best.safetensors    the averaged weights with the highest rollout success so far
checkpoints/        the averaged weights now and then, where train.checkpoints asks for it
"""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

from imitate.checkpoint import BEST, LAST, CheckpointInfo, describe, read, save
from imitate.datasets.loader import DataConfig
from imitate.datasets.used_seeds import SELECTION, UsedSeeds
from imitate.env import EnvConfig
from imitate.errors import CheckpointError, ConfigError
from imitate.parts import TARGET, to_json
from imitate.policy import Policy, PolicyConfig
from imitate.training.config import TrainConfig
from imitate.training.learner import Learner
from imitate.training.optimizer import AdamWConfig

CONFIG = "config.json"
KEPT = "checkpoints"

# These may differ when a run is resumed: the machine may be another, and the data is known by its hash.
FREE_KEYS = {
    "train.device",
    "train.log_every",
    "train.save_minutes",
    "train.eval_workers",
    "train.wandb",
    "train.checkpoints",
    "data.path",
}


@dataclass(frozen=True)
class Run:
    """Everything that defines a run. env is None where there is no simulator."""

    policy: PolicyConfig
    env: EnvConfig | None
    data: DataConfig
    optim: AdamWConfig
    train: TrainConfig

    def to_json(self) -> dict[str, Any]:
        """The settings as plain JSON."""
        return {f.name: to_json(getattr(self, f.name)) for f in fields(self)}

    def seeds(self) -> dict[str, int]:
        """Where all randomness of the run comes from."""
        return {
            "train": self.train.seed,
            "split": self.data.split_seed,
            "evaluation": self.train.eval_seed,
        }

    def selection_seeds(self) -> tuple[UsedSeeds, ...]:
        """The starts on which the best checkpoint is chosen."""
        if self.env is None or not self.train.evaluations:
            return ()
        seeds = range(self.train.eval_seed, self.train.eval_seed + self.train.eval_episodes)
        return (UsedSeeds.of(SELECTION, to_json(self.env)[TARGET], seeds),)


@dataclass(frozen=True)
class Score:
    """What rollouts of the policy came to; compared by success rate first, by mean score in a tie."""

    success_rate: float
    mean_score: float
    step: int

    def beats(self, other: "Score | None") -> bool:
        """Whether this is at least as good as an earlier score."""
        if other is None:
            return True
        return (self.success_rate, self.mean_score) >= (other.success_rate, other.mean_score)


@dataclass
class Position:
    """Where a run stands: the steps and seconds done, how often it was watched, the best score so far."""

    step: int = 0
    elapsed_s: float = 0.0
    validations: int = 0
    evaluations: int = 0
    checkpoints: int = 0
    best: Score | None = None
    log_rows: int = 0

    def to_json(self) -> dict[str, Any]:
        """A dictionary of plain JSON values; `from_json` is its inverse."""
        return asdict(self)

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> "Position":
        """Read what `to_json` wrote; raises TypeError where malformed."""
        best = value.get("best")
        return cls(**{**value, "best": None if best is None else Score(**best)})


def require_usable(path: Path, run: Run, resume: bool) -> None:
    """Raise ConfigError where `path` holds a run and `resume` is false, or a run with other settings."""
    if not (path / LAST).exists():
        return
    if not resume:
        raise ConfigError(
            f"out={path} already holds a run: add resume=true to continue it, or choose another out="
        )
    _require_same_settings(path / CONFIG, run.to_json())


class RunFolder:
    """The folder of `run`, trained on data with the content hash `data_hash` that began at `used_seeds`."""

    def __init__(
        self, path: Path, run: Run, data_hash: str, used_seeds: tuple[UsedSeeds, ...] | None = None
    ) -> None:
        self.path, self.run, self.data_hash = path, run, data_hash
        self.used_seeds = None if used_seeds is None else (*used_seeds, *run.selection_seeds())

    def open(self, learner: Learner, resume: bool) -> Position:
        """Make the folder, or with `resume` bring `learner` to where the run in it stands.

        Raises what `require_usable` raises, and CheckpointError where the last checkpoint does not fit.
        """
        require_usable(self.path, self.run, resume)
        self.path.mkdir(parents=True, exist_ok=True)
        _write_whole(self.path / CONFIG, json.dumps(self.run.to_json(), indent=2) + "\n")
        return self.position(learner)

    def position(self, learner: Learner) -> Position:
        """Bring `learner` to where the run stands, at its beginning without a last checkpoint."""
        return self._restore(learner) if (self.path / LAST).exists() else Position()

    def _restore(self, learner: Learner) -> Position:
        file = self.path / LAST
        info, tensors = read(file)
        if info.data_hash != self.data_hash:
            raise CheckpointError(
                f"checkpoint {file}: trained on data with hash {info.data_hash}, "
                f"but the data is now {self.data_hash}"
            )
        try:
            position = Position.from_json(info.training)
        except TypeError as error:
            raise CheckpointError(f"checkpoint {file} does not say where its run stands: {error}") from error
        learner.restore(file, tensors)
        return position

    def save_last(self, learner: Learner, position: Position, metrics: Mapping[str, float]) -> None:
        """Save all that is needed to go on from `position`."""
        info = self._describe(learner.policy, position, metrics)
        save(self.path / LAST, learner.tensors(with_optimizer=True), info)

    def save_best(self, learner: Learner, position: Position, metrics: Mapping[str, float]) -> None:
        """Save the weights as the best so far."""
        info = self._describe(learner.policy, position, metrics)
        save(self.path / BEST, learner.tensors(with_optimizer=False), info)

    def keep(self, learner: Learner, position: Position, metrics: Mapping[str, float]) -> None:
        """Save the averaged weights under the number of the step."""
        info = self._describe(learner.policy, position, metrics)
        tensors = learner.tensors(with_optimizer=False)
        (self.path / KEPT).mkdir(exist_ok=True)
        file = self.path / KEPT / f"step_{position.step:08d}.safetensors"
        save(file, {name: value for name, value in tensors.items() if name.startswith("ema/")}, info)

    def kept(self) -> str:
        """What a run that cannot go on leaves behind, for a person."""
        if not (self.path / LAST).exists():
            return "nothing was saved yet"
        return f"kept: {self.path / LAST} of step {read(self.path / LAST, 'none/')[0].step}"

    def _describe(self, policy: Policy, position: Position, metrics: Mapping[str, float]) -> CheckpointInfo:
        return describe(
            self.run.policy,
            policy,
            self.run.env,
            data_hash=self.data_hash,
            seeds=self.run.seeds(),
            step=position.step,
            metrics=metrics,
            training=position.to_json(),
            used_seeds=self.used_seeds,
        )


def kept_checkpoints(folder: Path | str) -> list[Path]:
    """The checkpoints that the run in `folder` kept over time, in the order of their steps.

    Raises CheckpointError where there are none.
    """
    files = sorted((Path(folder) / KEPT).glob("step_*.safetensors"))
    if not files:
        raise CheckpointError(
            f"checkpoint={folder} holds no checkpoints over time ({KEPT}/step_….safetensors): train with "
            "train.checkpoints=50  to keep some"
        )
    return files


def _require_same_settings(file: Path, now: Mapping[str, Any]) -> None:
    """Raise ConfigError naming the first key in which `now` differs from the settings stored in `file`."""
    try:
        then = json.loads(file.read_text())
    except (OSError, ValueError) as error:
        raise ConfigError(f"{file} is missing or damaged, so the run cannot be resumed: {error}") from error
    before, after = _flat(then), _flat(now)
    for key in sorted({*before, *after} - FREE_KEYS):
        if before.get(key) != after.get(key):
            found, expected = json.dumps(after.get(key)), json.dumps(before.get(key))
            raise ConfigError(
                f"{key} is {found}, but the run to resume has {expected} ({file}): "
                "repeat its settings, or choose another out="
            )


def _flat(value: Any, prefix: str = "") -> dict[str, Any]:
    """Nested dictionaries and lists as one level of dotted keys."""
    if isinstance(value, Mapping):
        items = [(str(key), item) for key, item in value.items()]
    elif isinstance(value, list):
        items = [(str(index), item) for index, item in enumerate(value)]
    else:
        return {prefix: value}
    merged: dict[str, Any] = {}
    for key, item in items:
        merged |= _flat(item, f"{prefix}.{key}" if prefix else key)
    return merged


def _write_whole(path: Path, text: str) -> None:
    unfinished = path.with_name(f".{path.name}.unfinished")
    unfinished.write_text(text)
    unfinished.replace(path)
