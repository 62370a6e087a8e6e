"""What the slots of a rollout see, in memory that its processes share: no observation is pickled."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from multiprocessing.sharedctypes import RawArray
from typing import Any

import numpy as np

from imitate.env import Obs
from imitate.types import DataSpec


@dataclass(frozen=True)
class SharedObs:
    """Room for {name: (slots, To, …)}, which any process that is given this object as it starts may open.

    The memory has no name: it is gone with the last process that holds it, however that process ends. A slot
    is written only while its actions are executed and read only when that is reported, so nothing is locked.
    """

    memory: Mapping[str, Any]
    shapes: Mapping[str, tuple[int, ...]]
    dtypes: Mapping[str, str]

    @classmethod
    def of(cls, spec: DataSpec, slots: int, obs_steps: int) -> "SharedObs":
        """Room for the last `obs_steps` observations of each of `slots` slots."""
        shapes = {key: (slots, obs_steps, *array.shape) for key, array in spec.obs.items()}
        dtypes = {key: array.dtype for key, array in spec.obs.items()}
        sizes = {key: math.prod(shape) * np.dtype(dtypes[key]).itemsize for key, shape in shapes.items()}
        return cls({key: RawArray("B", max(1, size)) for key, size in sizes.items()}, shapes, dtypes)

    def open(self) -> Obs:
        """The arrays; what is written to them is seen by all."""
        return {
            key: np.frombuffer(self.memory[key], self.dtypes[key], math.prod(shape)).reshape(shape)
            for key, shape in self.shapes.items()
        }
