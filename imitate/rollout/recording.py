"""Rollouts kept as a store of episodes: what each one saw and did, for measures that learn from rollouts.

The process that holds an environment writes each finished episode to a file of its own, since episodes end in
any order and may hold many images. When all are played they are appended to the store in the order of seeds.
"""

import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from imitate.datasets.store import DemoStore
from imitate.errors import DataError
from imitate.rollout.host import EpisodeResult
from imitate.rollout.steps import TASK, read_steps, read_task, steps_file
from imitate.types import DataSpec, Episode

STORE = "rollouts.zarr"


@dataclass(frozen=True)
class Recording:
    """A store in the making. `folder` holds the files of finished episodes and the store until it is whole.

    source and metadata go to the store, source also to every episode.
    """

    folder: Path
    source: str
    metadata: Mapping[str, Any] = field(default_factory=dict)

    def gather(self, episodes: Sequence[EpisodeResult], spec: DataSpec) -> None:
        """Make the store of the `episodes`, in this order; their files are used up."""
        with DemoStore.create(self.folder / STORE, spec, self.source, self.metadata) as store:
            for result in episodes:
                file = steps_file(self.folder, result.seed)
                store.append(self._episode(file, result, spec))
                file.unlink()

    def _episode(self, file: Path, result: EpisodeResult, spec: DataSpec) -> Episode:
        obs, action = read_steps(file, spec)
        task = read_task(file)
        return Episode(
            id=f"rollout-seed{result.seed}",
            obs=obs,
            action=action,
            success=result.success,
            source=self.source,
            rate_hz=spec.rate_hz,
            metadata={"seed": result.seed, "score": result.score, **({TASK: task} if task else {})},
        )


@contextmanager
def recording(path: Path, source: str, metadata: Mapping[str, Any] | None = None) -> Iterator[Recording]:
    """A Recording whose store is moved to `path` when the block succeeds; otherwise nothing is left behind.

    Raises DataError where `path` exists already.
    """
    path = path.absolute()
    if path.exists():
        raise DataError(f"{path} already exists: rollouts are recorded to a new store, give another  record=")
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=f".{path.name}.unfinished-", dir=path.parent) as folder:
        yield Recording(Path(folder), source, metadata or {})
        (Path(folder) / STORE).replace(path)
