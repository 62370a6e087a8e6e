"""Normalisation between physical units and what networks see, with statistics fitted on training episodes."""

import itertools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from torch import Tensor, nn

from imitate.errors import ConfigError, SpecError
from imitate.types import ArraySpec, DataSpec

Mode = Literal["minmax", "gaussian", "identity"]
MODES: tuple[Mode, ...] = ("minmax", "gaussian", "identity")


@dataclass(frozen=True)
class ArrayStatistics:
    """Per-element statistics of one array over all steps, each (D,) float64."""

    min: np.ndarray
    max: np.ndarray
    mean: np.ndarray
    std: np.ndarray


Statistics = Mapping[str, ArrayStatistics]
"""Statistics of every low-dimensional observation by name, and of the action under "action"."""


class VectorNormalizer(nn.Module):
    """The affine map x -> x * scale + offset of one vector; `inverse` goes back.

    minmax sends [min, max] to [-1, 1]; gaussian sends mean to 0 and std to 1. A dimension that never
    changes is only shifted to 0, so that nothing is divided by (almost) zero; going back it is the constant
    whatever a network says, so that no network's noise reaches an actuator that was never used.
    """

    scale: Tensor
    offset: Tensor
    spread: Tensor
    centre: Tensor

    def __init__(self, size: int, mode: Mode = "minmax") -> None:
        super().__init__()
        if mode not in MODES:
            raise ConfigError(f"normalisation is {mode!r}, expected one of {', '.join(MODES)}")
        self.mode = mode
        for name, value in (("scale", 1.0), ("offset", 0.0), ("spread", 1.0), ("centre", 0.0)):
            self.register_buffer(name, torch.full((size,), value))

    def fit(self, statistics: ArrayStatistics) -> None:
        """Set the map from `statistics`; raises SpecError where their size differs."""
        if statistics.min.shape != tuple(self.scale.shape):
            raise SpecError(f"statistics of shape {statistics.min.shape} for a vector of {len(self.scale)}")
        if self.mode == "identity":
            return
        if self.mode == "minmax":
            centre, spread = (statistics.max + statistics.min) / 2, (statistics.max - statistics.min) / 2
        else:
            centre, spread = statistics.mean, statistics.std
        # float32 data that is constant still shows rounding noise of this relative size.
        constant = spread <= 1e-6 * np.maximum(1.0, np.abs(centre))
        scale = 1.0 / np.where(constant, 1.0, spread)
        self.scale.copy_(torch.as_tensor(scale))
        self.offset.copy_(torch.as_tensor(-centre * scale))
        self.spread.copy_(torch.as_tensor(np.where(constant, 0.0, spread)))
        self.centre.copy_(torch.as_tensor(centre))

    def forward(self, x: Tensor) -> Tensor:
        """Normalise (…, D)."""
        return x.float() * self.scale + self.offset

    def inverse(self, x: Tensor) -> Tensor:
        """Back to physical units, (…, D)."""
        return x.float() * self.spread + self.centre


