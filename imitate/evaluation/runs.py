"""Several rollouts and the training behind each, read from run folders to be set side by side."""

import json
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import takewhile
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open

from imitate.checkpoint import CheckpointInfo, checkpoint_file, checkpoint_hash, read
from imitate.errors import CheckpointError, ConfigError
from imitate.evaluation.checkpoints import FIGURES
from imitate.evaluation.page_settings import dotted, mapping, read_config
from imitate.evaluation.result import FILE_NAME, RolloutResult, load
from imitate.progress import Progress
from imitate.training.logs import LOG, read_log
from imitate.training.run import CONFIG

ROLLOUT, TRAIN = "rollout", "train"
"""Folder names that say nothing beside the folder they lie in."""
SUCCESS = "rollout/success_rate"
TRAINING_SEEDS = frozenset({"train.seed", "data.split_seed"})
NO_MATTER = frozenset({"rollout.workers"})
"""Settings that change how long a rollout takes, but not what comes of it."""


@dataclass(frozen=True)
class Training:
    """What a run folder says: `config` as parts, the `rows` of its log; and of the checkpoint that acted,
    its description and how many numbers were learnt.

    played: of rollouts of the checkpoints that were kept, rows of step, SUCCESS and episodes; empty where
    there are none. info and parameters are None where the checkpoint is gone or another by now; `note` then
    says so.
    """

    folder: Path
    config: Mapping[str, Any]
    rows: Sequence[Mapping[str, float]]
    played: Sequence[Mapping[str, float]]
    info: CheckpointInfo | None
    parameters: int | None
    note: str = ""

    @property
    def minutes(self) -> float | None:
        """How long training took."""
        times = [row["time_s"] for row in self.rows if "time_s" in row]
        return max(times) / 60 if times else None


@dataclass(frozen=True)
class Entry:
    """One rollout to be set beside others, the `number`-th; `label` tells it from them.

    training is None where the folder of the run is not known.
    """

    number: int
    label: str
    file: Path
    result: RolloutResult
    training: Training | None

    def settings(self) -> dict[str, Any]:
        """Everything that was chosen for training and rollout, by full key: "policy.train_steps"."""
        origin, config = self.result.provenance, self.training.config if self.training else {}
        parts = {**config, **{key: origin[key] for key in ("policy", "env", "rollout") if key in origin}}
        known = {key: value for key, value in dotted(parts).items() if key not in NO_MATTER}
        return known | ({"data.hash": origin["data_hash"]} if origin.get("data_hash") else {})

    def made_with(self) -> dict[str, Any]:
        """Commits, device and versions."""
        keys = ("commit", "training_commit", "device", "versions")
        return dotted({key: self.result.provenance.get(key) for key in keys})

    def video(self, seed: int) -> Path | None:
        """The video of `seed`, None where there is none in the folder of the result."""
        name = self.result.videos.get(seed)
        file = (self.file.parent / name).resolve() if name else None
        # A result may come from elsewhere; what it names outside its folder has no business in a page.
        inside = file is not None and file.is_relative_to(self.file.parent.resolve())
        return file if file and inside and file.suffix == ".mp4" and file.is_file() else None


def read_entries(paths: Sequence[str], progress: Progress) -> tuple[Entry, ...]:
    """The rollouts of `paths`: run folders, folders of rollouts, or rollout.json files, in this order.

    Raises ConfigError where a path holds none or one is named twice, and DataError for a damaged one.
    """
    if not paths:
        raise ConfigError("runs is empty, expected run folders: imitate page runs/a runs/b")
    files: dict[Path, str] = {}
    for path in paths:
        for file in _rollout_files(Path(path)):
            if (known := files.get(file)) is not None:
                both = (
                    f"{path} is named twice" if known == path else f"{known} and {path} hold the same rollout"
                )
                raise ConfigError(f"runs: {both} ({file}): name each rollout once")
            files[file] = path
    trainings: dict[tuple[Path, object], Training] = {}
    entries: list[Entry] = []
    with progress.task("read", len(files), "rollouts") as task:
        for file, label in zip(files, labels([file.parent for file in files]), strict=True):
            result = load(file)
            folder = _training_folder(file, result)
            key = (folder, result.provenance.get("checkpoint_hash")) if folder else None
            if key and folder and key not in trainings:
                trainings[key] = _training(folder, result)
            entries.append(Entry(len(entries), label, file, result, trainings[key] if key else None))
            task.advance()
    return tuple(entries)


def _rollout_files(path: Path) -> list[Path]:
    """The rollout.json files that `path` means; the one in a folder `rollout` comes first."""
    if not path.exists():
        raise ConfigError(f"runs: {path} does not exist")
    if path.is_file():
        return [path.resolve()]
    inner = sorted(path.glob(f"*/{FILE_NAME}"), key=lambda file: (file.parent.name != ROLLOUT, file))
    files = [file for file in (path / FILE_NAME, *inner) if file.is_file() and not _hidden(file.parent)]
    if not files:
        raise ConfigError(
            f"runs: {path} holds no {FILE_NAME}, nor does a folder in it: run  "
            f"imitate rollout checkpoint={path} out={path / ROLLOUT}  first"
        )
    return list(dict.fromkeys(file.resolve() for file in files))


