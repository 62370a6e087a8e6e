"""Filling a store with the demonstrations of a recipe."""

import itertools
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from imitate.collection.attempts import attempts
from imitate.collection.demonstrate import SOURCE, Recipe
from imitate.datasets.image_chunks import Storage
from imitate.datasets.store import DemoStore
from imitate.errors import ConfigError, DataError, EnvError
from imitate.parts import to_json
from imitate.progress import SILENT, Progress, Task
from imitate.types import DataSpec, Episode, require_match

HOPELESS = 100
"""Failures in a row after which collecting gives up."""


@dataclass
class Collected:
    """What came of a collection.

    Of the recipe's episodes `present` were in the store before and `added` are new; `failed` counts the
    attempts of this call that the expert lost, stored or not. episodes, steps: all that the store now holds.
    """

    present: int = 0
    added: int = 0
    failed: int = 0
    episodes: int = 0
    steps: int = 0


def collect(
    recipe: Recipe,
    episodes: int,
    seed: int,
    out: str | Path,
    *,
    append: bool = False,
    keep_failures: bool = False,
    workers: int = 0,
    storage: Storage = "lossless",
    progress: Progress = SILENT,
) -> Collected:
    """Make the store at `out` hold the first `episodes` demonstrations of `recipe` from `seed` on.

    Seeds are tried in order: seed, seed + 1, …; those at which the expert fails are passed over, unless
    `keep_failures`. With `append` an existing store is added to, and what it holds of this recipe and these
    seeds counts: repeating an interrupted call finishes it, and gives the same store as without interruption.
    At any time the store is valid and holds what was finished. `storage` says how a new one keeps images.

    Raises DataError where `out` exists without `append`, SpecError where it holds other observations or
    actions, EnvError where the environment has no such expert, or its expert fails 100 times in a row.
    """
    for name, value, least in (("episodes", episodes, 1), ("seed", seed, 0), ("workers", workers, 0)):
        if value < least:
            raise ConfigError(f"{name} is {value}, expected at least {least}")
    with closing(recipe.env.build()) as env:
        recipe.require_possible(env)
        spec = env.data_spec
    with closing(_Shelf(Path(out), spec, recipe, append, storage)) as shelf:
        made = attempts(recipe, seed, shelf.present.keys(), workers)
        with closing(made), progress.task("collect", episodes, "episodes") as task:
            tally = _fill(shelf, made, episodes, seed, keep_failures, task)
        tally.episodes, tally.steps = shelf.extent()
    return tally


def _fill(
    shelf: "_Shelf", made: Iterator[Episode], episodes: int, seed: int, keep_failures: bool, task: Task
) -> Collected:
    tally, failed_in_a_row = Collected(), 0
    for current in itertools.count(seed):
        before = tally.present + tally.added
        if before == episodes:
            return tally
        if current in shelf.present:
            tally.present += shelf.present[current] or keep_failures
        else:
            episode = next(made)
            tally.failed += not episode.success
            failed_in_a_row = 0 if episode.success else failed_in_a_row + 1
            if episode.success or keep_failures:
                shelf.add(episode)
                tally.added += 1
            elif failed_in_a_row == HOPELESS:
                raise EnvError(
                    f"the expert failed {HOPELESS} times in a row, up to seed {current}, after {before} "
                    "episodes: lower the noise, raise env.max_steps, or set keep_failures=true"
                )
        task.advance(tally.present + tally.added - before, f"{tally.failed} failed" if tally.failed else "")
    raise AssertionError("the seeds are endless")


class _Shelf:
    """The store, made with its first episode, so that nothing is left behind where there is none."""

    def __init__(self, path: Path, spec: DataSpec, recipe: Recipe, append: bool, storage: Storage) -> None:
        self._path, self._spec, self._recipe, self._storage = path, spec, recipe, storage
        self._store: DemoStore | None = None
        if path.exists():
            if not append:
                raise DataError(f"{path} already exists: choose another name, or add to it with append=true")
            self._store = DemoStore.open(path)
            require_match(self._store.spec, spec, str(path))
            require_match(spec, self._store.spec, str(path))
        self.present = self._present()

    def _present(self) -> dict[int, bool]:
        """{seed: success} of the episodes of the same recipe."""
        found, wanted = {}, self._recipe.to_json()
        for index in range(len(self._store) if self._store else 0):
            assert self._store is not None
            record = self._store.record(index)
            if wanted.items() <= record.metadata.items() and "seed" in record.metadata:
                found[int(record.metadata["seed"])] = bool(record.success)
        return found

    def add(self, episode: Episode) -> None:
        """Append; what is appended stays, whatever happens next."""
        if self._store is None:
            env = to_json(self._recipe.env)
            self._store = DemoStore.create(self._path, self._spec, SOURCE, {"env": env}, self._storage)
        self._store.append(episode)

    def extent(self) -> tuple[int, int]:
        """Episodes and steps of the whole store."""
        return (len(self._store), self._store.steps) if self._store else (0, 0)

    def close(self) -> None:
        """Let others write."""
        if self._store:
            self._store.close()
