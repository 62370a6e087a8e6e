"""How an episode went, besides whether it succeeded: smoothness, violations, collisions, where it ended."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from imitate.datasets.quality.smoothness import spectral_arc_length, speed_profile
from imitate.env import Obs
from imitate.types import ArraySpec, DataSpec

COLLISION = "collision"
"""The key of `info` by which an environment says whether this step had a contact it counts as unwanted."""

TOLERANCE = 1e-5
"""How far an action may leave its range, in parts of the range: float32 cannot hold every bound."""


class Conduct:
    """Takes in the actions of one episode and what came of them; see EpisodeResult for the figures."""

    def __init__(self, spec: DataSpec) -> None:
        self._spec = spec
        self._actions: list[np.ndarray] = []
        self._collisions: int | None = None
        self._obs: Obs = {}

    def act(self, action: np.ndarray) -> None:
        """Note an action (Da,) as the policy wants it."""
        self._actions.append(np.array(action, np.float64))

    def see(self, obs: Obs, info: Mapping[str, Any]) -> None:
        """Note what the environment shows and says after a reset or step."""
        self._obs = obs
        if COLLISION in info:
            self._collisions = (self._collisions or 0) + bool(info[COLLISION])

    @property
    def smoothness(self) -> float | None:
        """The spectral arc length of the executed actions."""
        return action_smoothness(np.array(self._actions), self._spec.action, self._spec.rate_hz)

    @property
    def violations(self) -> int | None:
        """How many actions left the range."""
        return violations(np.array(self._actions), self._spec.action)

    @property
    def collisions(self) -> int | None:
        """How many steps had an unwanted contact."""
        return self._collisions

    @property
    def final_obs(self) -> dict[str, tuple[float, ...]]:
        """What was seen last, images left out; raveled."""
        return {
            key: tuple(np.asarray(self._obs[key], spec.dtype).ravel().astype(np.float64).tolist())
            for key, spec in self._spec.obs.items()
            if not spec.is_image
        }


def violations(actions: np.ndarray, spec: ArraySpec) -> int | None:
    """How many of `actions` (T, Da) lie outside the range of `spec`; None where it has none."""
    if not spec.low:
        return None
    low, high = np.array(spec.low), np.array(spec.high)
    slack = TOLERANCE * np.where(np.isfinite(high - low), high - low, 1.0)
    return int(np.sum(np.any((actions < low - slack) | (actions > high + slack), axis=1)))


def action_smoothness(actions: np.ndarray, spec: ArraySpec, rate_hz: float | None) -> float | None:
    """SPARC of how fast `actions` (T, Da) change as they are executed, inside the range of `spec`.

    Each dimension counts in parts of its range, so that metres and radians add up; as it is, without one.
    None where SPARC is not defined: fewer than five actions, or the same all the time.
    """
    low, high = (np.array(spec.low), np.array(spec.high)) if spec.low else (-np.inf, np.inf)
    values = np.clip(actions, low, high)
    values[:, list(spec.circular)] = np.unwrap(values[:, list(spec.circular)], axis=0)
    width = high - low
    values /= np.where(np.isfinite(width) & (width > 0), width, 1.0)
    arc = spectral_arc_length(speed_profile(values), rate_hz)
    return arc if np.isfinite(arc) else None
