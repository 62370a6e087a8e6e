"""From a store to training batches: which episodes, which observations, moved and mirrored how."""

import dataclasses
from dataclasses import dataclass
from pathlib import Path
from typing import get_args

import numpy as np

from imitate.alignment import Alignment
from imitate.datasets.aligned_rows import aligned
from imitate.datasets.episode_store import ACTION, EpisodeStore
from imitate.datasets.hindsight import Hindsight
from imitate.datasets.keep_list import Selection, everything, read_keep_list
from imitate.datasets.mixture_loading import (
    brought_together,
    statistics_of,
    store_of_episodes,
)
from imitate.datasets.opening import open_store
from imitate.datasets.rows import open_rows
from imitate.datasets.used_seeds import UsedSeeds, seeds_of
from imitate.datasets.window_loader import EpisodeFacts, Weighting, WindowLoader
from imitate.datasets.windows import WindowSampler
from imitate.errors import ConfigError, DataError, SpecError, nearest
from imitate.instruction import sentences
from imitate.normalize import Statistics
from imitate.policy import Horizons
from imitate.progress import SILENT, Progress
from imitate.symmetry import Mirror
from imitate.types import DataSpec, require_match


@dataclass(frozen=True)
class DataConfig:
    """Which demonstrations to learn from.

    path: store, view, mixture, replay buffer or .zarr.zip. keep: a keep-list. obs: names of the
    observations to use (empty: all that the environment has, and sentences; without an environment, all but
    images).
    val_fraction: share of the episodes kept for validation, at least one where it is not 0. split_seed:
    which ones. weighting: how the weights of a keep-list act, on the "loss" of a window or on how often it is
    drawn ("sampling"). mirror: train on the mirror image of a random half of the windows, where the
    environment has such a symmetry. align: move each demonstration so that it ends exactly at the goal, where
    the environment says how. hindsight: share of the training windows that are moved so that they reach the
    goal within their next steps, likewise. memory_gib: rows are held in memory, decoded, as far as they fit
    into this; the rest is read from disk batch by batch.
    """

    path: str
    keep: str | None = None
    obs: tuple[str, ...] = ()
    val_fraction: float = 0.02
    split_seed: int = 0
    weighting: Weighting = "loss"
    mirror: bool = False
    align: bool = False
    hindsight: float = 0.0
    memory_gib: float = 4.0

    def __post_init__(self) -> None:
        if not self.path:
            raise ConfigError("data.path is empty, expected a store, e.g. data.path=demos.zarr")
        if not 0.0 <= self.val_fraction < 1.0:
            raise ConfigError(f"data.val_fraction is {self.val_fraction}, expected a share from 0 to below 1")
        if self.weighting not in get_args(Weighting):
            found = f"data.weighting is {self.weighting!r}{nearest(self.weighting, get_args(Weighting))}"
            raise ConfigError(found)
        if self.split_seed < 0:
            raise ConfigError(f"data.split_seed is {self.split_seed}, expected 0 or more")
        if not 0.0 <= self.hindsight <= 1.0:
            raise ConfigError(f"data.hindsight is {self.hindsight}, expected a share from 0 to 1")
        if self.memory_gib < 0:
            raise ConfigError(f"data.memory_gib is {self.memory_gib}, expected 0 or more")


@dataclass(frozen=True)
class TrainingData:
    """What training needs of the data. `train_episodes` and `val_episodes` are indices into the store."""

    train: WindowLoader
    validation: WindowLoader | None
    statistics: Statistics
    spec: DataSpec
    data_hash: str
    train_episodes: tuple[int, ...]
    val_episodes: tuple[int, ...]
    used_seeds: tuple[UsedSeeds, ...] = ()

    def with_outcome(self) -> "TrainingData":
        """The same data with loaders that also tell what came of the actions."""
        validation = None if self.validation is None else self.validation.with_outcome()
        return dataclasses.replace(self, train=self.train.with_outcome(), validation=validation)