class StateEncoder(nn.Module):
    """All state observations of a DataSpec as one normalised vector per step.

    Elements that are angles wrapping at 2π enter as sine and cosine, so that 0 and 2π are the same place.
    Images are left out: image encoders are the policy's own.
    """

    def __init__(self, obs: Mapping[str, ArraySpec], mode: Mode = "minmax") -> None:
        super().__init__()
        self.states = {key: spec for key, spec in obs.items() if not spec.is_image}
        self.normalizers = nn.ModuleDict(
            {_module_name(key): VectorNormalizer(spec.size, mode) for key, spec in self.states.items()}
        )
        self.size = sum(spec.size + len(spec.circular) for spec in self.states.values())

    def fit(self, statistics: Statistics) -> None:
        """Fit each observation; raises SpecError naming one that has no statistics."""
        for key in self.states:
            if key not in statistics:
                raise SpecError(f"no statistics for observation {key!r}; there are {sorted(statistics)}")
            self.normalizers[_module_name(key)].fit(statistics[key])  # type: ignore[operator]

    def columns(self) -> dict[str, list[int]]:
        """Where each observation stands in the vector that `forward` gives."""
        sizes = {key: spec.size + len(spec.circular) for key, spec in self.states.items()}
        ends = itertools.accumulate(sizes.values())
        return {
            key: list(range(end - size, end)) for (key, size), end in zip(sizes.items(), ends, strict=True)
        }

    def forward(self, obs: Mapping[str, Tensor]) -> Tensor:
        """{name: (B, To, …)} in physical units -> (B, To, size)."""
        parts = []
        for key, spec in self.states.items():
            raw = obs[key].flatten(start_dim=2)
            plain = [i for i in range(spec.size) if i not in spec.circular]
            parts.append(self.normalizers[_module_name(key)](raw)[..., plain])
            if spec.circular:
                angle = torch.remainder(raw[..., list(spec.circular)].float(), 2 * math.pi)
                parts += [angle.sin(), angle.cos()]
        if not parts:
            some = next(iter(obs.values()))
            return some.new_zeros((*some.shape[:2], 0), dtype=torch.float32)
        return torch.cat(parts, dim=-1)

    def inverse(self, vector: Tensor) -> dict[str, Tensor]:
        """Back from (…, size) to {name: (…, *shape)} in physical units; angles from 0 to 2π.

        Sine and cosine need not be those of one angle: their direction counts.
        """
        found = {}
        for key, columns in self.columns().items():
            spec, part = self.states[key], vector[..., columns].float()
            count = len(spec.circular)
            angles = torch.atan2(part[..., spec.size - count : spec.size], part[..., spec.size :])
            plain = iter(part[..., : spec.size - count].unbind(-1))
            turns = iter(torch.remainder(angles, 2 * math.pi).unbind(-1))
            zero = part.new_zeros(part.shape[:-1])
            normal = torch.stack([zero if i in spec.circular else next(plain) for i in range(spec.size)], -1)
            raw = self.normalizers[_module_name(key)].inverse(normal).unbind(-1)  # type: ignore[operator]
            whole = [next(turns) if i in spec.circular else raw[i] for i in range(spec.size)]
            found[key] = torch.stack(whole, -1).unflatten(-1, spec.shape)
        return found


def _module_name(key: str) -> str:
    # A dot separates modules in a state dict, so it cannot stand in a module's name.
    return key.replace(".", "/")


class PointsNormalizer(VectorNormalizer):
    """The map of the channels of a set of points (…, points, channels), the same for every point."""

    def fit(self, statistics: ArrayStatistics) -> None:
        """Set the map from statistics of all points' elements, in the order (points, channels)."""
        low, high, mean, std = (
            value.reshape(-1, len(self.scale))
            for value in (statistics.min, statistics.max, statistics.mean, statistics.std)
        )
        together = mean.mean(axis=0)
        spread = np.sqrt((std**2 + (mean - together) ** 2).mean(axis=0))
        super().fit(ArrayStatistics(low.min(axis=0), high.max(axis=0), together, spread))


class Normalizer(nn.Module):
    """Everything a policy needs to stand in normalised space: states and points in, actions in and out.

    `points` names the observations (points, channels) that are sets of points and no part of the state.
    """

    def __init__(
        self,
        spec: DataSpec,
        obs_mode: Mode = "minmax",
        action_mode: Mode = "minmax",
        points: Sequence[str] = (),
    ) -> None:
        super().__init__()
        self.state = StateEncoder({k: array for k, array in spec.obs.items() if k not in points}, obs_mode)
        self.action = VectorNormalizer(spec.action.size, action_mode)
        self.points = nn.ModuleDict(
            {_module_name(key): PointsNormalizer(spec.obs[key].shape[1], obs_mode) for key in points}
        )
        self._points = tuple(points)

    def fit(self, statistics: Statistics) -> None:
        """Fit all parts on statistics of the training episodes."""
        self.state.fit(statistics)
        self.action.fit(statistics["action"])
        for key in self._points:
            self.points[_module_name(key)].fit(statistics[key])  # type: ignore[operator]

    def normal_points(self, obs: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """{name: (B, To, points, channels)} normalised, of the observations that are sets of points."""
        return {key: self.points[_module_name(key)](obs[key]) for key in self._points}
