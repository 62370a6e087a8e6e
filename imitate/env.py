"""The contract of an environment: a gymnasium Env with a DataSpec, a definition of success, and an expert."""

import math
from collections.abc import Mapping
from types import MappingProxyType
from typing import ClassVar, Protocol, cast

import gymnasium
import numpy as np

from imitate.alignment import Alignment
from imitate.errors import EnvError, nearest
from imitate.symmetry import Mirror
from imitate.types import ArraySpec, DataSpec

Obs = dict[str, np.ndarray]

PERTURBATIONS = {
    "friction": "share of all contact friction that is taken away",
    "mass": "by how many times its mass everything loose becomes heavier",
    "lighting": "share of all light that is taken away",
    "camera": "turn of each observed camera, in degrees, about an axis drawn with the episode",
    "start_range": "by which share of their width the ranges of starts are wider, about their middle",
    "push": "change of velocity, in m/s, of everything loose, about once a second, in a level direction",
}
"""The changes of the world that an environment may offer, and what their size means; 0 is no change."""

SHARES = ("friction", "lighting")


class Expert(Protocol):
    """A scripted demonstrator of one episode."""

    def act(self) -> np.ndarray:
        """The action (Da,) to take now, in physical units and inside the action range."""


class Env(gymnasium.Env[Obs, np.ndarray]):
    """What rollouts, collection and robots rely on, besides gymnasium's own contract.

    - Observations are a dictionary {name: array} as `data_spec` says, in physical units; images uint8.
    - `reset(seed=s)` with s a whole number fixes the whole episode: same seed and same actions, bitwise the
      same episode, in any process. Collection and evaluation use seed + episode index.
    - `info` of every reset and step holds "success" (bool: reached, in this step or before) and "score"
      (float: best so far of what `score_name` says). It may hold "collision" (bool: at the end of this step
      something touched what it should not), always or never.
    - `step` takes an action (Da,) in physical units and clips it to its range.
    - `mirror` says how a reflected scene looks, where the task is the same in it; None elsewhere.
    - `alignment` says how a scene that was moved looks, where the task is the same in it; None elsewhere.
    - An episode ends with truncated after `max_steps`, or with terminated when nothing more can be gained.
    - While `shows_images` is False nobody looks at images, and observations may come without them.
    - `instructions` says in words what its episodes may be about, and `instruction` what the one that was
      just reset is about; empty where the environment does not say.
    - `perturbations` names the changes of the world (see PERTURBATIONS) that `perturb` can make; `changes`
      holds their sizes, and every reset sets the world up accordingly. What a change draws does not touch
      the draws of the start, and is the same at every size, so that episodes of one seed can be compared.
    """

    data_spec: DataSpec
    max_steps: int
    success_definition: str = ""
    score_name: str = "success"
    expert_styles: ClassVar[tuple[str, ...]] = ()
    mirror: ClassVar[Mirror | None] = None
    alignment: ClassVar[Alignment | None] = None
    shows_images: bool = True
    instructions: tuple[str, ...] = ()
    perturbations: ClassVar[tuple[str, ...]] = ()
    changes: Mapping[str, float] = MappingProxyType({})

    @property
    def instruction(self) -> str:
        """What the episode that was just reset is about, in words."""
        return self.instructions[0] if self.instructions else ""

    def expert(self, style: str | None = None) -> Expert:
        """The scripted demonstrator of the episode that was just reset, in `style` (None: drawn by seed).

        Raises EnvError where this environment has none, or the style is not one of `expert_styles`.
        """
        raise EnvError(f"{type(self).__name__} has no scripted expert; import demonstrations instead")

    def perturb(self, name: str, size: float) -> None:
        """Change the world of every episode that is reset from now on by `size`; 0 undoes the change.

        Raises EnvError for a change or a size that this environment cannot make.
        """
        if name not in PERTURBATIONS:
            raise EnvError(f"there is no perturbation {name!r}{nearest(name, PERTURBATIONS)}")
        if name not in self.perturbations:
            can = ", ".join(self.perturbations) or "nothing"
            raise EnvError(f"{type(self).__name__} cannot change {name} (it can change: {can})")
        largest = 1.0 if name in SHARES else math.inf
        if not (math.isfinite(size) and 0.0 <= size <= largest):
            expected = "0 to 1" if name in SHARES else "0 or more"
            raise EnvError(f"size of {name} is {size:g}, expected {expected}: {PERTURBATIONS[name]}")
        self.changes = {**self.changes, name: float(size)}

    def change(self, name: str) -> float:
        """The size of a change, 0 where it was not asked for."""
        return self.changes.get(name, 0.0)


class EnvConfig(Protocol):
    """The frozen dataclass that a YAML of configs/env names with `_target_`."""

    def build(self) -> Env:
        """Make the environment; raises MissingExtraError where its suite is not installed."""


def box(spec: ArraySpec) -> gymnasium.spaces.Box:
    """The gymnasium space of one array: its range where known, unbounded where not."""
    dtype = np.dtype(spec.dtype).type
    if spec.is_image:
        return gymnasium.spaces.Box(0, 255, spec.shape, dtype)
    low = np.reshape(spec.low, spec.shape).astype(dtype) if spec.low else -np.inf
    high = np.reshape(spec.high, spec.shape).astype(dtype) if spec.high else np.inf
    return gymnasium.spaces.Box(low, high, spec.shape, dtype)


def spaces_of(spec: DataSpec) -> tuple[gymnasium.Space[Obs], gymnasium.Space[np.ndarray]]:
    """The observation and action spaces that a DataSpec describes."""
    observations = gymnasium.spaces.Dict({key: box(array) for key, array in spec.obs.items()})
    # gymnasium types the values of a Dict space as Any; here they are arrays.
    return cast("gymnasium.Space[Obs]", observations), box(spec.action)


def clipped(action: np.ndarray, spec: ArraySpec) -> np.ndarray:
    """A copy of `action` as float64 inside the range of `spec`; raises EnvError if it is no such action."""
    values = np.array(action, np.float64)
    if values.shape != spec.shape or not np.isfinite(values).all():
        raise EnvError(
            f"action is {values.tolist()}, expected {spec.shape} finite numbers {spec.names or ''}"
        )
    return np.clip(values, spec.low, spec.high) if spec.low else values