def prepare(
    config: DataConfig,
    horizons: Horizons,
    expected: DataSpec | None,
    batch_size: int,
    seed: int,
    mirror: Mirror | None = None,
    alignment: Alignment | None = None,
    progress: Progress = SILENT,
) -> TrainingData:
    """Open, check, split and measure the data of `config`, and make its loaders.

    `expected` is the environment's spec: it names the observations to use and fills in what the data does
    not say; `mirror` is its symmetry, and `alignment` how its demonstrations may be moved. Raises SpecError
    where the two disagree, DataError for unusable data, ConfigError where data.mirror or data.align asks for
    what the environment does not have.
    """
    store = open_store(config.path, progress)
    spec = _used_spec(store, config, expected)
    if config.mirror:
        if mirror is None:
            raise ConfigError(
                "data.mirror is true, but the environment has no mirror symmetry: set it to false"
            )
        mirror.require(spec.obs)
    data_hash = store.content_hash()
    chosen = everything(store) if config.keep is None else read_keep_list(Path(config.keep), store, data_hash)
    train, validation = split_episodes(chosen, store, config)
    # Without weight it is as good as left out.
    train = [e for e in train if chosen.weights[_rows(store, e)].any()]
    if not train:
        raise DataError(f"{config.path}: no episodes to train on; there are {len(store)}, none is kept")
    names = [*spec.obs, ACTION]
    states = [name for name in names if name == ACTION or not spec.obs[name].is_image]
    statistics, own = statistics_of(store, states, train)
    rows = brought_together(open_rows(store, names, config.memory_gib), store, own)
    hindsight = None
    if config.align or config.hindsight:
        if alignment is None:
            asked = "align is true" if config.align else f"hindsight is {config.hindsight}"
            raise ConfigError(f"data.{asked}, but the environment knows no alignment: leave it out")
        if config.align:
            rows = aligned(rows, store, alignment, spec.action)
        if config.hindsight:
            hindsight = Hindsight(rows, alignment, spec.action, config.hindsight)
    facts = EpisodeFacts.of(store, chosen.weights)

    def loader(episodes: list[int]) -> WindowLoader:
        counts = facts.weights > 0
        sampler = WindowSampler(store.episode_ends, horizons.obs_steps, horizons.pred_steps, episodes, counts)
        mirrored = mirror if config.mirror else None
        return WindowLoader(
            rows, sampler, facts, batch_size, seed, mirrored, config.weighting, store, hindsight
        )

    return TrainingData(
        train=loader(train),
        validation=loader(validation) if validation else None,
        statistics=statistics,
        spec=spec,
        data_hash=data_hash,
        train_episodes=tuple(train),
        val_episodes=tuple(validation),
        used_seeds=seeds_of(store, [*train, *validation]),
    )


def split_episodes(chosen: Selection, store: EpisodeStore, config: DataConfig) -> tuple[list[int], list[int]]:
    """Indices for training and for validation, ascending; of a mixture, a share of each of its stores.

    The order is drawn over all episodes of the store, so that a keep-list changes as few as possible.
    """
    kept, origin = set(chosen.episodes), store_of_episodes(store)
    order = [
        e for e in np.random.default_rng(config.split_seed).permutation(len(store)).tolist() if e in kept
    ]
    train: list[int] = []
    validation: list[int] = []
    for number in np.unique(origin):
        of_one = [e for e in order if origin[e] == number]
        held_out = 0
        if config.val_fraction > 0 and len(of_one) >= 2:
            held_out = min(max(1, round(config.val_fraction * len(of_one))), len(of_one) - 1)
        validation += of_one[:held_out]
        train += of_one[held_out:]
    return sorted(train), sorted(validation)


def _rows(store: EpisodeStore, episode: int) -> slice:
    stop = int(store.episode_ends[episode])
    return slice(stop - store.record(episode).steps, stop)


def _used_spec(store: EpisodeStore, config: DataConfig, expected: DataSpec | None) -> DataSpec:
    if expected is None:
        names = config.obs or tuple(key for key, array in store.spec.obs.items() if not array.is_image)
        return store.spec.select(names)
    told = {key: array for key, array in sentences(store.spec).items() if key not in expected.obs}
    expected = dataclasses.replace(expected, obs={**expected.obs, **told})
    wanted = expected.select(config.obs) if config.obs else expected
    spec = store.spec.filled_from(wanted)
    try:
        require_match(spec, wanted, config.path)
    except SpecError as error:
        raise SpecError(f"{error}{_renaming(spec, wanted, config.path)}") from None
    return spec.select(tuple(wanted.obs))


def _renaming(found: DataSpec, wanted: DataSpec, path: str) -> str:
    """How to have an observation that is missing, if just one that is not used has its shape."""
    missing = [key for key in wanted.obs if key not in found.obs]
    unused = [key for key in found.obs if key not in wanted.obs]
    pairs = [(a, b) for a in unused for b in missing if found.obs[a].shape == wanted.obs[b].shape]
    if len(pairs) != 1:
        return ""
    old, new = pairs[0]
    return (
        f": if {old!r} is the same, imitate data rename data.path={path} "
        f"'observations={{{old}: {new}}}' out=renamed.view.json, and train with that view"
    )
