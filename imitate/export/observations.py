"""Observations to compare an export with its policy on: recorded ones where there are any."""

import itertools
import json
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from imitate.checkpoint import CheckpointInfo, LoadedPolicy
from imitate.datasets.loader import DataConfig, TrainingData, prepare
from imitate.datasets.opening import open_store
from imitate.datasets.window_loader import WindowLoader
from imitate.errors import ConfigError, DataError
from imitate.instruction import known
from imitate.parts import from_json
from imitate.policy import Policy
from imitate.progress import Progress
from imitate.rollout import recording, rollout
from imitate.runtime.manifest import SeenRange
from imitate.training.run import CONFIG

BATCH = 32
EPISODES, ROUNDS = 8, 4
"""Episodes that are rolled out at a time, and how many times at most."""

FIRST_SEED = 200_000
"""Seeds of training, validation and evaluation are below."""

MOST_VECTORS = 2048


@dataclass(frozen=True)
class Source:
    """Batches of observations {name: (B, To, …)} without end, what they are in words, and the data if any."""

    batches: Iterator[Mapping[str, Tensor]]
    description: str
    data: TrainingData | None = None


@contextmanager
def observations(
    loaded: LoadedPolicy, data: DataConfig | None, seen: Mapping[str, SeenRange], progress: Progress
) -> Iterator[Source]:
    """Windows of the demonstrations `data`; without, of rollouts; without an environment, drawn at random.

    Raises DataError where `data` are not the demonstrations that the policy was trained on.
    """
    if data is not None:
        found = demonstrations(loaded, data)
        yield Source(_windows(found.train), "windows of the demonstrations that it was trained on", found)
        return
    if loaded.info.env is None:
        text = "random observations in the range seen in training (no data.path was given)"
        yield Source(_drawn(loaded.policy, seen), text)
        return
    with tempfile.TemporaryDirectory() as folder:
        loaders = _rolled_out(loaded, Path(folder), progress)
        played = itertools.chain.from_iterable(_once(loader) for loader in loaders)
        yield Source(_again_and_again(played), "windows of its own rollouts (no data.path was given)")


def demonstrations(loaded: LoadedPolicy, data: DataConfig) -> TrainingData:
    """The training and held-out windows of `data`, split as in the run that the checkpoint lies in."""
    found = open_store(data.path).content_hash()
    if found != loaded.info.data_hash:
        raise DataError(
            f"data.path={data.path} is not what {loaded.file} was trained on: its content hash is "
            f"{found[:12]}…, expected {loaded.info.data_hash[:12]}…: name that store, or leave data.path out"
        )
    return _prepared(loaded.info, _as_in_training(loaded.file.parent / CONFIG, data))


def vectors(data: TrainingData) -> dict[str, np.ndarray]:
    """What observations.npz holds: single states of training and held-out windows, in physical units.

    train (n, D), held_out (m, D) float32, at most 2048 each, and columns (D,), their names. Images are
    left out.
    """
    keys = [key for key, array in data.spec.obs.items() if not array.is_image]
    columns = data.spec.states()
    return {
        "columns": np.array(columns, dtype=np.str_),
        "train": _states(data.train, keys),
        "held_out": _states(data.validation, keys, len(columns)),
    }


def _states(loader: WindowLoader | None, keys: list[str], size: int = 0) -> np.ndarray:
    if loader is None or not keys:
        return np.zeros((0, size), np.float32)
    count = min(MOST_VECTORS, len(loader))
    found: list[np.ndarray] = []
    for obs in itertools.islice(_windows(loader), -(-count // BATCH)):
        newest = [obs[key][:, -1].flatten(1).float() for key in keys]
        found.append(torch.cat(newest, dim=1).numpy())
    return np.concatenate(found)[:count]


def _as_in_training(config: Path, data: DataConfig) -> DataConfig:
    """`data` with what the run's own settings, if they lie there, say of which episodes were held out."""
    try:
        settings = from_json(json.loads(config.read_text())["data"], "data")
    except (OSError, ValueError, KeyError, TypeError, ConfigError):
        return data
    same = replace(settings, path=data.path, memory_gib=data.memory_gib)
    # A keep-list that is gone only decides what is compared.
    return same if same.keep is None or Path(same.keep).exists() else replace(same, keep=None)


def _prepared(info: CheckpointInfo, data: DataConfig) -> TrainingData:
    config = replace(data, obs=tuple(info.spec.obs), mirror=False, weighting="loss")
    return prepare(config, info.horizons, info.spec, BATCH, seed=0)


def _windows(loader: WindowLoader) -> Iterator[Mapping[str, Tensor]]:
    for step in itertools.count():
        yield loader.batch(step).obs


def _once(loader: WindowLoader) -> Iterator[Mapping[str, Tensor]]:
    return itertools.islice(_windows(loader), loader.batches_per_epoch)


def _again_and_again(batches: Iterator[Mapping[str, Tensor]]) -> Iterator[Mapping[str, Tensor]]:
    """All of `batches`, then the same again: fewer observations than asked for meet other noise."""
    kept = []
    for batch in batches:
        kept.append(batch)
        yield batch
    yield from itertools.cycle(kept)


def _rolled_out(loaded: LoadedPolicy, folder: Path, progress: Progress) -> Iterator[WindowLoader]:
    """Windows of episodes that the policy plays, some more whenever they are asked for."""
    env: Any = loaded.info.env_config()
    texts = known(loaded.policy.spec) or (None,)
    for turn in range(ROUNDS):
        path = folder / f"rollouts{turn}.zarr"
        first = FIRST_SEED + turn * EPISODES
        with recording(path, "rollouts for exporting") as record:
            seeds = range(first, first + EPISODES)
            rollout(
                loaded.policy,
                env,
                seeds,
                workers=0,
                batch=EPISODES,
                record=record,
                instruction=texts[turn % len(texts)],
                progress=progress,
            )
        yield _prepared(loaded.info, DataConfig(str(path), val_fraction=0.0)).train


def _drawn(policy: Policy, seen: Mapping[str, SeenRange]) -> Iterator[Mapping[str, Tensor]]:
    generator = torch.Generator().manual_seed(0)
    while True:
        yield {key: _random(policy, key, seen.get(key), generator) for key in policy.spec.obs}


def _random(policy: Policy, key: str, seen: SeenRange | None, generator: torch.Generator) -> Tensor:
    """One observation (B, To, …), evenly distributed over what was seen."""
    array = policy.spec.obs[key]
    shape = (BATCH, policy.horizons.obs_steps, *array.shape)
    if array.is_image:
        return torch.randint(0, 256, shape, dtype=torch.uint8, generator=generator)
    if seen is None or not seen.low:
        return torch.randn(shape, generator=generator)
    # The range of a set of points has one entry per channel, the last axis.
    across = (array.shape[-1],) if len(seen.low) == array.shape[-1] else array.shape
    low, high = (torch.tensor(bound).reshape(across) for bound in (seen.low, seen.high))
    return low + (high - low) * torch.rand(shape, generator=generator)