def _hidden(folder: Path) -> bool:
    return folder.name.startswith(".")


def labels(folders: Sequence[Path]) -> list[str]:
    """Short names that tell `folders` apart: without what they all begin with, and without "rollout"."""
    named = [folder.parts[:-1] if folder.name == ROLLOUT else folder.parts for folder in folders]
    if len(set(named)) < len(named):
        named = [folder.parts for folder in folders]
    # One part of each at least is its name.
    shared = len(list(takewhile(lambda parts: len(set(parts)) == 1, zip(*named, strict=False))))
    shared = min(shared, *(len(parts) - 1 for parts in named), len(named[0]) - 1)
    return ["/".join(parts[shared:]) for parts in named]


def _training_folder(file: Path, result: RolloutResult) -> Path | None:
    """The run that made the policy: around the rollout, beside it, or where the result says it was."""
    named = Path(str(result.provenance.get("checkpoint") or "?/?")).parent.resolve()
    # A kept checkpoint lies in a folder of the run.
    origin = (named, named.parent)
    around = (file.parent, file.parent.parent, file.parent / TRAIN, file.parent.parent / TRAIN, *origin)
    # A checkpoint from elsewhere may have been rolled out into the folder of a run.
    likely = sorted(around, key=lambda folder: folder.resolve() not in origin)
    return next((folder.resolve() for folder in likely if (folder / CONFIG).is_file()), None)


def _training(folder: Path, result: RolloutResult) -> Training:
    config = read_config(folder)
    rows = read_log(folder / LOG) if (folder / LOG).is_file() else []
    played = _played(folder)
    try:
        named = Path(str(result.provenance.get("checkpoint")))
        file = checkpoint_file(named if named.is_file() else folder / named.name)
        wanted = result.provenance.get("checkpoint_hash")
        if wanted and wanted != checkpoint_hash(file):
            raise CheckpointError(f"{file} has changed since this rollout, so its curves may be another's")
        info, _ = read(file, "none/")
        return Training(folder, config, rows, played, info, parameters(file, info))
    except (CheckpointError, SafetensorError, OSError) as error:
        return Training(folder, config, rows, played, None, None, str(error))


def _played(folder: Path) -> list[dict[str, float]]:
    """Success of the kept checkpoints, where these were rolled out into a folder of the run."""
    for file in sorted(folder.glob(f"*/{FIGURES}")):
        try:
            found = json.loads(file.read_text(encoding="utf-8"))["checkpoints"]
            return [
                {"step": one["step"], SUCCESS: one["success_rate"], "episodes": one["episodes"]}
                for one in found
            ]
        except (OSError, ValueError, KeyError, TypeError):
            continue
    return []


def parameters(file: Path, info: CheckpointInfo) -> int:
    """How many numbers a checkpoint's policy holds, normalisers left out; weights are not read."""
    with safe_open(file, "pt") as tensors:
        names = [name for name in tensors.keys() if name.startswith("ema/")]  # noqa: SIM118
        inner = {name: name.removeprefix("ema/") for name in names}
        fixed = tuple(f"{name}." for name in info.normalizers)
        kept = [name for name in names if not inner[name].startswith(fixed)]
        return sum(math.prod(tensors.get_slice(name).get_shape()) for name in kept)


def arenas(entries: Iterable[Entry], same_env: bool) -> list[list[Entry]]:
    """The entries that played in the same environment, where a seed means the same start."""
    found: dict[str, list[Entry]] = {}
    for entry in entries:
        key = str(sorted(dotted(mapping(entry.result.provenance.get("env"))).items())) if same_env else ""
        found.setdefault(key, []).append(entry)
    return list(found.values())


def seed_groups(entries: Iterable[Entry]) -> list[list[Entry]]:
    """Entries whose settings and played seeds are the same, and whose training seeds are not.

    Groups of one are the entries that stand alone, and those of which a training seed occurs twice.
    """
    found: dict[str, list[Entry]] = {}
    for entry in entries:
        settings = entry.settings()
        fixed = sorted((key, str(value)) for key, value in settings.items() if key not in TRAINING_SEEDS)
        played = [episode.seed for episode in entry.result.episodes]
        trained = entry.training is not None and "train.seed" in settings
        found.setdefault(str((fixed, played) if trained else entry.file), []).append(entry)
    groups = []
    for group in found.values():
        seeds = {str(sorted((k, v) for k, v in e.settings().items() if k in TRAINING_SEEDS)) for e in group}
        groups += [group] if len(seeds) == len(group) else [[entry] for entry in group]
    return groups
