"""The steps of one episode of a rollout, noted where the environment lives and left in a file."""

from pathlib import Path

import numpy as np

from imitate.env import Obs, clipped
from imitate.types import DataSpec

ACTION, OBS, TASK = "action", "obs.", "task"


class Steps:
    """The steps of one episode: all observations that the environment gives, and the executed actions.

    task: what the episode is about, in words.
    """

    def __init__(self, spec: DataSpec, task: str = "") -> None:
        self._spec, self._task = spec, task
        self._seen: list[Obs] = []
        self._done: list[np.ndarray] = []

    def see(self, obs: Obs) -> None:
        """Note what is seen; a copy, for an environment may use its arrays again."""
        self._seen.append({key: np.array(obs[key], spec.dtype) for key, spec in self._spec.obs.items()})

    def act(self, action: np.ndarray) -> None:
        """Note the action (Da,) as the environment will execute it: inside its range."""
        self._done.append(clipped(action, self._spec.action).astype(self._spec.action.dtype))

    def save(self, file: Path) -> None:
        """Write {name: (T, …)} to `file`; what was seen after the last action is left out."""
        seen = self._seen[: len(self._done)]
        obs = {OBS + key: np.stack([one[key] for one in seen]) for key in self._spec.obs}
        np.savez(file, **{ACTION: np.stack(self._done), TASK: np.array(self._task)}, **obs)


def read_steps(file: Path, spec: DataSpec) -> tuple[Obs, np.ndarray]:
    """Observations {name: (T, …)} and actions (T, Da), as `Steps.save` wrote them."""
    with np.load(file, allow_pickle=False) as arrays:
        return {key: arrays[OBS + key] for key in spec.obs}, arrays[ACTION]


def read_task(file: Path) -> str:
    """What the episode is about, in words."""
    with np.load(file, allow_pickle=False) as arrays:
        return str(arrays[TASK])


def steps_file(folder: Path, seed: int) -> Path:
    """Where the steps of the episode of `seed` wait in the folder of a Recording."""
    return folder / f"{seed}.npz"
