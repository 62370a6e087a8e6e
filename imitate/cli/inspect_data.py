"""imitate inspect: what a store of demonstrations holds.

    imitate inspect data.path=demos.zarr
    imitate inspect data.path=demos.zarr verify=true

shows episodes, steps, every array with its units and range, and the content hash that keep-lists and
checkpoints refer to. Reads stores of imitate and Diffusion Policy's replay buffers.

Keys:
    data.path    the store
    verify       read every number and, in stores of imitate, compare it with what was written
"""

from dataclasses import dataclass
from typing import Any

import numpy as np

from imitate.cli.command import Outcome
from imitate.datasets.episode_store import ACTION, EpisodeStore
from imitate.datasets.loader import DataConfig
from imitate.datasets.opening import open_store
from imitate.errors import DataError
from imitate.progress import Progress
from imitate.types import ArraySpec


@dataclass(frozen=True)
class InspectCommand:
    """The settings of `imitate inspect`; see the module."""

    data: DataConfig
    verify: bool

    def run(self, progress: Progress) -> Outcome:
        """Open the store and describe it."""
        store = open_store(self.data.path)
        if not len(store):
            raise DataError(f"{self.data.path}: holds no episodes yet")
        if self.verify:
            with progress.task("check", len(store), "episodes") as task:
                for index in range(len(store)):
                    store.verify(index)
                    task.advance()
        return Outcome(_json(store), _lines(store, self.verify))


def _json(store: EpisodeStore) -> dict[str, Any]:
    lengths = np.diff(store.episode_ends, prepend=0)
    return {
        "path": str(store.path),
        "episodes": len(store),
        "steps": store.steps,
        "steps_per_episode": [int(lengths.min()), int(lengths.max())],
        **_outcomes(store),
        "source": store.source,
        "metadata": dict(store.metadata),
        "spec": store.spec.to_json(),
        "hash": store.content_hash(),
    }


def _outcomes(store: EpisodeStore) -> dict[str, int]:
    judged = [store.record(index).success for index in range(len(store))]
    return {"successes": judged.count(True), "failures": judged.count(False), "unjudged": judged.count(None)}


def _lines(store: EpisodeStore, verified: bool) -> list[str]:
    found = _json(store)
    low, high = found["steps_per_episode"]
    rate = f"{store.spec.rate_hz:g} Hz" if store.spec.rate_hz else "rate unknown"
    arrays = {**store.spec.obs, ACTION: store.spec.action}
    width = max(map(len, arrays))
    return [
        f"{store.path}  {store.source}",
        f"episodes  {len(store)} of {low} to {high} steps, {store.steps} steps in all, {rate}",
        f"outcome   {found['successes']} successes, {found['failures']} failures, "
        f"{found['unjudged']} not judged",
        *(f"{key:<{width}}  {_described(array)}" for key, array in arrays.items()),
        f"hash      {found['hash']}" + ("  (every episode was read back)" if verified else ""),
    ]


def _described(array: ArraySpec) -> str:
    shape = " × ".join(map(str, array.shape))
    if array.is_image:
        return f"{shape} {array.dtype} image"
    names = array.names or tuple(str(index) for index in range(array.size))
    if not array.units:
        return f"{shape} {array.dtype}, units unknown" + (
            f": {', '.join(array.names)}" if array.names else ""
        )
    return f"{shape} {array.dtype}: " + ", ".join(
        f"{name} [{unit}]" for name, unit in zip(names, array.units, strict=True)
    )
